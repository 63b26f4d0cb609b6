"""Where devices are: at a location, on one of its floor plans, or wherever they say themselves."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.errors import MODEL, Invalid
from guywire.models import Device
from guywire.settings import Settings
from sqlalchemy.orm import Session

from guywire_geo.geometry import Geometry
from guywire_geo.models import DeviceLocation, FloorPlan, Location
from guywire_geo.services import floor_plans, locations

MISMATCH = "Please ensure that the organization of this device location and the organization of the related {} match."
OTHER_LOCATION = "Invalid floorplan (belongs to a different location)"
INVALID = "invalid value"
UNKNOWN_LOCATION = "Location object with entered ID does not exists."


def place_of(session: Session, device_id: uuid.UUID) -> DeviceLocation | None:
    """Where a device is, as it is now."""
    query = sa.select(DeviceLocation).where(DeviceLocation.device_id == device_id)
    return session.scalars(query.execution_options(populate_existing=True)).first()


@dataclass(frozen=True, slots=True)
class Placing:
    """Places one device, which the caller has locked."""

    session: Session
    settings: Settings
    device: Device
    now: datetime

    def place(self, given: Mapping[str, Any]) -> DeviceLocation:
        """Put the device where ``given`` says.

        ``location`` and ``floorplan`` are ids, or fields of what is made, or changed where the device has one. What is
        not given stays as far as it is still true: a floor plan does not follow to another location, nor a point on a
        plan to another plan. Raises Invalid.
        """
        former = place_of(self.session, self.device.id)
        location = self._location(former, given)
        # Only now: whoever held the lock of the location may have changed where its devices are.
        former = place_of(self.session, self.device.id)
        stays = former is not None and former.location_id == location.id
        plan_id = former.floor_plan_id if former is not None and stays else None
        plan = self._plan(location, plan_id, given)
        new_plan_id = None if plan is None else plan.id
        indoor = given.get("indoor", former.indoor if former is not None and stays and new_plan_id == plan_id else None)
        _check_indoor(location, indoor)
        place = former or DeviceLocation(device_id=self.device.id, created=self.now)
        place.location_id, place.floor_plan_id = location.id, new_plan_id
        place.indoor, place.modified = indoor or None, self.now
        self.session.add(place)
        self.session.flush()
        return place

    def move(self, geometry: Geometry | None, *, given: bool, may_create: bool) -> Location | None:
        """Put the device's location somewhere else. With ``may_create`` a device without one gets a mobile one.

        Without ``given`` nothing is said of where. Returns the location; None if there is none. Raises Invalid.
        """
        place = place_of(self.session, self.device.id)
        location = locations.lock(self.session, place.location_id) if place is not None else None
        if location is None:
            return self._create_mobile(geometry) if may_create else None
        if given:
            locations.set_geometry(location, geometry)
            location.modified = self.now
            self.session.flush()
        return location

    def _create_mobile(self, geometry: Geometry | None) -> Location:
        fields = {"name": self.device.name, "type": locations.OUTDOOR, "is_mobile": True, "geometry": geometry}
        location = locations.create(self.session, self.device.organization_id, fields, self.now)
        self.place({"location": location.id})
        return location

    def _location(self, former: DeviceLocation | None, given: Mapping[str, Any]) -> Location:
        wanted = given.get("location", former and former.location_id)
        if isinstance(wanted, uuid.UUID):
            location = locations.lock(self.session, wanted)
            if location is None:
                raise Invalid({"location": {"location": UNKNOWN_LOCATION}})
            if location.organization_id != self.device.organization_id:
                raise Invalid({"location": [MISMATCH.format("location")]})
            return location
        with _below("location"):
            if former is None or (location := locations.lock(self.session, former.location_id)) is None:
                return locations.create(self.session, self.device.organization_id, wanted, self.now)
            locations.update(self.session, location, wanted, self.now)
        if location.type == locations.OUTDOOR:
            floor_plans.delete_all(self.session, location, self.now)
        return location

    def _plan(self, location: Location, plan_id: uuid.UUID | None, given: Mapping[str, Any]) -> FloorPlan | None:
        wanted = given.get("floorplan", plan_id)
        if wanted is None:
            return None
        if isinstance(wanted, uuid.UUID):
            plan = self.session.get(FloorPlan, wanted)
            if plan is not None and plan.organization_id != self.device.organization_id:
                raise Invalid({"floorplan": [MISMATCH.format("floorplan")]})
            if plan is None or plan.location_id != location.id:
                raise Invalid({MODEL: [OTHER_LOCATION]})
            return plan
        plan = self.session.get(FloorPlan, plan_id) if plan_id is not None else None
        with _below("floorplan"):
            return floor_plans.save_nested(self.session, self.settings, location, plan, wanted, self.now)


@contextmanager
def _below(name: str) -> Any:
    """Errors within are those of a field's own fields."""
    try:
        yield
    except Invalid as invalid:
        raise Invalid({name: invalid.body}) from None


def _check_indoor(location: Location, indoor: str | None) -> None:
    if indoor and (location.type != locations.INDOOR or point_of(indoor) is None):
        raise Invalid({"indoor": [INVALID]})


def point_of(indoor: str) -> tuple[float, float] | None:
    """The two numbers of a point on a floor plan, "down,right"; None for anything else."""
    try:
        down, right = map(float, indoor.split(","))
    except ValueError:
        return None
    return (down, right) if math.isfinite(down) and math.isfinite(right) else None


def forget(session: Session, device_id: uuid.UUID) -> None:
    """The device is nowhere any more. The location stays."""
    place = place_of(session, device_id)
    if place is not None:
        session.delete(place)
        session.flush()
