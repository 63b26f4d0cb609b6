"""Filters of the list of devices: where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from guywire.api import filters
from guywire.api.field import Field, Validation, fail
from guywire.api.field_groups import FieldGroup
from guywire.api.fields import primary_key
from guywire.api.filters import Filter
from guywire.models import Device
from pydantic_core import PydanticCustomError

from guywire_geo.models import DeviceLocation, FloorPlan, Location


def _placed(*conditions: Any) -> Any:
    """SQL: the devices that are somewhere, and fulfil some conditions there."""
    return Device.id.in_(sa.select(DeviceLocation.device_id).where(*conditions))


# Not a list of ids: every device may have a location, and the newest ones are found without looking at the others.
_IS_PLACED = sa.exists().where(DeviceLocation.device_id == Device.id)


def _at_named(text: str) -> Any:
    named = sa.select(Location.id).where(Location.name.icontains(text, autoescape=True))
    return _placed(DeviceLocation.location_id.in_(named))


def _id(model: Any, condition: Callable[[Any], Any], help: str) -> Filter:
    def check(text: str, context: Validation) -> Any:
        try:
            key = primary_key(model, text)
        except PydanticCustomError:
            raise fail("Enter a valid UUID.") from None
        return _placed(condition(key))

    return Filter(check, Field(str, kind="reference", model=model, help=help))


DEVICE_FILTERS = FieldGroup(
    resource="device",
    name="geo",
    filters={
        "with_geo": filters.yes_no(lambda on: _IS_PLACED if on else ~_IS_PLACED, help="Whether they have a location."),
        "location": _id(Location, DeviceLocation.location_id.__eq__, "At this location."),
        "location__name": Filter(
            lambda text, context: _at_named(text),
            Field(str, kind="string", help="At a location whose name has this in it."),
        ),
        "floorplan": _id(FloorPlan, DeviceLocation.floor_plan_id.__eq__, "On this floor plan."),
    },
)
