"""Bodies of locations and floor plans: dotted keys, geometries in parts, images."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Annotated, Any

from guywire.api import fields
from guywire.api.base import Resource
from guywire.api.body import parse_json, read_body, require_shallow
from guywire.api.field import Field, fail, is_form
from guywire.api.schema import REQUIRED, Schema, validate
from guywire.errors import APIError, Invalid, ParseError
from guywire.security import Identity, require
from pyramid.request import Request
from typing_extensions import override

from guywire_geo.geometry import Geometry, parse
from guywire_geo.geometry_errors import GeometryInvalid
from guywire_geo.images import ImageInvalid, Picture, normalized
from guywire_geo.services.floor_plans import NO_FILE
from guywire_geo.services.locations import TYPES
from guywire_geo.settings import GeoSettings

NOT_A_FILE = "The submitted data was not a file. Check the encoding type on the form."
SMALLEST, LARGEST = -(2**15), 2**15 - 1
"""The floors that there may be."""


def _geometry(value: Any) -> Geometry | None:
    if value is None or value == "":
        return None
    try:
        return parse(value)
    except GeometryInvalid as error:
        raise fail(str(error)) from None


GEOMETRY = Field(_geometry, kind="json", null=True, help="GeoJSON, WKT, EWKT or HEXEWKB, in degrees of WGS 84.")
"""A geometry, as an object or a text; None for nowhere."""


def _picture(value: Any) -> Picture:
    if isinstance(value, ImageInvalid):
        raise fail(str(value))
    if not isinstance(value, Picture):
        raise fail(fields.NULL if value is None else NOT_A_FILE)
    return value


PICTURE = Field(_picture, kind="image", help="floor plan image")
"""The image of a floor plan."""


class FloorPlanPart(Schema):
    """The floor plan that comes with its location."""

    floor: Annotated[int | None, fields.integer(minimum=SMALLEST, maximum=LARGEST)] = None
    image: Annotated[Picture | None, PICTURE] = None


class LocationPart(Schema):
    """The fields of a location that is made, or changed, together with a device's place."""

    name: Annotated[str, fields.text(75, help="A descriptive name of the location (building name, company name, etc.)")]
    type: Annotated[
        str,
        fields.choice(lambda registry: TYPES, help="indoor locations can have floorplans associated to them"),
    ]
    is_mobile: Annotated[bool, fields.boolean(label="Is mobile?", help="is this location a moving object?")] = False
    address: Annotated[str, fields.text(256, blank=True)] = ""
    geometry: Annotated[Geometry | None, GEOMETRY] = None


def read_nested(request: Request) -> dict[str, Any]:
    """The request's body, whose dotted keys (``location.name``) become nested objects in JSON too.

    Raises what ``read_body`` raises.
    """
    body = read_body(request)
    for key in [key for key in body if "." in key]:
        *parents, last = key.split(".")
        require_shallow(parents)
        target = body
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise Invalid({parent: [f'The body has both "{parent}" and keys below it.']})
        target[last] = body.pop(key)
    for holder in (body, body.get("location")):
        if isinstance(holder, dict) and isinstance(holder.get("geometry"), dict):
            _complete(holder["geometry"])
    return body


def _complete(geometry: dict[str, Any]) -> None:
    """``location`` is another name of ``coordinates``, and a form holds them as a text."""
    if "location" in geometry:
        geometry.setdefault("coordinates", geometry.pop("location"))
    coordinates = geometry.get("coordinates")
    if isinstance(coordinates, str):
        # As a text they are no coordinates, and that is said where they are checked.
        with suppress(ParseError):
            geometry["coordinates"] = parse_json(coordinates.encode())


def _with_pictures(body: dict[str, Any], settings: GeoSettings) -> dict[str, Any]:
    """A body whose uploaded images are pictures, or what is wrong with them."""
    for holder in (body, body.get("floorplan")):
        if not isinstance(holder, dict):
            continue
        image: Any = holder.get("image")
        if hasattr(image, "file"):
            # A request that is repeated, because another was faster, reads the file again.
            image.file.seek(0)
            try:
                holder["image"] = normalized(image.file.read(), settings.max_image_size, settings.max_image_pixels)
            except ImageInvalid as error:
                holder["image"] = error
        elif is_form(holder) and not image:
            # A form in which nobody chose a file.
            holder.pop("image", None)
    return body


class TakesImages(Resource):
    """A resource whose bodies may hold an image.

    It is decoded, which may take a second, after it is certain that the user may send one and before the session is
    opened, because that takes the write lock.
    """

    @override
    def authorized(self) -> Identity:
        identity = super().authorized()
        self._given: dict[str, Any] | APIError = {}
        if self.request.method in ("POST", "PUT", "PATCH"):
            try:
                body = read_nested(self.request)
                self._given = _with_pictures(body, GeoSettings.of(self.runtime.settings))
            except APIError as error:
                # It is told when it is its turn: a body is no reason to say that there is such an object.
                self._given = error
        return identity

    @override
    def validated(self, *, partial: bool) -> dict[str, Any]:
        if isinstance(self._given, APIError):
            raise self._given
        return self.valid(self.schema, self._given, partial=partial)

    def valid(self, schema: type[Schema], body: Any, *, partial: bool) -> dict[str, Any]:
        """The fields of a body, or of a part of it. Raises Invalid."""
        try:
            return validate(schema, body, self.validation(is_form(body)), partial=partial)
        except Invalid as invalid:
            if invalid.body.get("image") == [REQUIRED]:
                invalid.body["image"] = [NO_FILE]
            raise

    def require(self, kind: str, *, is_new: bool) -> None:
        """Whether the user may also make, or change, something else that the body holds. Raises PermissionDenied."""
        require(self.identity, "POST" if is_new else "PATCH", kind)

    def link(self, path: str) -> str:
        """The whole address of something that this server serves."""
        return f"{self.request.application_url}{path}"


def image_path(plan_id: uuid.UUID, file: str) -> str:
    """Where the image of a floor plan is served, given the name of its file."""
    return f"/media/floorplans/{plan_id}.{file.rpartition('.')[2]}"
