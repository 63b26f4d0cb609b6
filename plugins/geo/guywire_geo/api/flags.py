"""The optional flags of the GeoJSON list: bounds, zoom, a cursor, and statuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from guywire.api.field import Field
from guywire.errors import FieldErrors, Invalid

from guywire_geo.services.changes import Cursor
from guywire_geo.services.clusters import MAX_ZOOM
from guywire_geo.services.grid import Bounds

_DEEPEST = 24

FLAGS: Mapping[str, Field] = {
    "bbox": Field(
        str,
        help="Only within these degrees: west,south,east,north. West is more than east across the antimeridian.",
    ),
    "zoom": Field(
        str,
        kind="integer",
        minimum=0,
        maximum=_DEEPEST,
        help="Make clusters of what lies close together on a map of 256 · 2^zoom pixels; from 19 on there are none.",
    ),
    "since": Field(str, help="Only what changed since this cursor of an earlier answer; empty for the first one."),
    "device_status": Field(str, kind="boolean", help="Count the devices of each status."),
}


@dataclass(frozen=True, slots=True)
class Flags:
    """What is asked for. ``since`` is "" where somebody wants his first cursor, and None where nobody wants any."""

    bounds: Bounds | None
    zoom: int | None
    since: Cursor | str | None
    device_status: bool

    @property
    def clustered(self) -> bool:
        """Whether what lies close together is to be made one."""
        return self.zoom is not None and self.zoom <= MAX_ZOOM

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Flags:
        """The flags of a query. Raises Invalid with the errors of all of them."""
        errors: FieldErrors = {}

        def read(name: str, parse: Callable[[str], Any], expected: str) -> Any:
            text = query.get(name)
            if not text:
                return text
            try:
                return parse(text)
            except ValueError:
                errors[name] = [expected]
                return None

        bounds = read("bbox", _bounds, "Enter four numbers of degrees: west,south,east,north.")
        zoom = read("zoom", _zoom, f"Enter a whole number from 0 to {_DEEPEST}.")
        since = read("since", _cursor, "Enter the cursor of an earlier answer.")
        if errors:
            raise Invalid(errors)
        wants_status = query.get("device_status", "").lower() in ("true", "1")
        return cls(bounds or None, None if zoom == "" else zoom, since, wants_status)


def _bounds(text: str) -> Bounds:
    west, south, east, north = (float(part) for part in text.split(","))
    within = all(math.isfinite(each) for each in (west, south, east, north))
    if not within or not -180 <= west <= 180 or not -180 <= east <= 180 or not -90 <= south <= north <= 90:
        raise ValueError(text)
    return Bounds(west, south, east, north)


def _zoom(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 2 or int(text) > _DEEPEST:
        raise ValueError(text)
    return int(text)


def _cursor(text: str) -> Cursor:
    cursor = Cursor.parse(text)
    if cursor is None:
        raise ValueError(text)
    return cursor
