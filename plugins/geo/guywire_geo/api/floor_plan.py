"""Floor plans: ``/api/v1/controller/floorplan/``."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields, filters
from guywire.api.base import register
from guywire.api.schema import Schema
from guywire.api.shown import Grouped
from guywire.errors import MODEL, NON_FIELD, Invalid
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire_geo.api.bodies import LARGEST, PICTURE, SMALLEST, TakesImages, image_path
from guywire_geo.floors import title_of
from guywire_geo.images import Picture
from guywire_geo.models import FloorPlan, Location
from guywire_geo.services import floor_plans, locations

PATH = "/api/v1/controller/floorplan/"
NOT_UNIQUE = "The fields location, floor must make a unique set."


class FloorPlanBody(Schema):
    """A floor plan's fields. It belongs to the organization of its location."""

    floor: Annotated[int, fields.integer(minimum=SMALLEST, maximum=LARGEST)]
    image: Annotated[Picture, PICTURE]
    location: Annotated[uuid.UUID, fields.reference(Location)]


def _loaded(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, str]]:
    query = sa.select(FloorPlan.id, FloorPlan.floor, FloorPlan.image, Location.name)
    query = query.join(Location, Location.id == FloorPlan.location_id).where(FloorPlan.id.in_(ids))
    return {
        id: {"name": title_of(name, floor), "image": image_path(id, image)}
        for id, floor, image, name in session.execute(query)
    }


@register(PATH)
class FloorPlanResource(TakesImages):
    """Floor plans: pictures of the floors of indoor locations."""

    model = FloorPlan
    schema = FloorPlanBody
    kind = "floorplan"
    label = "FloorPlan"
    shown = {  # noqa: RUF012
        "id": FloorPlan.id,
        "name": Grouped(_loaded, "name", {"type": "string"}),
        "floor": FloorPlan.floor,
        "image": Grouped(_loaded, "image", {"type": "string", "format": "uri"}),
        "created": FloorPlan.created,
        "modified": FloorPlan.modified,
        "location": FloorPlan.location_id,
        "organization": FloorPlan.organization_id,
    }
    filters = filters.organization(FloorPlan.organization_id)

    @override
    def create(self, fields: dict[str, Any]) -> FloorPlan:
        location = self._location(fields["location"], fields["floor"])
        return floor_plans.create(
            self.session, self.runtime.settings, location, fields["floor"], fields["image"], self.now
        )

    @override
    def update(self, row: FloorPlan, fields: dict[str, Any]) -> None:
        floor = fields.get("floor", row.floor)
        location = self._location(fields.get("location", row.location_id), floor, but=row)
        if location.id != row.location_id:
            floor_plans.move(self.session, row, location, self.now)
        floor_plans.update(self.session, self.runtime.settings, row, floor, fields.get("image"), self.now)

    @override
    def delete(self, row: FloorPlan) -> None:
        floor_plans.delete(self.session, row, self.now)

    def _location(self, id: uuid.UUID, floor: int, but: FloorPlan | None = None) -> Location:
        """The location of a plan of a floor, locked. Raises Invalid where there must be none."""
        location = locations.lock(self.session, id)
        if location is None:
            raise Invalid({"location": [f'Invalid pk "{id}" - object does not exist.']})
        if floor_plans.is_taken(self.session, id, floor, but=but):
            raise Invalid({NON_FIELD: [NOT_UNIQUE]})
        if location.type != locations.INDOOR:
            raise Invalid({MODEL: [floor_plans.NOT_INDOOR]})
        return location

    @override
    def present(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"image": self.link(body["image"])}
