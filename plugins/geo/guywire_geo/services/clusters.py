"""Clusters: what lies so close together at a zoom level that one mark stands for it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from guywire.models import ConfigState
from guywire.services.status import MODIFIED
from sqlalchemy.orm import Session, aliased

from guywire_geo.models import PLACED, DeviceLocation, Location
from guywire_geo.services.changes import is_stale
from guywire_geo.services.counting import count_devices, count_locations, count_uncertain, unindexed
from guywire_geo.services.grid import BITS, Bounds, cells_within, neighbours, pixels

NO_CONFIGURATION = "none"
"""What the status of a device without configuration is called here. (Its copy is "".)"""

MAX_ZOOM = 18
"""Clusters end here: what is still at one place is at one place."""

_FINER = 2
"""A cell is a quarter of a tile of 256 pixels: 64."""
_MAX_CELLS = 4096
_TOO_CLOSE = 48
"""Pixels between the middles of two marks below which they are made one: about the size of a large one."""


@dataclass(slots=True)
class Cluster:
    """``count`` locations within ``bounds`` and ``devices`` devices at them, around ``longitude`` and ``latitude``.

    ``name`` tells it from others of the same zoom, ``point`` is the finest cell of one of the locations.
    """

    name: str
    count: int
    devices: int
    longitude: float
    latitude: float
    bounds: Bounds
    point: int
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which locations: SQL conditions on locations, and the same on the places of devices, by their copies."""

    of_location: Sequence[Any]
    of_place: Sequence[Any]


def find(session: Session, wanted: Wanted, bounds: Bounds, zoom: int) -> list[Cluster]:
    """The clusters, those of a single location included, in the cells that ``bounds`` touch."""
    level = min(zoom + _FINER, BITS)
    while len(cells := _cells(bounds, level)) > _MAX_CELLS:
        level -= 1
    shift = 2 * (BITS - level)
    found = _merged(_locations(session, wanted, set(cells), shift), level, zoom)
    _add_statuses(session, wanted, found, shift)
    clusters = [cluster for cluster, _ in found]
    return [each for each in clusters if _touch(each.bounds, bounds)]


def statuses_of(session: Session, location_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Counter[str]]:
    """How many devices of which status there are at each location."""
    status = present_status().label("status")
    rows = session.execute(
        sa.select(DeviceLocation.location_id, status, sa.func.count())
        .outerjoin(ConfigState, ConfigState.device_id == DeviceLocation.device_id)
        .where(DeviceLocation.location_id.in_(location_ids))
        .group_by(DeviceLocation.location_id, status)
    )
    found: dict[uuid.UUID, Counter[str]] = {}
    for location_id, name, count in rows:
        found.setdefault(location_id, Counter())[name] = count
    return found


def present_status() -> Any:
    """SQL: the status of a device as it is now, of a SELECT in which ``ConfigState`` is outer joined."""
    return sa.case(
        (ConfigState.config_id.is_(None), NO_CONFIGURATION), (is_stale(), MODIFIED), else_=ConfigState.status
    )


def has_status(location_id: Any, status: str) -> Any:
    """SQL: the locations (``location_id`` is the column of their ids) at which a device has this status."""
    # Distinct they are anyway: it has SQLite list them first, in place of looking for each place whether it is stale.
    stale = sa.select(ConfigState.device_id).where(is_stale()).distinct().subquery()
    place = aliased(DeviceLocation)
    places = sa.select(place.location_id).outerjoin(stale, stale.c.device_id == place.device_id)
    is_certain = stale.c.device_id.is_(None)
    if status == MODIFIED:
        places = places.where(sa.or_(place.status == MODIFIED, ~is_certain))
    else:
        places = places.where(place.status == ("" if status == NO_CONFIGURATION else status), is_certain)
    return unindexed(location_id).in_(places)


def _cells(bounds: Bounds, level: int) -> Sequence[int]:
    # Roughly, before they are made: there may be millions, of a narrow strip too.
    columns, rows = bounds.width / 360 * 2**level + 1, (bounds.north - bounds.south) / 180 * 2**level + 1
    if columns * rows > 8 * _MAX_CELLS:
        return range(_MAX_CELLS + 1)
    return cells_within(bounds, level)


def _locations(session: Session, wanted: Wanted, cells: Collection[int], shift: int) -> dict[int, Cluster]:
    """The locations of each cell."""
    longitude, latitude = Location.longitude, Location.latitude
    count, least, most = sa.func.count(), sa.func.min, sa.func.max
    # In the order of the index that holds all that is asked.
    figures = [count, sa.func.avg(longitude), sa.func.avg(latitude), least(longitude), least(latitude)]
    figures += [most(longitude), most(latitude), least(Location.cell)]
    return {
        number: Cluster(str(number), counted, 0, x, y, Bounds(west, south, east, north), point)
        for number, counted, x, y, west, south, east, north, point in count_locations(
            session, sorted(cells), shift, figures, [PLACED, *wanted.of_location]
        )
        if counted and number in cells
    }


def _merged(groups: dict[int, Cluster], level: int, zoom: int) -> list[tuple[Cluster, list[int]]]:
    """Clusters and the cells that they are made of: the largest ones swallow neighbours that would overlap them."""
    places = {number: pixels(each.longitude, each.latitude, zoom) for number, each in groups.items()}
    close: dict[int, list[int]] = {}
    for number, (x, y) in places.items():
        for other in neighbours(number, level):
            if other in places and (places[other][0] - x) ** 2 + (places[other][1] - y) ** 2 < _TOO_CLOSE**2:
                close.setdefault(number, []).append(other)
                close.setdefault(other, []).append(number)
    left, found = dict(groups), []
    for number in sorted(groups, key=lambda number: -groups[number].count):
        if number in left:
            members = [number, *(other for other in close.get(number, ()) if other in left and other != number)]
            parts = [part for each in dict.fromkeys(members) if (part := left.pop(each, None))]
            found.append((_sum(parts, f"{level}-{number}"), members))
    return found


def _sum(parts: Sequence[Cluster], name: str) -> Cluster:
    count = sum(each.count for each in parts)
    return Cluster(
        name,
        count,
        0,
        sum(each.longitude * each.count for each in parts) / count,
        sum(each.latitude * each.count for each in parts) / count,
        Bounds(
            min(each.bounds.west for each in parts),
            min(each.bounds.south for each in parts),
            max(each.bounds.east for each in parts),
            max(each.bounds.north for each in parts),
        ),
        parts[0].point,
    )


def _add_statuses(session: Session, wanted: Wanted, found: Any, shift: int) -> None:
    """Count the devices of each status, as they are written down, and then put right what is stale."""
    owners = {number: cluster for cluster, members in found if cluster.count > 1 for number in members}
    if not owners:
        return
    for number, status, count in count_devices(session, list(owners), shift, wanted.of_place):
        if number in owners:
            owners[number].statuses[status or NO_CONFIGURATION] += count
            owners[number].devices += count
    for number, status, count in count_uncertain(session, shift, wanted.of_place):
        if number in owners:
            owners[number].statuses[status or NO_CONFIGURATION] -= count
            owners[number].statuses[MODIFIED] += count


def _touch(one: Bounds, other: Bounds) -> bool:
    if one.north < other.south or one.south > other.north:
        return False
    if other.west <= other.east:
        return one.east >= other.west and one.west <= other.east
    return one.east >= other.west or one.west <= other.east
