"""Reads geometries in well-known binary (OGC 06-103r4, and PostGIS's EWKB) that is written as hexadecimal digits."""

from __future__ import annotations

import re
import struct
from typing import Any

from guywire_geo.geometry_errors import UNRECOGNIZED, GeometryInvalid

_HEX = re.compile(r"0[01][0-9A-Fa-f]{8,}", re.ASCII)
_HAS_Z, _HAS_M, _HAS_SRID = 0x80000000, 0x40000000, 0x20000000
_TYPES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}
_POLYGON = 3
_PARTS = {4: 1, 5: 2, 6: _POLYGON}
"""The type of the parts of each type that has such."""


def looks_like(text: str) -> bool:
    """Whether a text is meant as hexadecimal WKB."""
    return _HEX.fullmatch(text) is not None


def read(text: str) -> tuple[int | None, dict[str, Any]]:
    """The SRID that hexadecimal digits name, if they name one, and their geometry as GeoJSON.

    Raises GeometryInvalid.
    """
    try:
        reader = _Reader(bytes.fromhex(text))
        value = reader.geometry()
    except (ValueError, struct.error):
        raise GeometryInvalid(UNRECOGNIZED) from None
    if reader.offset != len(reader.data):
        raise GeometryInvalid(UNRECOGNIZED)
    return reader.srid, value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0
        self.srid: int | None = None
        self._order = "<"

    def geometry(self, *expected: int, nested: bool = False) -> dict[str, Any]:
        code, width = self._header()
        if code not in _TYPES or (expected and code not in expected) or (nested and code == 7):
            raise GeometryInvalid(UNRECOGNIZED)
        if code == 7:
            geometries = [self.geometry(nested=True) for _ in range(self._count())]
            return {"type": _TYPES[code], "geometries": geometries}
        return {"type": _TYPES[code], "coordinates": self._coordinates(code, width)}

    def _header(self) -> tuple[int, int]:
        """The type of the geometry that begins here, and how many numbers make a position of it."""
        [order] = self._unpack("B")
        self._order = "<" if order else ">"
        [code] = self._unpack("I")
        if code & _HAS_SRID:
            [self.srid] = self._unpack("I")
        # ISO counts thousands where PostGIS sets bits.
        thousands, number = divmod(code & 0x0FFFFFFF, 1000)
        if code & _HAS_M or thousands > 1:
            raise GeometryInvalid("Measures (M) of a geometry are not kept.")
        return number, 3 if code & _HAS_Z or thousands else 2

    def _coordinates(self, code: int, width: int) -> list[Any]:
        if code in _PARTS:
            return [self.geometry(_PARTS[code])["coordinates"] for _ in range(self._count())]
        if code == 1:
            return self._position(width)
        if code == _POLYGON:
            return [self._line(width) for _ in range(self._count())]
        return self._line(width)

    def _line(self, width: int) -> list[Any]:
        return [self._position(width) for _ in range(self._count())]

    def _position(self, width: int) -> list[float]:
        return list(self._unpack(f"{width}d"))

    def _count(self) -> int:
        [count] = self._unpack("I")
        return int(count)

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"{self._order}{form}", self.data, self.offset)
        self.offset += struct.calcsize(f"{self._order}{form}")
        return values
