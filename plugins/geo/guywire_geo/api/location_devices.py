"""The devices at a location: ``/api/v1/controller/location/{id}/device/``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api.base import UUID_PATTERN
from guywire.api.pages import page_of
from guywire.api.service import APIService, Operation
from guywire.api.shown import PageReader, object_schema, schema_of_shown
from guywire.errors import NotFound
from guywire.models import Device
from guywire.security import Identity, require, visible_to
from pyramid.request import Request

from guywire_geo.api.location import PATH
from guywire_geo.models import DeviceLocation, FloorPlan, Location

service = APIService(
    name="location_devices",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/device/",
    title="Devices of a location",
    description="The devices that are at a location.",
)

_SHOWN = {
    "id": Device.id,
    "created": Device.created,
    "modified": Device.modified,
    "name": Device.name,
    "mac_address": Device.mac_address,
    "model": Device.model,
    "os": Device.os,
    "system": Device.system,
    "notes": Device.notes,
    "last_ip": Device.last_ip,
    "management_ip": Device.management_ip,
    "hardware_id": Device.hardware_id,
    "_is_deactivated": Device.is_deactivated,
    "organization": Device.organization_id,
    "group": Device.group_id,
}
_READER = PageReader(_SHOWN, Device.id)
_URL = {"type": "string", "format": "uri"}
_LINK = {"type": ["string", "null"], "format": "uri"}
_DEVICE = schema_of_shown(_SHOWN)
_ANSWER = object_schema(
    has_floorplan={"type": "boolean"},
    count={"type": "integer"},
    next=_LINK,
    previous=_LINK,
    results={"type": "array", "items": object_schema(**_DEVICE["properties"], admin_edit_url=_URL)},
)


@service.get(operation=Operation(permission="view_device", answer=_ANSWER))
def list_devices(request: Request) -> dict[str, Any]:
    """A page of the devices at the location, the newest first."""
    identity = require(request.identity, request.method, "device")
    location = visible_location(request, identity)
    settings, session = request.runtime.settings, request.db
    ids = (
        sa.select(Device.id)
        .join(DeviceLocation, DeviceLocation.device_id == Device.id)
        .where(DeviceLocation.location_id == location.id, visible_to(identity, Device.organization_id, shared=False))
        .order_by(Device.created.desc(), Device.id.desc())
    )
    page = page_of(session, request, ids, default_size=settings.page_size, max_size=settings.max_page_size)
    devices = [
        {"id": body["id"], "admin_edit_url": admin_edit_url(request, body["id"])} | body
        for body in _READER.read(session, page.ids)
    ]
    has_plan = session.scalar(sa.select(FloorPlan.id).where(FloorPlan.location_id == location.id).limit(1)) is not None
    return {"has_floorplan": has_plan} | page.wrap(devices)


def visible_location(request: Request, identity: Identity) -> Location:
    """The location of the path. Raises NotFound for one that the user does not see."""
    visible = visible_to(identity, Location.organization_id, shared=False)
    query = sa.select(Location).where(Location.id == UUID(request.matchdict["id"]), visible)
    location: Location | None = request.db.scalars(query).first()
    if location is None:
        raise NotFound()
    return location


def admin_edit_url(request: Request, device_id: UUID) -> str:
    """Where the reference has the page on which a device is edited."""
    return f"{request.application_url}/admin/config/device/{device_id}/change/"
