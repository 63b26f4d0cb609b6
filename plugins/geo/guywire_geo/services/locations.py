"""Locations: what may be said of them, and what their changes mean for floor plans and devices."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.errors import Invalid
from guywire.models import Device
from sqlalchemy.orm import Session

from guywire_geo.geometry import Geometry
from guywire_geo.models import DeviceLocation, Location

OUTDOOR, INDOOR = "outdoor", "indoor"
TYPES = {
    OUTDOOR: "Outdoor environment (eg: street, square, garden, land)",
    INDOOR: "Indoor environment (eg: building, roofs, subway, large vehicles)",
}
NO_GEOMETRY = "No geometry value provided."
HAS_DEVICES = "Devices of another organization are at this location."


def create(session: Session, organization_id: uuid.UUID, given: Mapping[str, Any], now: datetime) -> Location:
    """A new location of validated fields. Raises Invalid."""
    location = Location(id=uuid.uuid4(), organization_id=organization_id, created=now, is_mobile=False, address="")
    _apply(location, given, now)
    session.add(location)
    session.flush()
    return location


def update(session: Session, location: Location, given: Mapping[str, Any], now: datetime) -> None:
    """Change a location as validated fields say. Its floor plans are the caller's business. Raises Invalid."""
    organization_id = given.get("organization", location.organization_id)
    if organization_id != location.organization_id:
        _refuse_strangers(session, location, organization_id)
        location.organization_id = organization_id
    _apply(location, given, now)
    session.flush()


def set_geometry(location: Location, geometry: Geometry | None) -> None:
    """Put a location somewhere else, or nowhere. Raises Invalid for a fixed one that would be nowhere."""
    if geometry is not None:
        location.geometry = geometry.value
        location.longitude, location.latitude = geometry.longitude, geometry.latitude
    elif location.is_mobile:
        location.geometry = location.longitude = location.latitude = None
    else:
        raise Invalid({"geometry": [NO_GEOMETRY]})


def lock(session: Session, location_id: uuid.UUID) -> Location | None:
    """The location as it is now, for who changes it or depends on its type; None if it is gone."""
    # Not against those who only refer to it: they may hold what its change is going to wait for.
    query = sa.select(Location).where(Location.id == location_id)
    query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).first()


def _apply(location: Location, given: Mapping[str, Any], now: datetime) -> None:
    for name in ("name", "type", "is_mobile", "address"):
        if name in given:
            setattr(location, name, given[name])
    location.modified = now
    if "geometry" in given:
        set_geometry(location, given["geometry"])
    elif location.geometry is None:
        set_geometry(location, None)


def _refuse_strangers(session: Session, location: Location, organization_id: uuid.UUID) -> None:
    """A location may not leave devices behind that it must not belong to."""
    strangers = (
        sa.select(Device.id)
        .join(DeviceLocation, DeviceLocation.device_id == Device.id)
        .where(DeviceLocation.location_id == location.id, Device.organization_id != organization_id)
    )
    if session.scalar(strangers.limit(1)) is not None:
        raise Invalid({"organization": [HAS_DEVICES]})
