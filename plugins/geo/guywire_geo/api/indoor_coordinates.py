"""Where devices are on a floor of a location: ``/api/v1/controller/location/{id}/indoor-coordinates/``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api.base import UUID_PATTERN
from guywire.api.fields import integer
from guywire.api.pages import page_of
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.errors import Invalid
from guywire.models import Device
from guywire.security import require
from pyramid.request import Request

from guywire_geo.api.bodies import LARGEST, SMALLEST, image_path
from guywire_geo.api.location import PATH
from guywire_geo.api.location_devices import admin_edit_url, visible_location
from guywire_geo.floors import first_of, label_of
from guywire_geo.models import DeviceLocation, FloorPlan, Location
from guywire_geo.services.placements import point_of

PAGE_SIZE = 50

service = APIService(
    name="location_indoor_coordinates",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/indoor-coordinates/",
    title="Indoor coordinates",
    description="Where devices are on a floor of a location.",
)

_ID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string"}
_URL = {"type": "string", "format": "uri"}
_LINK = {"type": ["string", "null"], "format": "uri"}
_NUMBER = {"type": "number"}
_FLOOR = {"type": "integer"}
_ANSWER = object_schema(
    floors={"type": "array", "items": _FLOOR},
    count={"type": "integer"},
    next=_LINK,
    previous=_LINK,
    results={
        "type": "array",
        "items": object_schema(
            id=_ID,
            admin_edit_url=_URL,
            device_id=_ID,
            floorplan_id=_ID,
            device_name=_TEXT,
            mac_address=_TEXT,
            floor_name=_TEXT,
            floor=_FLOOR,
            image=_URL,
            coordinates=object_schema(lat=_NUMBER, lng=_NUMBER),
        ),
    },
)


@service.get(
    operation=Operation(
        permission="view_devicelocation",
        answer=_ANSWER,
        parameters={
            "floor": integer(minimum=SMALLEST, maximum=LARGEST, help="The floor; else the lowest above ground.")
        },
    )
)
def list_coordinates(request: Request) -> dict[str, Any]:
    """A page of the devices on a floor: ``lat`` is how far down they are on the plan, ``lng`` how far right."""
    identity = require(request.identity, request.method, "devicelocation")
    require(identity, request.method, "device")  # which are named
    location = visible_location(request, identity)
    session = request.db
    floors = session.scalars(
        sa.select(FloorPlan.floor).where(FloorPlan.location_id == location.id).order_by(FloorPlan.floor)
    ).all()
    ids = (
        sa.select(DeviceLocation.id)
        .join(FloorPlan, FloorPlan.id == DeviceLocation.floor_plan_id)
        .where(FloorPlan.location_id == location.id, FloorPlan.floor == _wanted(request, floors))
        .where(DeviceLocation.indoor.is_not(None))
        .order_by(DeviceLocation.created.desc(), DeviceLocation.id.desc())
    )
    max_size = request.runtime.settings.max_page_size
    page = page_of(session, request, ids, default_size=min(PAGE_SIZE, max_size), max_size=max_size)
    return {"floors": list(floors)} | page.wrap(_results(request, location, page.ids))


def _wanted(request: Request, floors: Sequence[int]) -> int | None:
    """The floor that is asked for, or the first one."""
    if text := request.GET.get("floor"):
        if not text.removeprefix("-").isdecimal() or len(text) > 9:
            raise Invalid({"floor": ["Enter a number."]})
        return int(text)
    return first_of(floors)


def _results(request: Request, location: Location, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    query = (
        sa.select(DeviceLocation, FloorPlan, Device.name, Device.mac_address)
        .join(FloorPlan, FloorPlan.id == DeviceLocation.floor_plan_id)
        .join(Device, Device.id == DeviceLocation.device_id)
        .where(DeviceLocation.id.in_(ids))
    )
    found = {}
    for place, plan, name, mac_address in request.db.execute(query):
        down, right = point_of(place.indoor) or (0.0, 0.0)
        found[place.id] = {
            "id": place.id,
            "admin_edit_url": admin_edit_url(request, place.device_id),
            "device_id": place.device_id,
            "floorplan_id": plan.id,
            "device_name": name,
            "mac_address": mac_address,
            "floor_name": label_of(location.name, plan.floor),
            "floor": plan.floor,
            "image": f"{request.application_url}{image_path(plan.id, plan.image)}",
            "coordinates": {"lat": down, "lng": right},
        }
    return [found[id] for id in ids if id in found]
