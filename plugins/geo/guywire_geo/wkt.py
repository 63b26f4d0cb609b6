"""Reads geometries in well-known text (OGC 06-103r4), with or without PostGIS's ``SRID=4326;`` in front."""

from __future__ import annotations

import re
from typing import Any

from guywire_geo.geometry_errors import UNRECOGNIZED, GeometryInvalid

_SRID = re.compile(r"SRID\s*=\s*([0-9]{1,9})\s*;\s*", re.IGNORECASE)
_TOKEN = re.compile(r"\s*([A-Za-z]+|[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[(),])", re.ASCII)

_TYPES = {
    "POINT": "Point",
    "LINESTRING": "LineString",
    "POLYGON": "Polygon",
    "MULTIPOINT": "MultiPoint",
    "MULTILINESTRING": "MultiLineString",
    "MULTIPOLYGON": "MultiPolygon",
}
_COLLECTION = "GEOMETRYCOLLECTION"
_MAX_DEPTH = 3


def read(text: str) -> tuple[int | None, dict[str, Any]]:
    """The SRID that a text names, if it names one, and its geometry as GeoJSON. Raises GeometryInvalid."""
    srid = _SRID.match(text)
    reader = _Reader(_tokens(text, srid.end() if srid else 0))
    value = reader.geometry()
    if reader.tokens:
        raise GeometryInvalid(UNRECOGNIZED)
    return (int(srid[1]) if srid else None), value


def _tokens(text: str, start: int) -> list[str]:
    """The words, numbers and signs of a text, the last one first."""
    tokens = []
    end = len(text.rstrip())
    while start < end:
        match = _TOKEN.match(text, start)
        if match is None:
            raise GeometryInvalid(UNRECOGNIZED)
        tokens.append(match[1])
        start = match.end()
    return tokens[::-1]


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def geometry(self, *, nested: bool = False) -> dict[str, Any]:
        word = self._next().upper()
        name = word.rstrip("ZM")
        # Both are in use: POINT Z and POINTZ.
        dimensions = word[len(name) :] or (self._next().upper() if self._peek().upper() in ("Z", "M", "ZM") else "")
        if dimensions not in ("", "Z"):
            raise GeometryInvalid("Measures (M) of a geometry are not kept.")
        if name == _COLLECTION and not nested:
            return {"type": "GeometryCollection", "geometries": self._list(lambda: self.geometry(nested=True))}
        if name not in _TYPES:
            raise GeometryInvalid(UNRECOGNIZED)
        coordinates = self._nested(0)
        if name == "POINT":
            if len(coordinates) != 1:
                raise GeometryInvalid("A point has one position.")
            [coordinates] = coordinates
        elif name == "MULTIPOINT":
            # Both are in use: (1 2, 3 4) and ((1 2), (3 4)).
            coordinates = [each[0] if each and isinstance(each[0], list) else each for each in coordinates]
        return {"type": _TYPES[name], "coordinates": coordinates}

    def _nested(self, depth: int) -> list[Any]:
        if depth == _MAX_DEPTH:
            raise GeometryInvalid(UNRECOGNIZED)
        return self._list(lambda: self._nested(depth + 1) if self._peek() == "(" else self._position())

    def _list(self, item: Any) -> list[Any]:
        """Items in parentheses, with commas between them."""
        self._expect("(")
        items = [item()]
        while self._peek() == ",":
            self._next()
            items.append(item())
        self._expect(")")
        return items

    def _position(self) -> list[float]:
        numbers = []
        while self._peek() not in ("(", ")", ",", ""):
            try:
                numbers.append(float(self._next()))
            except ValueError:
                raise GeometryInvalid(UNRECOGNIZED) from None
        return numbers

    def _peek(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _next(self) -> str:
        if not self.tokens:
            raise GeometryInvalid(UNRECOGNIZED)
        return self.tokens.pop()

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise GeometryInvalid(UNRECOGNIZED)
