"""Clusters: what lies so close together at a zoom level that one mark stands for it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from guywire.models import ConfigState
from guywire.services.status import MODIFIED, STATUSES
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from guywire_geo.models import PLACED, DeviceLocation, Location
from guywire_geo.services.changes import is_stale
from guywire_geo.services.grid import BITS, Bounds, cells_within, neighbours, pixels

NO_CONFIGURATION = "none"
"""What the status of a device without configuration is called here. (Its copy is "".)"""

MAX_ZOOM = 18
"""Clusters end here: what is still at one place is at one place."""

_FINER = 2
"""A cell is a quarter of a tile of 256 pixels: 64."""
_MAX_CELLS = 4096
_TOO_CLOSE = 40
"""Pixels between the middles of two marks below which they are made one."""


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
    """Which locations: SQL conditions on the (``unindexed``) organization of locations, the same of places, and others
    on locations.
    """

    of_location: Sequence[Any]
    of_place: Sequence[Any]
    others: Sequence[Any]

    def locations(self) -> list[Any]:
        """SQL: the conditions on locations that have devices."""
        return [PLACED, *self.of_location, *self.others]


def find(session: Session, wanted: Wanted, bounds: Bounds, zoom: int) -> list[Cluster]:
    """The clusters, those of a single location included, in the cells that ``bounds`` touch."""
    level = min(zoom + _FINER, BITS)
    while len(cells := _cells(bounds, level)) > _MAX_CELLS:
        level -= 1
    shift = 2 * (BITS - level)
    found = _merged(dict(_count(session, wanted, cells, shift)), level, zoom)
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


def has_status(status: str) -> Any:
    """SQL: the locations at which a device has this status."""
    stale = sa.select(ConfigState.device_id).where(is_stale())
    if status == MODIFIED:
        condition = sa.or_(DeviceLocation.status == MODIFIED, DeviceLocation.device_id.in_(stale))
    else:
        written = "" if status == NO_CONFIGURATION else status
        condition = sa.and_(DeviceLocation.status == written, DeviceLocation.device_id.not_in(stale))
    return unindexed(Location.id).in_(sa.select(DeviceLocation.location_id).where(condition))


def unindexed(column: Any) -> Any:
    """SQL: the column, but not for looking rows up by it: SQLite thinks that an organization has few locations, and
    would go through them for each cell.
    """
    return sa.func.coalesce(column, sa.null())


def _cells(bounds: Bounds, level: int) -> Sequence[int]:
    # Roughly, before they are made: there may be millions.
    if bounds.width / 360 * (bounds.north - bounds.south) / 180 * 4**level > 8 * _MAX_CELLS:
        return range(_MAX_CELLS + 1)
    return cells_within(bounds, level)


def _count(session: Session, wanted: Wanted, cells: Sequence[int], shift: int) -> Iterable[tuple[int, Cluster]]:
    """The locations of each cell, in the order of the index that holds all that is asked of them."""
    cell = _table(session, cells, sa.BigInteger())
    longitude, latitude = Location.longitude, Location.latitude
    count, least, most = sa.func.count(), sa.func.min, sa.func.max
    rows = session.execute(
        sa.select(cell, count, sa.func.avg(longitude), sa.func.avg(latitude), least(longitude), least(latitude))
        .add_columns(most(longitude), most(latitude), least(Location.cell))
        .select_from(cell.table.join(Location, _within(Location.cell, cell, shift)))
        .where(*wanted.locations())
        .group_by(cell)
    )
    for number, counted, x, y, west, south, east, north, point in rows:
        yield number, Cluster(str(number), counted, 0, x, y, Bounds(west, south, east, north), point)


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
    counted = _by_joining(wanted, shift) if wanted.others else _by_ranges(session, wanted, list(owners), shift)
    for number, status, count in session.execute(counted):
        if number in owners:
            owners[number].statuses[status or NO_CONFIGURATION] += count
            owners[number].devices += count
    for number, status, count in session.execute(_uncertain(wanted, shift)):
        if number in owners:
            owners[number].statuses[status or NO_CONFIGURATION] -= count
            owners[number].statuses[MODIFIED] += count


def _by_ranges(session: Session, wanted: Wanted, cells: Sequence[int], shift: int) -> Any:
    """SELECT of cells, statuses and counts: each is a range of an index, whose entries are only counted."""
    cell, status = _table(session, cells, sa.BigInteger()), _table(session, ["", *STATUSES], sa.String())
    count = (
        sa.select(sa.func.count())
        .select_from(DeviceLocation)
        .where(DeviceLocation.status == status, _within(DeviceLocation.cell, cell, shift), *wanted.of_place)
        .correlate(cell.table, status.table)
        .scalar_subquery()
    )
    return sa.select(cell, status, count).join_from(cell.table, status.table, sa.true())


def _by_joining(wanted: Wanted, shift: int) -> Any:
    """SELECT of cells, statuses and counts, when it matters which locations they are."""
    cell = _cell(DeviceLocation.cell, shift)
    return (
        sa.select(cell, DeviceLocation.status, sa.func.count())
        .join(Location, Location.id == DeviceLocation.location_id)
        .where(*wanted.of_place, *wanted.others)
        .group_by(cell, DeviceLocation.status)
    )


def _uncertain(wanted: Wanted, shift: int) -> Any:
    """SELECT of what was written down of the devices whose configurations are stale."""
    return (
        _by_joining(wanted, shift)
        .join(ConfigState, ConfigState.device_id == DeviceLocation.device_id)
        .where(is_stale(), DeviceLocation.status != MODIFIED)
    )


def _cell(column: Any, shift: int) -> Any:
    """SQL: the coarser cell of a finest one."""
    return (column // sa.literal(1 << shift, sa.BigInteger)).label("number")


def _within(column: Any, cell: Any, shift: int) -> Any:
    """SQL: a finest cell lies within a coarser one."""
    size = sa.literal(1 << shift, sa.BigInteger)
    return sa.and_(column >= cell * size, column < (cell + 1) * size)


def _table(session: Session, values: Sequence[Any], kind: Any) -> Any:
    """The column of a table that holds some values, as one parameter however many they are."""
    if session.get_bind().dialect.name == "postgresql":
        table = sa.func.unnest(sa.literal(list(values), ARRAY(kind))).table_valued(sa.column("value", kind))
    else:
        table = sa.func.json_each(orjson.dumps(list(values)).decode()).table_valued(sa.column("value", kind))
    return table.render_derived().c.value if session.get_bind().dialect.name == "postgresql" else table.c.value


def _touch(one: Bounds, other: Bounds) -> bool:
    if one.north < other.south or one.south > other.north:
        return False
    if other.west <= other.east:
        return one.east >= other.west and one.west <= other.east
    return one.east >= other.west or one.west <= other.east
