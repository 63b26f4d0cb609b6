"""Locations: ``/api/v1/controller/location/``."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields, filters
from guywire.api.base import register
from guywire.api.shown import Loaded, object_schema
from guywire.errors import Invalid
from guywire.models import Organization
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire_geo.api.bodies import FloorPlanPart, LocationPart, TakesImages, image_path
from guywire_geo.models import FloorPlan, Location
from guywire_geo.services import floor_plans, locations

PATH = "/api/v1/controller/location/"
ONLY_INDOOR = "Floorplan can only be added with location of the type indoor"


class LocationBody(LocationPart):
    """A location's fields. A floor plan that comes along is made, or changes the newest one that there is."""

    organization: Annotated[uuid.UUID, fields.reference(Organization)]
    floorplan: FloorPlanPart | None = None


def _plans(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    """The floor plans of locations, the newest first."""
    query = sa.select(FloorPlan.id, FloorPlan.location_id, FloorPlan.floor, FloorPlan.image)
    query = query.where(FloorPlan.location_id.in_(ids)).order_by(FloorPlan.created.desc(), FloorPlan.id.desc())
    found: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for id, location_id, floor, image in session.execute(query):
        found.setdefault(location_id, []).append({"floor": floor, "image": image_path(id, image)})
    return found


_PLAN = object_schema(floor={"type": "integer"}, image={"type": "string", "format": "uri"})


@register(PATH)
class LocationResource(TakesImages):
    """Locations: places outdoors, buildings with floor plans, and whatever mobile devices are in."""

    model = Location
    schema = LocationBody
    kind = "location"
    label = "Location"
    shown = {  # noqa: RUF012
        "id": Location.id,
        "organization": Location.organization_id,
        "name": Location.name,
        "type": Location.type,
        "is_mobile": Location.is_mobile,
        "address": Location.address,
        "geometry": Location.geometry,
        "created": Location.created,
        "modified": Location.modified,
        "floorplan": Loaded(_plans, {"type": "array", "items": _PLAN}, default=()),
    }
    filters = {  # noqa: RUF012
        **filters.organization(Location.organization_id),
        "is_mobile": filters.yes_no(Location.is_mobile.is_),
        "type": filters.choice(Location.type.__eq__, lambda registry: locations.TYPES),
    }

    @override
    def create(self, fields: dict[str, Any]) -> Location:
        plan = fields.pop("floorplan", None)
        self._require_indoor(plan, fields["type"])
        location = locations.create(self.session, fields.pop("organization"), fields, self.now)
        self._save_plan(location, plan)
        return location

    @override
    def update(self, row: Location, fields: dict[str, Any]) -> None:
        plan = fields.pop("floorplan", None)
        self._require_indoor(plan, fields.get("type", row.type))
        locations.update(self.session, row, fields, self.now)
        if row.type == locations.OUTDOOR:
            floor_plans.delete_all(self.session, row, self.now)
        self._save_plan(row, plan)

    @override
    def delete(self, row: Location) -> None:
        floor_plans.drop_images(self.session, FloorPlan.location_id == row.id)
        super().delete(row)

    def _require_indoor(self, plan: dict[str, Any] | None, type: str) -> None:
        if plan and type != locations.INDOOR:
            raise Invalid({"type": [ONLY_INDOOR]})

    def _save_plan(self, location: Location, given: dict[str, Any] | None) -> None:
        if not given:
            return
        settings, newest = self.runtime.settings, floor_plans.newest_of(self.session, location.id)
        self.require("floorplan", is_new=newest is None)
        try:
            floor_plans.save_nested(self.session, settings, location, newest, given, self.now)
        except Invalid as invalid:
            raise Invalid({"floorplan": invalid.body}) from None

    @override
    def present(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"floorplan": [plan | {"image": self.link(plan["image"])} for plan in body["floorplan"]]}
