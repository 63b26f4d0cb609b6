"""Geometries as clients give them: GeoJSON, WKT, EWKT or HEXEWKB, in degrees of WGS 84, longitude first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import geojson
from guywire.api.body import parse_json
from guywire.errors import ParseError

from guywire_geo import wkb, wkt
from guywire_geo.geometry_errors import GeometryInvalid

MAX_POINTS = 5000
"""A geometry is a place, not a map: more points only slow down everybody who looks at it."""
MAX_TEXT = 1_000_000
SRID = 4326

_DEPTHS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "Polygon": 2,
    "MultiLineString": 2,
    "MultiPolygon": 3,
}
"""How deep the positions of each type lie in its coordinates."""
_COLLECTION = "GeometryCollection"
_EXACT = 15
"""Decimal places that the validation looks at: all that a float has."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A geometry that was checked: ``value`` is GeoJSON with floats, the point is the middle of its bounding box.

    What lies on both sides of the antimeridian has its box there, if that is the smaller one.
    """

    value: dict[str, Any]
    longitude: float
    latitude: float


def parse(given: Any) -> Geometry:
    """The geometry that a client gave, as an object or a text. Raises GeometryInvalid with the reason."""
    value = _of_text(given) if isinstance(given, str) else given
    if not isinstance(value, Mapping):
        raise GeometryInvalid(f"A geometry is a GeoJSON object or a text, not {type(given).__name__}.")
    check = _Check()
    checked = check.geometry(value)
    longitudes, latitudes = zip(*((x, y) for x, y, *_ in check.positions), strict=True)
    west, east = _narrowest(longitudes)
    middle = (west + east) / 2
    return Geometry(checked, middle - 360 if middle > 180 else middle, (min(latitudes) + max(latitudes)) / 2)


def _narrowest(longitudes: tuple[float, ...]) -> tuple[float, float]:
    """West and east of the box that holds them all; east is above 180 if it crosses the antimeridian."""
    eastwards = [each + 360 if each < 0 else each for each in longitudes]
    boxes = (min(longitudes), max(longitudes)), (min(eastwards), max(eastwards))
    return min(boxes, key=lambda box: box[1] - box[0])


def _of_text(text: str) -> Any:
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise GeometryInvalid(f"The text of a geometry has at most {MAX_TEXT} characters.")
    if text.startswith("{"):
        try:
            return parse_json(text.encode())
        except (ParseError, UnicodeEncodeError):
            raise GeometryInvalid("The text of the geometry is not JSON.") from None
    srid, value = wkb.read(text) if wkb.looks_like(text) else wkt.read(text)
    if srid not in (None, SRID):
        raise GeometryInvalid(f"The SRID of a geometry is {SRID} (WGS 84), not {srid}.")
    return value


@dataclass(slots=True)
class _Check:
    """Checks one geometry, and collects its positions."""

    positions: list[list[float]] = field(default_factory=list)

    def geometry(self, value: Mapping[str, Any], *, nested: bool = False) -> dict[str, Any]:
        kind = value.get("type")
        _require_wgs84(value)
        if kind == _COLLECTION and not nested:
            members = value.get("geometries")
            if not isinstance(members, list) or not members or not all(isinstance(each, Mapping) for each in members):
                raise GeometryInvalid("A GeometryCollection has a list of geometries.")
            return {"type": kind, "geometries": [self.geometry(each, nested=True) for each in members]}
        if not isinstance(kind, str) or kind not in _DEPTHS:
            raise GeometryInvalid(f"The type of a geometry is one of {', '.join((*_DEPTHS, _COLLECTION))}.")
        coordinates = self._coordinates(value.get("coordinates"), _DEPTHS[kind])
        if errors := getattr(geojson, kind)(coordinates, precision=_EXACT).errors():
            raise GeometryInvalid(f"The coordinates of the {kind} are wrong: {errors}.")
        return {"type": kind, "coordinates": coordinates}

    def _coordinates(self, value: Any, depth: int) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise GeometryInvalid("The coordinates of a geometry are lists of numbers, nested as its type asks for.")
        if depth:
            return [self._coordinates(each, depth - 1) for each in value]
        position = [_number(each) for each in value]
        if len(position) not in (2, 3):
            raise GeometryInvalid("A position is a longitude, a latitude and perhaps an altitude.")
        _require_range("longitude", position[0], 180)
        _require_range("latitude", position[1], 90)
        self.positions.append(position)
        if len(self.positions) > MAX_POINTS:
            raise GeometryInvalid(f"A geometry has at most {MAX_POINTS} points.")
        return position


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise GeometryInvalid("The coordinates of a geometry are finite numbers.")
    return float(value)


def _require_range(name: str, value: float, limit: int) -> None:
    if not -limit <= value <= limit:
        raise GeometryInvalid(f"The {name} {value:g} is not between -{limit} and {limit}.")


def _require_wgs84(value: Mapping[str, Any]) -> None:
    """Old GeoJSON may name its coordinate system."""
    if value.get("crs") is not None and not any(name in str(value["crs"]) for name in ("CRS84", f"EPSG::{SRID}")):
        raise GeometryInvalid(f"The coordinate system of a geometry is EPSG::{SRID} (WGS 84).")
