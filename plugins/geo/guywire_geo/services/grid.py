"""The grid that locations are counted by: squares of the Mercator map, halved again and again.

A cell is a number of ``2 * BITS`` bits in which those of column and row alternate, the coarsest first. So the cells
within a coarser one are a range of numbers, and one index finds them at every zoom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BITS = 26
"""Halvings in each direction: the finest cells are half a metre wide."""

MAX_LATITUDE = 85.0511287798066
"""Where the square map ends. What lies beyond counts as lying there."""

_SIZE = 1 << BITS


@dataclass(frozen=True, slots=True)
class Bounds:
    """A part of the earth in degrees; ``west`` > ``east`` when it lies across the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    @property
    def width(self) -> float:
        """Degrees from west to east."""
        return self.east - self.west if self.west <= self.east else 360 - self.west + self.east


WORLD = Bounds(-180, -90, 180, 90)


def cell_of(longitude: float, latitude: float) -> int:
    """The finest cell of a point in degrees."""
    column, row = _position(longitude, latitude)
    return _spread(column) | _spread(row) << 1


def cells_within(bounds: Bounds, level: int) -> list[int]:
    """The cells of a level that bounds touch, as numbers of that level (``2 * level`` bits)."""
    shift = BITS - level
    left, top = (each >> shift for each in _position(bounds.west, bounds.north))
    right, bottom = (each >> shift for each in _position(bounds.east, bounds.south))
    side = 1 << level
    if bounds.west <= bounds.east:
        columns = list(range(left, right + 1))
    else:
        # Both ends may lie in one column: then it is all of them, each once.
        columns = list(range(side)) if left <= right else [*range(left, side), *range(right + 1)]
    rows = [_spread(row) << 1 for row in range(top, bottom + 1)]
    return sorted(_spread(column) | row for column in columns for row in rows)


def neighbours(cell: int, level: int) -> list[int]:
    """The cells to the east, the south-west, the south and the south-east of one: each pair of neighbours once."""
    column, row, side = _gather(cell), _gather(cell >> 1), 1 << level
    steps = ((1, 0), (-1, 1), (0, 1), (1, 1))
    near = ((_spread((column + right) % side), row + down) for right, down in steps)
    return [east | _spread(south) << 1 for east, south in near if south < side]


def pixels(longitude: float, latitude: float, zoom: int) -> tuple[float, float]:
    """Where a point is on a map of 256 · 2^zoom pixels."""
    x, y = _project(longitude, latitude)
    size = 256 << zoom
    return x * size, y * size


def _project(longitude: float, latitude: float) -> tuple[float, float]:
    """A point on the square map, from (0, 0) in the north-west to (1, 1)."""
    sine = math.sin(math.radians(max(-MAX_LATITUDE, min(MAX_LATITUDE, latitude))))
    return (longitude + 180) / 360, 0.5 - math.atanh(sine) / (2 * math.pi)


def _position(longitude: float, latitude: float) -> tuple[int, int]:
    x, y = _project(longitude, latitude)
    return max(0, min(_SIZE - 1, int(x * _SIZE))), max(0, min(_SIZE - 1, int(y * _SIZE)))


_STEPS = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333))
_ODD = 0x5555555555555555


def _spread(number: int) -> int:
    """The bits of a number with a zero before each."""
    for shift, mask in _STEPS:
        number = (number | number << shift) & mask
    return (number | number << 1) & _ODD


def _gather(number: int) -> int:
    """The reverse of ``_spread``; the bits between are ignored."""
    number &= _ODD
    number = (number | number >> 1) & _STEPS[3][1]
    for (shift, _), (_, mask) in zip(reversed(_STEPS), [*reversed(_STEPS[:3]), (0, 0xFFFFFFFF)], strict=True):
        number = (number | number >> shift) & mask
    return number
