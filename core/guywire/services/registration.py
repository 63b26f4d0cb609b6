"""Registration: a router introduces itself with its organization's shared secret."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.events import DeviceRegistered
from guywire.interfaces import ConfigurationInvalid
from guywire.models import Device, Organization
from guywire.models.device import normalize_mac
from guywire.plugin import notify
from guywire.runtime import Runtime
from guywire.services import devices
from guywire.services.accounts import organization_by_secret
from guywire.services.limits import DeviceLimitReached, claim_place
from guywire.services.rendering import render_anyway
from guywire.services.templates import assign, assigned_templates, hold_organization, merged, tagged_templates

REQUIRED = ("secret", "name", "mac_address", "backend")

_LIMITS = {"name": 64, "mac_address": 17, "key": 64, "hardware_id": 32, "model": 64, "os": 128, "system": 128}
_DESCRIPTIVE = ("os", "model", "system")
_MAX_TAGS = 100


DEVICE_DEACTIVATED = "error: device deactivated"


class RegistrationRefused(Exception):
    """A registration that is not accepted: ``status`` and ``body`` are the agent's answer, and ``content_type``,
    which the reference gives as text/html in three cases. ``reason`` is for the log.
    """

    def __init__(self, status: int, body: str, content_type: str = "text/plain") -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.content_type = content_type
        self.reason = " ".join(body.split())


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that was accepted."""

    device: Device
    is_new: bool


def admit(session: Session, runtime: Runtime, form: Mapping[str, str]) -> Organization:
    """The organization whose secret ``form`` has. Raises RegistrationRefused. Writes nothing and waits for nobody."""
    if not runtime.settings.registration_enabled:
        raise RegistrationRefused(403, "error: registration disabled", "text/html")
    for name in REQUIRED:
        if not form.get(name):
            raise RegistrationRefused(400, f'error: missing required parameter "{name}"\n')
    if form["backend"] not in runtime.registry.config_backends:
        raise RegistrationRefused(403, "error: wrong backend\n")
    found = organization_by_secret(session, runtime.key_ring, form["secret"], runtime.clock())
    if found is None:
        raise RegistrationRefused(403, "error: unrecognized secret")
    organization, settings = found
    if not settings.registration_enabled:
        raise RegistrationRefused(403, "error: registration disabled")
    return organization


def register(
    session: Session, runtime: Runtime, form: Mapping[str, str], address: str | None, now: datetime
) -> Registration:
    """Register the device that ``form`` describes, or recognize it by its key. Raises RegistrationRefused.

    Of the form only what an agent has to say is used. (The reference lets it set any field of a device.)
    """
    settings = runtime.settings
    organization = admit(session, runtime, form)
    device = _recognized(session, organization, form) if settings.consistent_registration else None
    if device is not None and device.is_deactivated:
        raise RegistrationRefused(403, DEVICE_DEACTIVATED, "text/html")
    if device is None and not settings.registration_self_creation:
        raise RegistrationRefused(404, "Device not found in the system, please create it first.", "text/html")
    is_new = device is None
    try:
        if device is None:
            device = _create(session, runtime, organization, form, address, now)
        else:
            _update(session, runtime, device, form, address, now)
    except DeviceLimitReached as reached:
        raise RegistrationRefused(400, str(reached)) from None
    except ConfigurationInvalid as invalid:
        refused = RegistrationRefused(400, str(invalid))
        # The message may quote passwords of the organization's variables, which the log must not.
        refused.reason = f"invalid configuration at #/{'/'.join(map(str, invalid.path))}"
        raise refused from None
    notify(session, DeviceRegistered(device.id, organization.id, is_new))
    return Registration(device, is_new)


def _recognized(session: Session, organization: Organization, form: Mapping[str, str]) -> Device | None:
    """The device that has the form's key. One of another organization is not this secret's business."""
    if not form.get("key"):
        return None
    device = session.scalars(sa.select(Device).where(Device.key == form["key"]).with_for_update()).first()
    if device is not None and device.organization_id != organization.id:
        raise RegistrationRefused(400, "Device with this Key already exists.")
    return device


