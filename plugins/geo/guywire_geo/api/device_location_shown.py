"""What is shown of where a device is."""

from __future__ import annotations

from typing import Any

from guywire.api.shown import nullable, object_schema
from sqlalchemy.orm import Session

from guywire_geo.api.bodies import image_path
from guywire_geo.floors import title_of
from guywire_geo.models import GEOMETRY_SCHEMA, DeviceLocation, FloorPlan, Location
from guywire_geo.services.locations import TYPES


def location_of(session: Session, place: DeviceLocation) -> dict[str, Any]:
    """Where a device is, as a GeoJSON feature."""
    location = session.get_one(Location, place.location_id)
    return {
        "id": location.id,
        "type": "Feature",
        "geometry": location.geometry,
        "properties": {
            "type": location.type,
            "is_mobile": location.is_mobile,
            "name": location.name,
            "address": location.address,
        },
    }


def plan_of(session: Session, place: DeviceLocation) -> dict[str, Any] | None:
    """The floor plan that a device is on."""
    if place.floor_plan_id is None:
        return None
    plan = session.get_one(FloorPlan, place.floor_plan_id)
    return {
        "id": plan.id,
        "name": title_of(session.get_one(Location, place.location_id).name, plan.floor),
        "floor": plan.floor,
        "image": image_path(plan.id, plan.image),
        "created": plan.created,
        "modified": plan.modified,
    }


_ID = {"type": "string", "format": "uuid"}
_MOMENT = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string"}
FEATURE = object_schema(
    id=_ID,
    type={"type": "string", "const": "Feature"},
    geometry=nullable(GEOMETRY_SCHEMA),
    properties=object_schema(
        type={"type": "string", "enum": list(TYPES)}, is_mobile={"type": "boolean"}, name=_TEXT, address=_TEXT
    ),
)
PLAN = object_schema(
    id=_ID,
    name=_TEXT,
    floor={"type": "integer"},
    image={"type": "string", "format": "uri"},
    created=_MOMENT,
    modified=_MOMENT,
)
