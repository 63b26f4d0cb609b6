"""A location's page: ``/map/location/{id}/``, with its floor plans and the devices on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api.answers import Response
from guywire.browsable.page import render, visitor
from guywire.models import ConfigState, Device
from guywire.security import require
from pyramid.request import Request

from guywire_geo.api.bodies import image_path
from guywire_geo.api.location_devices import visible_location
from guywire_geo.floors import first_of, label_of
from guywire_geo.map.world import LABELS, to_login
from guywire_geo.models import DeviceLocation, FloorPlan
from guywire_geo.services.clusters import present_status
from guywire_geo.services.placements import point_of

PATH = "/map/location/"
_DEVICES = 500
"""More are not drawn: nobody finds anything among more."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A device at a location: on a floor (None: on none that is known), with its place on the plan in pixels."""

    number: int
    id: UUID
    name: str
    status: str
    floor: int | None
    x: float | None
    y: float | None

    def is_on(self, plan: FloorPlan) -> bool:
        """Whether its place is one of the picture's."""
        if self.floor != plan.floor or self.x is None or self.y is None:
            return False
        return 0 <= self.x <= plan.width and self.y <= plan.height


def show_location(request: Request) -> Response:
    """The page: one floor at a time, and all devices in a table."""
    if visitor(request) is None:
        return to_login(request)
    identity = require(request.identity, request.method, "location")
    location = visible_location(request, identity)
    plans = request.db.scalars(
        sa.select(FloorPlan).where(FloorPlan.location_id == location.id).order_by(FloorPlan.floor)
    ).all()
    plan = _wanted(plans, request.GET.get("floor"))
    # Whoever may only see places is not told what devices are called.
    pins = _pins(request, location.id) if identity.has_permission("view", "device") else []
    return render(
        request,
        "guywire_geo:location.jinja2",
        files=request.registry.map_static,
        location=location,
        floors=[(each.floor, label_of("", each.floor).strip().capitalize()) for each in plans],
        plan=plan,
        image=image_path(plan.id, plan.image) if plan else "",
        margin=max(plan.width, plan.height) / 40 if plan else 0,
        on_plan=[pin for pin in pins if plan and pin.is_on(plan)],
        pins=pins,
        labels=LABELS,
    )


def _wanted(plans: Any, text: str | None) -> Any:
    """The plan of the floor that is asked for, or of the first one."""
    asked = {str(plan.floor): plan for plan in plans}
    return asked.get(text or "") or asked.get(str(first_of([plan.floor for plan in plans])))


def _pins(request: Request, location_id: UUID) -> list[Pin]:
    rows = request.db.execute(
        sa.select(Device.id, Device.name, present_status(), FloorPlan.floor, DeviceLocation.indoor)
        .select_from(DeviceLocation)
        .join(Device, Device.id == DeviceLocation.device_id)
        .outerjoin(ConfigState, ConfigState.device_id == Device.id)
        .outerjoin(FloorPlan, FloorPlan.id == DeviceLocation.floor_plan_id)
        .where(DeviceLocation.location_id == location_id)
        .order_by(FloorPlan.floor, Device.name)
        .limit(_DEVICES)
    )
    pins = []
    for number, (id, name, found, floor, indoor) in enumerate(rows, start=1):
        down, right = (point_of(indoor) if indoor else None) or (None, None)
        # From the top: clients count downwards with a minus, as maps do.
        pins.append(Pin(number, id, name, found, floor, right, None if down is None else abs(down)))
    return pins
