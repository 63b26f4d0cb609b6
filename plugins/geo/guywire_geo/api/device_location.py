"""Where a device is: ``/api/v1/controller/device/{id}/location/``."""

from __future__ import annotations

import uuid
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.base import UUID_PATTERN, register_single
from guywire.api.body import parse_json
from guywire.api.device import PATH as DEVICES
from guywire.api.field import Field, context_of, fail, is_form
from guywire.api.fields import primary_key
from guywire.api.schema import Schema
from guywire.api.shown import Computed, nullable
from guywire.errors import Invalid, NotFound, ParseError, PermissionDenied
from guywire.models import Device
from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError
from typing_extensions import override

from guywire_geo.api.bodies import FloorPlanPart, LocationPart, TakesImages
from guywire_geo.api.device_location_shown import FEATURE, PLAN, location_of, plan_of
from guywire_geo.models import DeviceLocation, FloorPlan, Location
from guywire_geo.services.placements import UNKNOWN_LOCATION, Placing, forget, place_of

PATH = f"{DEVICES}{{id:{UUID_PATTERN}}}/location/"
UNKNOWN_PLAN = "FloorPlan object with entered ID does not exists."


def _id_or_object(value: Any, info: ValidationInfo) -> Any:
    if context_of(info).is_form and isinstance(value, str) and value.startswith("{"):
        try:
            return parse_json(value.encode())
        except ParseError:
            raise fail(fields.NOT_JSON) from None
    return value


class DeviceLocationBody(Schema):
    """Where a device is."""

    location: Annotated[
        Any,
        Field(_id_or_object, kind="json", help="The id of a location, or the fields of one: a new one, or the present"),
    ]
    floorplan: Annotated[
        Any,
        Field(_id_or_object, kind="json", null=True, help="The id of a floor plan, or the floor and image of one"),
    ] = None
    indoor: Annotated[
        str | None,
        fields.text(64, null=True, blank=True, help='Point on the plan, in pixels from its top left corner: "-36,264"'),
    ] = None


@register_single(PATH, methods=frozenset({"GET", "PUT", "PATCH", "DELETE"}))
class DeviceLocationResource(TakesImages):
    """Where a device is: at a location and, indoors, at a point of a floor plan."""

    model = DeviceLocation
    schema = DeviceLocationBody
    kind = "devicelocation"
    label = "DeviceLocation"
    made_by_put = True
    shown = {  # noqa: RUF012
        "location": Computed(location_of, FEATURE),
        "floorplan": Computed(plan_of, nullable(PLAN)),
        "indoor": DeviceLocation.indoor,
    }

    @override
    def row(self) -> DeviceLocation:
        place = place_of(self.session, self.device().id)
        if place is None:
            raise NotFound.of(self.label)
        return place

    def device(self) -> Device:
        """The device, locked when its place is going to be changed. Raises NotFound, PermissionDenied."""
        query = sa.select(Device).where(
            Device.id == UUID(self.request.matchdict["id"]), self.visible(Device.organization_id)
        )
        changes = self.request.method not in ("GET", "HEAD")
        device = self.session.scalars(query.with_for_update(key_share=True) if changes else query).first()
        if device is None:
            raise NotFound()
        if changes and device.is_deactivated:
            raise PermissionDenied()
        return device

    @override
    def put(self) -> dict[str, Any]:
        """Say where the device is. A location, or a floor plan, may be made or changed by the way."""
        device = self.device()
        is_new = place_of(self.session, device.id) is None
        if is_new:
            self.require(self.kind, is_new=True)
        place = self._place(device, self.validated(partial=False))
        if is_new:
            self.request.response.status = 201
        return self.represent(place)

    @override
    def update(self, row: DeviceLocation, fields: dict[str, Any]) -> None:
        self._place(self.device(), fields)

    @override
    def delete(self, row: DeviceLocation) -> None:
        forget(self.session, row.device_id)

    @override
    def represent(self, row: DeviceLocation) -> dict[str, Any]:
        body = super().represent(row)
        plan = body["floorplan"]
        return body if plan is None else body | {"floorplan": plan | {"image": self.link(plan["image"])}}

    @override
    def validated(self, *, partial: bool) -> dict[str, Any]:
        given = super().validated(partial=partial)
        if "location" in given:
            given["location"] = self._located(given["location"])
        if given.get("floorplan") in ("", {}):
            # What a form without a plan says, and an object that says nothing.
            value = given.pop("floorplan")
            given |= {"floorplan": None} if value == "" else {}
        elif given.get("floorplan") is not None:
            given["floorplan"] = self._planned(given["floorplan"])
        return given

    def _located(self, value: Any) -> Any:
        if value is None:
            raise Invalid({"location": [fields.NULL]})
        if isinstance(value, dict):
            return self._part("location", LocationPart, value, partial=False)
        return self._known("location", Location, value, UNKNOWN_LOCATION)

    def _planned(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._part("floorplan", FloorPlanPart, value, partial=True)
        return self._known("floorplan", FloorPlan, value, UNKNOWN_PLAN)

    def _part(self, name: str, schema: type[Schema], value: dict[str, Any], *, partial: bool) -> dict[str, Any]:
        try:
            return self.valid(schema, value, partial=partial)
        except Invalid as invalid:
            raise Invalid({name: invalid.body}) from None

    def _known(self, name: str, model: Any, value: Any, message: str) -> uuid.UUID:
        """The id of something that the user may refer to."""
        try:
            key: uuid.UUID = primary_key(model, value)
        except PydanticCustomError:
            raise Invalid({name: {name: message}}) from None
        if not self.validation(is_form(value)).exists(model, [key]):
            raise Invalid({name: {name: message}})
        return key

    def _place(self, device: Device, given: dict[str, Any]) -> DeviceLocation:
        former = place_of(self.session, device.id)
        if isinstance(given.get("location"), dict):
            self.require("location", is_new=former is None)
        if isinstance(given.get("floorplan"), dict):
            self.require("floorplan", is_new=former is None or former.floor_plan_id is None)
        return Placing(self.session, self.runtime.settings, device, self.now).place(given)
