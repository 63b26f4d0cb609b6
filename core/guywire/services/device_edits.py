"""What operators do to a device, whichever door they come through: it is made or changed, or they are told why not."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from guywire.errors import MODEL, NON_FIELD, Invalid
from guywire.events import DeviceGroupChanged, DeviceMoved
from guywire.models import Device, DeviceGroup
from guywire.plugin import notify
from guywire.runtime import Runtime
from guywire.services import configurations, devices
from guywire.services.limits import DeviceLimitReached, claim_place
from guywire.services.templates import hold_organization

ADDRESSES = ("last_ip", "management_ip")
GROUP_MISMATCH = (
    "Please ensure that the organization of this Device and the organization of the related Device Group match."
)

_DEFAULTS: dict[str, Any] = {
    "last_ip": None,
    "management_ip": None,
    "key": "",
    "group": None,
    **dict.fromkeys(("model", "os", "system", "notes"), ""),
}
_COLUMNS = {"organization": "organization_id", "group": "group_id"}
_SAME_KEY = {"key": ["Device with this key already exists."]}


def create(
    session: Session, runtime: Runtime, fields: dict[str, Any], now: datetime, *, id: uuid.UUID | None = None
) -> Device:
    """Make a device of validated fields, which are named as in the API. Raises Invalid."""
    given = fields.pop("config", None) or {}
    device = Device(id=id or uuid.uuid4(), created=now, is_deactivated=False)
    try:
        _claim_place(session, fields["organization"])
        _apply(session, runtime, device, _DEFAULTS | fields, now)
    except Invalid:
        # The reference looks at the configuration before it looks for devices that are in the way.
        configurations.require_valid_alone(runtime, given)
        raise
    session.add(device)
    session.flush()
    configurations.give(session, runtime, device, given, now)
    return device


def update(session: Session, runtime: Runtime, device: Device, fields: dict[str, Any], now: datetime) -> None:
    """Change the given fields of a device. Raises Invalid."""
    given = fields.pop("config", None) or {}
    before = configurations.Origin.of(device)
    _hold(session, device, fields, given)
    _apply(session, runtime, device, fields, now)
    session.flush()
    if device.organization_id != before.organization_id:
        notify(session, DeviceMoved(device.id, device.organization_id, before.organization_id))
    if device.group_id != before.group_id:
        notify(session, DeviceGroupChanged(device.id, device.group_id, before.group_id))
    if device.config is None and (given or device.group_id != before.group_id):
        configurations.give(session, runtime, device, given, now)
    elif device.config is not None and (given or before != configurations.Origin.of(device)):
        configurations.change(session, runtime, device, device.config, given, before, now)


def _hold(session: Session, device: Device, fields: dict[str, Any], given: dict[str, Any]) -> None:
    """Hold the organizations whose templates come or go, before anything is written, and always in this order."""
    former = device.organization_id
    organization = fields.get("organization", former)
    moves = (organization, fields.get("group", device.group_id)) != (former, device.group_id)
    if not moves and not given.keys() & {"templates", "backend"}:
        return
    for each in sorted({organization, former}):
        if each == former:
            hold_organization(session, each)
        else:
            _claim_place(session, each)


def _claim_place(session: Session, organization_id: uuid.UUID) -> None:
    try:
        claim_place(session, organization_id)
    except DeviceLimitReached as reached:
        raise Invalid({MODEL: [str(reached)]}) from None


def _apply(session: Session, runtime: Runtime, device: Device, given: dict[str, Any], now: datetime) -> None:
    """Set the given fields of the device itself and check it as a whole."""
    for name, value in given.items():
        setattr(device, _COLUMNS.get(name, name), None if name in ADDRESSES and value == "" else value)
    device.modified = now
    is_generated = not device.key
    if is_generated:
        with session.no_autoflush:
            device.key = devices.generate_key(session, device, runtime.settings.consistent_registration)
    taken = devices.conflicts(session, device)
    if "key" in taken and not is_generated:
        raise Invalid(_SAME_KEY)
    if "mac_address" in taken:
        raise Invalid({NON_FIELD: ["The fields mac_address, organization must make a unique set."]})
    _require_group_of_organization(session, device)
    if "name" in taken:
        raise Invalid({MODEL: ["Device with this Name and Organization already exists."]})
    if "hardware_id" in taken:
        raise Invalid({MODEL: ["Device with this Hardware id and Organization already exists."]})
    # A key that was made of the address tells no more than the address, as long as that is free.
    if "key" in taken:
        raise Invalid(_SAME_KEY)


def _require_group_of_organization(session: Session, device: Device) -> None:
    if device.group_id is None:
        return
    with session.no_autoflush:
        group = session.get_one(DeviceGroup, device.group_id)
    if group.organization_id != device.organization_id:
        raise Invalid({"group": [GROUP_MISMATCH]})
