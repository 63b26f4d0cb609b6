"""Tables of locations, their floor plans, and where devices are."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from guywire.models.base import Base, Dated, Identified, OrderedJSON, text
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

GEOMETRY_SCHEMA = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "coordinates": {"type": "array"}},
    "required": ["type"],
    "additionalProperties": True,
}
"""JSON Schema of a GeoJSON geometry."""


PLACED = sa.text("device_count > 0")
"""SQL: the locations that have devices. As a text, because a database that does not see the number cannot use the
indexes that hold only these."""


FILTERED = ("organization_id", "type", "is_mobile")
"""The columns by which the map is filtered. Places have copies of them."""


def _placed(name: str, *columns: str) -> sa.Index:
    # SQLite looks at the number again: in the index, it is at hand.
    return sa.Index(name, *columns, "device_count", sqlite_where=PLACED, postgresql_where=PLACED)


class Location(Identified, Dated, Base):
    """A place: a mast, a building with floor plans (``type`` indoor), or whatever a mobile device is in.

    ``geometry`` is GeoJSON, longitude first, in degrees of WGS 84; only places of mobile devices may lack it.
    ``longitude`` and ``latitude`` are its representative point (the middle of its bounding box), which lists of what
    lies within bounds search by. ``cell`` (where that is in ``guywire_geo.services.grid``) and ``device_count`` are
    kept by ``guywire_geo.services.points``: the map looks for what has devices, and counts it by cells.
    """

    __tablename__ = "geo_location"
    __table_args__ = (
        # What floor plans refer to, so that their organization is always the location's.
        sa.UniqueConstraint("id", "organization_id"),
        sa.Index("ix_geo_location_created_id", "created", "id"),
        sa.Index("ix_geo_location_organization_id_created_id", "organization_id", "created", "id"),
        _placed("ix_geo_location_placed", "created", "id"),
        _placed("ix_geo_location_organization", "organization_id", "created", "id"),
        # Whatever the map may be asked for, these two hold, so that no row has to be looked at.
        _placed("ix_geo_location_bounds", "longitude", "latitude", *FILTERED, "created", "id"),
        _placed("ix_geo_location_cell", "cell", "longitude", "latitude", *FILTERED, "id"),
    )

    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    name: Mapped[str] = text(75)
    type: Mapped[str] = mapped_column(String(8))
    is_mobile: Mapped[bool] = mapped_column(default=False)
    address: Mapped[str] = text(256)
    geometry: Mapped[Any | None] = mapped_column(OrderedJSON, info={"json_schema": GEOMETRY_SCHEMA})
    longitude: Mapped[float | None] = mapped_column(sa.Double)
    latitude: Mapped[float | None] = mapped_column(sa.Double)
    cell: Mapped[int | None] = mapped_column(sa.BigInteger)
    device_count: Mapped[int] = mapped_column(default=0)
    is_estimated: Mapped[bool] = mapped_column(default=False)


class FloorPlan(Identified, Dated, Base):
    """The picture of one floor of an indoor location.

    ``image`` is the name of its file: the hash of the content, so that caches can tell it, and a random token, so that
    the file is this row's alone and can go when the row goes. ``width`` and ``height`` are pixels.
    """

    __tablename__ = "geo_floor_plan"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["location_id", "organization_id"],
            ["geo_location.id", "geo_location.organization_id"],
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("location_id", "floor"),
        sa.Index("ix_geo_floor_plan_created_id", "created", "id"),
        sa.Index("ix_geo_floor_plan_organization_id_created_id", "organization_id", "created", "id"),
    )

    location_id: Mapped[uuid.UUID]
    organization_id: Mapped[uuid.UUID]
    floor: Mapped[int] = mapped_column(sa.SmallInteger)
    image: Mapped[str] = mapped_column(String(96), unique=True)
    media_type: Mapped[str] = mapped_column(String(16))
    width: Mapped[int]
    height: Mapped[int]


class DeviceLocation(Identified, Dated, Base):
    """Where a device is: at a location and, indoors, on a floor plan.

    ``indoor`` is the place on the plan as the client gave it: pixels from the top left corner as "down,right", down
    being negative.
    """

    __tablename__ = "geo_device_location"
    __table_args__ = (
        sa.Index("ix_geo_device_location_status_cell", "status", "cell", *FILTERED, "location_id", "device_id"),
    )

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), unique=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("geo_location.id", ondelete="CASCADE"), index=True)
    floor_plan_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("geo_floor_plan.id", ondelete="SET NULL"), index=True
    )
    indoor: Mapped[str | None] = mapped_column(String(64))
    # Copies for counting by cells, kept by ``guywire_geo.services.points``: of the location, and of the status as it
    # was when it last changed ("": the device has no configuration).
    organization_id: Mapped[uuid.UUID | None]
    type: Mapped[str | None] = mapped_column(String(8))
    is_mobile: Mapped[bool | None]
    cell: Mapped[int | None] = mapped_column(sa.BigInteger)
    status: Mapped[str] = text(16)


class LocationChange(Base):
    """A line of the log of what the map shows: something is new or other about a location, or it is gone.

    ``location_id`` None: more changed than was written down. ``transaction`` is PostgreSQL's number of the transaction
    that wrote the line, because lines are not committed in the order of their ids there.
    """

    __tablename__ = "geo_change"
    __table_args__ = (sa.Index("ix_geo_change_transaction", "transaction"),)

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    transaction: Mapped[int | None] = mapped_column(sa.BigInteger)
    location_id: Mapped[uuid.UUID | None]
    organization_id: Mapped[uuid.UUID | None]


class OrganizationGeoSettings(Base):
    """What an organization wants of geography. Organizations without a row have the defaults."""

    __tablename__ = "geo_organization_settings"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True
    )
    estimated_location_enabled: Mapped[bool] = mapped_column(default=False)
