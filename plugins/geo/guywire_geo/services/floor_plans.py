"""Floor plans: one picture for each floor of an indoor location."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.errors import MODEL, FieldErrors, Invalid
from guywire.settings import Settings
from sqlalchemy.orm import Session

from guywire_geo.images import Picture
from guywire_geo.models import DeviceLocation, FloorPlan, Location
from guywire_geo.services import image_files, locations

NOT_INDOOR = 'floorplans can only be associated to locations of type "indoor"'
REQUIRED = "This field is required."
NO_FILE = "No file was submitted."
TAKEN = "Floor plan with this location and floor already exists."


def newest_of(session: Session, location_id: uuid.UUID) -> FloorPlan | None:
    """The floor plan that is edited through its location."""
    plans = sa.select(FloorPlan).where(FloorPlan.location_id == location_id)
    return session.scalars(plans.order_by(FloorPlan.created.desc(), FloorPlan.id.desc()).limit(1)).first()


def is_taken(session: Session, location_id: uuid.UUID, floor: int, but: FloorPlan | None = None) -> bool:
    """Whether the location has a plan of the floor, other than the one that is given."""
    taken = sa.select(FloorPlan.id).where(FloorPlan.location_id == location_id, FloorPlan.floor == floor)
    if but is not None:
        taken = taken.where(FloorPlan.id != but.id)
    with session.no_autoflush:
        return session.scalar(taken) is not None


def save_nested(
    session: Session,
    settings: Settings,
    location: Location,
    plan: FloorPlan | None,
    given: Mapping[str, Any],
    now: datetime,
) -> FloorPlan:
    """Make or change the floor plan that came together with its location, or with a device's place.

    Without ``plan`` it is a new one. Raises Invalid with errors by the plan's fields.
    """
    errors: FieldErrors = {}
    if plan is None:
        errors |= {} if "floor" in given else {"floor": [REQUIRED]}
        errors |= {} if given.get("image") is not None else {"image": [NO_FILE]}
    if not errors and location.type != locations.INDOOR:
        errors = {MODEL: [NOT_INDOOR]}
    if not errors and "floor" in given and is_taken(session, location.id, given["floor"], but=plan):
        errors = {MODEL: [TAKEN]}
    if errors:
        raise Invalid(errors)
    if plan is None:
        return create(session, settings, location, given["floor"], given["image"], now)
    update(session, settings, plan, given.get("floor", plan.floor), given.get("image"), now)
    return plan


def create(
    session: Session, settings: Settings, location: Location, floor: int, picture: Picture, now: datetime
) -> FloorPlan:
    """A new floor plan, whose floor is free."""
    plan = FloorPlan(id=uuid.uuid4(), location_id=location.id, organization_id=location.organization_id, created=now)
    plan.floor, plan.modified = floor, now
    _set_picture(session, settings, plan, picture)
    session.add(plan)
    session.flush()
    return plan


def update(
    session: Session, settings: Settings, plan: FloorPlan, floor: int, picture: Picture | None, now: datetime
) -> None:
    """Give a plan another floor, which is free, and another picture, if there is one."""
    plan.floor, plan.modified = floor, now
    if picture is not None:
        image_files.drop(session, [plan.image])
        _set_picture(session, settings, plan, picture)
    session.flush()


def move(session: Session, plan: FloorPlan, location: Location, now: datetime) -> None:
    """Give a plan to another location. The devices that were placed on it stay where they are, without it."""
    _wait_for_placings(session, plan)
    _take_devices_off(session, DeviceLocation.floor_plan_id == plan.id, now)
    plan.location_id, plan.organization_id, plan.modified = location.id, location.organization_id, now
    session.flush()


def delete(session: Session, plan: FloorPlan, now: datetime) -> None:
    """Remove a plan and its picture. The devices that were placed on it stay at the location."""
    _wait_for_placings(session, plan)
    _take_devices_off(session, DeviceLocation.floor_plan_id == plan.id, now)
    image_files.drop(session, [plan.image])
    session.delete(plan)
    session.flush()


def delete_all(session: Session, location: Location, now: datetime) -> None:
    """Remove all plans of a location; its devices stay there."""
    _take_devices_off(session, DeviceLocation.location_id == location.id, now)
    drop_images(session, FloorPlan.location_id == location.id)
    session.execute(sa.delete(FloorPlan).where(FloorPlan.location_id == location.id))


def drop_images(session: Session, condition: Any) -> None:
    """The plans that fulfil a condition (SQL) are about to go: so do their pictures."""
    image_files.drop(session, session.scalars(sa.select(FloorPlan.image).where(condition)))


def _wait_for_placings(session: Session, plan: FloorPlan) -> None:
    """Whoever places a device on the plan at this moment has locked its location."""
    locations.lock(session, plan.location_id)


def _take_devices_off(session: Session, condition: Any, now: datetime) -> None:
    session.execute(
        sa.update(DeviceLocation)
        .where(condition, sa.or_(DeviceLocation.floor_plan_id.is_not(None), DeviceLocation.indoor.is_not(None)))
        .values(floor_plan_id=None, indoor=None, modified=now)
        .execution_options(synchronize_session="fetch")
    )


def _set_picture(session: Session, settings: Settings, plan: FloorPlan, picture: Picture) -> None:
    plan.image = image_files.keep(session, settings, picture)
    plan.media_type, plan.width, plan.height = picture.media_type, picture.width, picture.height
