"""Rows and pictures of geography, for tests that need some and do not look at them."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from guywire.models import Device
from guywire_geo.models import DeviceLocation, FloorPlan, Location
from PIL import Image
from sqlalchemy.orm import Session

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATES: dict[str, Any] = {"created": NOW, "modified": NOW}


def location_row(session: Session, owner: UUID | None) -> Location:
    """A building."""
    location = Location(id=uuid4(), organization_id=owner, name="some", type="indoor", **DATES)
    location.geometry, location.longitude, location.latitude = {"type": "Point", "coordinates": [1.0, 2.0]}, 1.0, 2.0
    session.add(location)
    session.flush()
    return location


def floor_plan_row(session: Session, owner: UUID | None, folder: Path | None = None) -> FloorPlan:
    """A floor plan, whose picture is written to a folder, or lost."""
    location = location_row(session, owner)
    image = f"{uuid4().hex}.png"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(picture())
    size: dict[str, Any] = {"media_type": "image/png", "width": 8, "height": 6}
    plan = FloorPlan(location_id=location.id, organization_id=owner, floor=1, image=image, **size, **DATES)
    session.add(plan)
    session.flush()
    return plan


def place_row(session: Session, device: Device) -> DeviceLocation:
    """A building that a device is in."""
    location = location_row(session, device.organization_id)
    place = DeviceLocation(device_id=device.id, location_id=location.id, **DATES)
    session.add(place)
    session.flush()
    return place


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    """The bytes of an image."""
    written = BytesIO()
    Image.new("RGB", size, "white").save(written, kind, **options)
    return written.getvalue()
