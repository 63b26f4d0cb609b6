"""Life of a device: its key, its configuration, its addresses, out of service and back."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_address

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.events import (
    ConfigsCreated,
    ConfigStatusChanged,
    DeviceActivated,
    DeviceDeactivated,
    DevicesDeleting,
    Event,
)
from guywire.interfaces import JSONObject
from guywire.models import Config, ConfigState, Device, OrganizationConfigSettings, VpnClient
from guywire.plugin import inform, notify
from guywire.registry import Registry
from guywire.renderer import Renderer
from guywire.services import status, vpn_clients
from guywire.services.rendering import render_within
from guywire.services.templates import assign, automatic_templates, group_templates, hold_organization, merged

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MAC_ADDRESS = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_NOT_IN_KEYS = re.compile(r"[\s./]")


def name_errors(name: str) -> list[str]:
    """What is wrong with a device's name."""
    if _HOSTNAME.fullmatch(name) or _MAC_ADDRESS.fullmatch(name):
        return []
    return ["Must be either a valid hostname or mac address."]


def mac_address_errors(address: str) -> list[str]:
    """What is wrong with a MAC address."""
    return [] if _MAC_ADDRESS.fullmatch(address) else ["Must be a valid mac address."]


def key_errors(key: str) -> list[str]:
    """What is wrong with a device's key. It travels in URLs and in the agent's configuration."""
    return ["This value must not contain spaces, dots or slashes."] if _NOT_IN_KEYS.search(key) else []


def address_errors(address: str) -> list[str]:
    """What is wrong with an IP address."""
    return [] if usable_address(address) else ["Enter a valid IPv4 or IPv6 address."]


def generate_key(session: Session, device: Device, consistent: bool) -> str:
    """A key for a device that has none: the one that its agent computes, md5 of ``<mac>+<shared secret>``.

    The address counts as it is stored. Without ``consistent`` registration the key is random.
    """
    if consistent:
        settings = session.get_one(OrganizationConfigSettings, device.organization_id)
        text = f"{device.mac_address}+{settings.shared_secret}"
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(32))


def create_config(
    session: Session,
    renderer: Renderer,
    device: Device,
    now: datetime,
    *,
    backend: str,
    config: JSONObject | None = None,
    context: JSONObject | None = None,
    templates: Sequence[uuid.UUID] = (),
) -> Config:
    """Give a device its configuration: the group's templates, the enabled ones, then ``templates``. It is rendered
    at once, so that there is an archive from the beginning.

    Raises ConfigurationInvalid.
    """
    session.flush()
    hold_organization(session, device.organization_id)
    created = Config(
        device_id=device.id, backend=backend, config=config or {}, context=context or {}, created=now, modified=now
    )
    device.config = created
    created.state = ConfigState(device_id=device.id, inputs_version=0, rendered_version=0)
    session.flush()
    assign(session, created.id, merged(automatic_templates(session, device, backend), templates))
    notify(session, ConfigsCreated((created.id,)))
    render_within(session, renderer, created, now)
    return created


def deactivate(session: Session, renderer: Renderer, device: Device, now: datetime) -> None:
    """Take a device out of service: its configuration is emptied, its variables are kept.

    It stays reachable until it reports the empty configuration (status ``deactivating``).
    """
    device.is_deactivated = True
    device.modified = now
    config = device.config
    if config is None:
        device.management_ip = None
    else:
        hold_organization(session, device.organization_id)
        config.config = {}
        assign(session, config.id, [])
        emptied = render_within(session, renderer, config, now)
        previous = config.state.status
        status.record_deactivation(config.state, emptied)
        _tell_status(session, config.state, previous)
        if config.state.lifecycle == status.DEACTIVATED:
            device.management_ip = None
    notify(session, DeviceDeactivated(device.id))


def activate(session: Session, renderer: Renderer, device: Device, now: datetime, *, default_backend: str) -> None:
    """Take a deactivated device back: it gets the templates of a new one; its former own configuration is gone.

    One without configuration gets one of the ``default_backend``, if its group has templates for it by now. Raises
    ConfigurationInvalid when templates do not go together.
    """
    device.is_deactivated = False
    device.modified = now
    hold_organization(session, device.organization_id)
    config = device.config
    if config is None:
        if group_templates(session, device.group_id, default_backend):
            create_config(session, renderer, device, now, backend=default_backend)
    else:
        previous = config.state.status
        assign(session, config.id, automatic_templates(session, device, config.backend))
        render_within(session, renderer, config, now)
        status.record_activation(config.state)
        _tell_status(session, config.state, previous)
    notify(session, DeviceActivated(device.id))


def delete(session: Session, registry: Registry, device: Device, now: datetime) -> None:
    """Remove a device; what it had as a client of VPN servers is revoked and freed."""
    if device.config is not None:
        vpn_clients.release(session, registry, VpnClient.config_id == device.config.id, now)
    notify(session, DevicesDeleting((device.id,)))
    session.delete(device)


def conflicts(session: Session, device: Device) -> set[str]:
    """Which of a device's ``name``, ``mac_address``, ``key`` and ``hardware_id`` another device has.

    Keys are unique everywhere, the others in their organization: names in any case, addresses in any spelling.
    """
    others = sa.select(Device).where(Device.id != device.id)
    own = others.where(Device.organization_id == device.organization_id)
    taken = {
        "name": own.where(sa.func.lower(Device.name) == device.name.lower()),
        "mac_address": own.where(Device.mac_normalized == device.mac_normalized),
    }
    if device.key:
        taken["key"] = others.where(Device.key == device.key)
    if device.hardware_id:
        taken["hardware_id"] = own.where(Device.hardware_id == device.hardware_id)
    with session.no_autoflush:
        return {name for name, query in taken.items() if session.scalar(query.with_only_columns(Device.id).limit(1))}


def record_report(
    session: Session, device: Device, state: ConfigState, reported: str, reason: str | None, now: datetime
) -> None:
    """Keep what a device says of its configuration: ``applied`` or ``error`` (with a reason)."""
    previous = state.status
    status.record_reported(state, reported, reason, now)
    _tell_status(session, state, previous, inform)
    if state.status == status.DEACTIVATED:
        device.management_ip = None


def _tell_status(
    session: Session, state: ConfigState, previous: str, tell: Callable[[Session, Event], None] = notify
) -> None:
    if state.status != previous:
        tell(session, ConfigStatusChanged(state.config_id, state.device_id, previous, state.status))


def usable_address(text: str | None) -> str | None:
    """``text`` if it is an IP address without a zone, else None."""
    try:
        return str(ip_address(text)) if text and "%" not in text else None
    except ValueError:
        return None


def record_addresses(
    session: Session, device: Device, last_ip: str | None, management_ip: str | None, *, shared_space: bool
) -> None:
    """Keep where a device called from, and take its management address from those that had it before.

    A management address has one owner (in ``shared_space`` among all organizations, else in its own): it is where
    the device is reached. Many devices may call from one address. (The reference takes private ones from each other,
    so that two routers behind one proxy make a write of every poll.)
    """
    device.last_ip = last_ip
    device.management_ip = management_ip
    others = sa.update(Device).where(Device.id != device.id).execution_options(synchronize_session=False)
    if not shared_space:
        others = others.where(Device.organization_id == device.organization_id)
    if management_ip is not None:
        session.execute(others.where(Device.management_ip == management_ip).values(management_ip=None))
