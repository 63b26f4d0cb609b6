"""Where a device says that it is: ``/api/v1/controller/device/{id}/coordinates/``."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api.base import UUID_PATTERN
from guywire.api.device import PATH as DEVICES
from guywire.api.field import Validation, is_form
from guywire.api.fields import text
from guywire.api.schema import Schema, validate
from guywire.api.service import APIService, Operation
from guywire.api.shown import nullable, object_schema
from guywire.db import reading
from guywire.errors import NotFound, PermissionDenied
from guywire.models import Device, Organization
from guywire.security import require, visible_to
from pyramid.request import Request

from guywire_geo.api.bodies import GEOMETRY, read_nested
from guywire_geo.geometry import Geometry
from guywire_geo.models import GEOMETRY_SCHEMA, Location
from guywire_geo.services.placements import Placing, place_of

KIND = "location"
"""What somebody without the device's key needs the permissions of."""

service = APIService(
    name="device_coordinates",
    path=f"{DEVICES}{{id:{UUID_PATTERN}}}/coordinates/",
    description="Where a device is, for the device itself: its key proves who it is.",
)


class CoordinatesBody(Schema):
    """A GeoJSON feature, of which only the geometry counts."""

    geometry: Annotated[Geometry | None, GEOMETRY] = None


_FEATURE = object_schema(
    type={"type": "string", "const": "Feature"},
    geometry=nullable(GEOMETRY_SCHEMA),
    properties=object_schema(name={"type": "string"}),
)
_KEY = {"key": text(64, help="The device's key.", kind="string")}


def _operation(permission: str, **options: Any) -> Operation:
    return Operation(permission=permission, answer=_FEATURE, parameters=_KEY, **options)


@service.get(operation=_operation("view_location"))
def show_coordinates(request: Request) -> dict[str, Any]:
    """Where the device is. With its key, or for whoever may see its location."""
    device_id = _authorized(request)
    place = place_of(request.db, device_id)
    if place is None:
        raise NotFound()
    return _body(request.db.get_one(Location, place.location_id))


@service.put(operation=_operation("change_location", body=CoordinatesBody, partial=True))
def put_coordinates(request: Request) -> dict[str, Any]:
    """Move the device's location. A device that has none gets a mobile one, named after it."""
    return _moved(request, may_create=True)


@service.patch(operation=_operation("change_location", body=CoordinatesBody, partial=True))
def patch_coordinates(request: Request) -> dict[str, Any]:
    """Move the location that the device has."""
    return _moved(request, may_create=False)


def _moved(request: Request, *, may_create: bool) -> dict[str, Any]:
    device_id = _authorized(request)
    device = request.db.scalars(sa.select(Device).where(Device.id == device_id).with_for_update(key_share=True)).first()
    if device is None:
        raise NotFound.of(Device.__name__)
    if device.is_deactivated:
        raise PermissionDenied()
    body = read_nested(request)
    context = Validation(is_form=is_form(body), exists=lambda model, ids: set(), registry=request.runtime.registry)
    given = validate(CoordinatesBody, body, context, partial=True)
    placing = Placing(request.db, request.runtime.settings, device, request.now)
    location = placing.move(given.get("geometry"), given="geometry" in given, may_create=may_create)
    if location is None:
        raise NotFound()
    return _body(location)


def _authorized(request: Request) -> UUID:
    """The id of the device, if its key is given or the user may do this. Raises NotFound, and what ``require`` does."""
    id = UUID(request.matchdict["id"])
    # The session of an unsafe method waits for the write lock, which strangers must not.
    is_safe = request.method in ("GET", "HEAD")
    with nullcontext(request.db) if is_safe else reading(request.runtime.session_factory) as session:
        query = sa.select(Device.key, Device.organization_id, Organization.is_active)
        found = session.execute(query.join(Organization).where(Device.id == id)).first()
        if found is None:
            raise NotFound.of(Device.__name__)
        key = request.GET.get("key")
        if key and secrets.compare_digest(found.key.encode(), key.encode()):
            if not found.is_active:
                raise NotFound.of(Device.__name__)
            return id
        identity = require(request.identity, request.method, KIND)
        if request.method == "PUT" and place_of(session, id) is None:
            require(identity, "POST", KIND)
        visible = visible_to(identity, Device.organization_id, shared=False)
        if session.scalar(sa.select(Device.id).where(Device.id == id, visible)) is None:
            raise NotFound.of(Device.__name__)
    return id


def _body(location: Location) -> dict[str, Any]:
    return {"type": "Feature", "geometry": location.geometry, "properties": {"name": location.name}}