def _create(
    session: Session,
    runtime: Runtime,
    organization: Organization,
    form: Mapping[str, str],
    address: str | None,
    now: datetime,
) -> Device:
    consistent = runtime.settings.consistent_registration
    device = Device(
        id=uuid.uuid4(),
        created=now,
        modified=now,
        organization_id=organization.id,
        name=form["name"],
        mac_address=form["mac_address"].upper(),
        key=form.get("key", "") if consistent else "",
        hardware_id=form.get("hardware_id") or None,
        is_deactivated=False,
        **{name: form.get(name, "") for name in _DESCRIPTIVE},
    )
    management_ip = form.get("management_ip") or None
    tags = _tags(form)
    errors = _field_errors(device, management_ip)
    if not errors:
        device.key = device.key or devices.generate_key(session, device, consistent)
        errors = _conflict_errors(session, device)
    if errors:
        raise RegistrationRefused(400, " ".join(errors))
    claim_place(session, organization.id)
    session.add(device)
    session.flush()
    _record_addresses(session, runtime, device, address, devices.usable_address(management_ip))
    tagged = tagged_templates(session, organization.id, tags)
    devices.create_config(session, runtime.renderer, device, now, backend=form["backend"], templates=tagged)
    return device


def _update(
    session: Session, runtime: Runtime, device: Device, form: Mapping[str, str], address: str | None, now: datetime
) -> None:
    """A device registers again: it keeps its addresses, backend and templates, and says anew what it is."""
    tags = _tags(form)
    if normalize_mac(form["name"]) != normalize_mac(device.mac_address):
        device.name = form["name"]
    for name in _DESCRIPTIVE:
        if name in form:
            setattr(device, name, form[name])
    normalize_stored(device)
    device.modified = now
    errors = _field_errors(device, None) or _conflict_errors(session, device)
    if errors:
        raise RegistrationRefused(400, " ".join(errors))
    session.flush()
    _record_addresses(session, runtime, device, address, device.management_ip)
    hold_organization(session, device.organization_id)
    tagged = tagged_templates(session, device.organization_id, tags)
    if device.config is None:
        devices.create_config(session, runtime.renderer, device, now, backend=form["backend"], templates=tagged)
        return
    config_id = device.config.id
    assign(session, config_id, merged(assigned_templates(session, config_id), tagged))
    render_anyway(session, runtime.renderer, device.config, now)


def _tags(form: Mapping[str, str]) -> list[str]:
    """The names of tags in the form. Each is a parameter of a statement, and databases count them."""
    tags = form.get("tags", "").split()
    if len(tags) > _MAX_TAGS:
        raise RegistrationRefused(400, f"Ensure that there are at most {_MAX_TAGS} tags (there are {len(tags)}).")
    return tags


def _record_addresses(
    session: Session, runtime: Runtime, device: Device, address: str | None, management_ip: str | None
) -> None:
    shared_space = runtime.settings.shared_management_ip_space
    devices.record_addresses(session, device, address, management_ip, shared_space=shared_space)


def normalize_stored(device: Device) -> None:
    """The device speaks: its MAC address is stored in upper case from now on, as agents send it."""
    device.mac_address = device.mac_address.upper()


def _field_errors(device: Device, management_ip: str | None) -> list[str]:
    errors = []
    rules = {"name": devices.name_errors, "mac_address": devices.mac_address_errors, "key": devices.key_errors}
    for name, limit in _LIMITS.items():
        value = getattr(device, name) or ""
        if name in rules and value:
            errors += rules[name](value)
        errors += length_errors(value, limit)
    if management_ip is not None:
        errors += devices.address_errors(management_ip)
    return errors


def length_errors(value: str, limit: int) -> list[str]:
    """What is wrong with the length of a text, in the words that agents' logs show."""
    if len(value) > limit:
        return [f"Ensure this value has at most {limit} characters (it has {len(value)})."]
    return []


_CONFLICTS = {
    "name": "Device with this Name and Organization already exists.",
    "mac_address": "Device with this Mac address and Organization already exists.",
    "key": "Device with this Key already exists.",
    "hardware_id": "Device with this Hardware id and Organization already exists.",
}


def _conflict_errors(session: Session, device: Device) -> list[str]:
    taken = devices.conflicts(session, device)
    return [message for name, message in _CONFLICTS.items() if name in taken]


def update_info(
    session: Session, runtime: Runtime, device: Device, form: Mapping[str, str], now: datetime
) -> dict[str, list[str]]:
    """Keep what a device says of its ``os``, ``model`` and ``system``; empty values are not news.

    Returns what is wrong, by field; then nothing is kept.
    """
    given = {name: form.get(name, "").strip() for name in _DESCRIPTIVE}
    given = {name: value for name, value in given.items() if value}
    errors = {name: messages for name, value in given.items() if (messages := length_errors(value, _LIMITS[name]))}
    if errors or not given:
        return errors
    for name, value in given.items():
        setattr(device, name, value)
    normalize_stored(device)
    device.modified = now
    if device.config is not None:
        render_anyway(session, runtime.renderer, device.config, now)
    return {}
