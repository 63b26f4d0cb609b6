"""Counts locations and devices by the cells that they are in, in the way in which each database is quick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import Any

import orjson
import sqlalchemy as sa
from guywire.models import ConfigState
from guywire.services.status import MODIFIED, STATUSES
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from guywire_geo.models import DeviceLocation, Location
from guywire_geo.services.changes import is_stale, is_uncertain

_MAX_RANGES = 16
"""Cells are read as so many ranges at most, with what lies between them if it must be."""


class unindexed(sa.sql.functions.FunctionElement[Any]):
    """SQL: the column, but not for looking rows up by it: SQLite thinks that an organization has few locations, and
    would go through them for each cell. PostgreSQL knows how many it has.
    """

    inherit_cache = True

    def __init__(self, column: Any) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _as_it_is(element: unindexed, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(unindexed, "sqlite")
def _for_no_index(element: unindexed, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def count_locations(
    session: Session, cells: Sequence[int], shift: int, figures: Sequence[Any], conditions: Sequence[Any]
) -> Iterable[Sequence[Any]]:
    """Rows of a cell and ``figures``: SQL aggregates of the locations in it, their number first.

    ``cells`` are numbers of a level at which ``1 << shift`` of the finest ones make one. There may be rows of others,
    and rows without locations.
    """
    if not _is_sqlite(session):
        # It knows what a range holds if the bounds are numbers, and would think of a cell that it holds far more.
        cell = _cell(Location.cell, shift)
        counted = sa.select(cell, *figures).where(_within_ranges(Location.cell, cells, shift), *conditions)
        return session.execute(counted.group_by(cell))
    # It sorts what it groups, so it is asked for one cell after the other, and for all figures of one in one value.
    cell = _table(cells)
    together = sa.select(sa.func.json_array(*figures)).where(_within(Location.cell, cell, shift), *conditions)
    rows = session.execute(sa.select(cell, together.correlate(cell.table).scalar_subquery()))
    return [(number, *orjson.loads(text)) for number, text in rows]


def count_devices(session: Session, cells: Sequence[int], shift: int, conditions: Sequence[Any]) -> Iterable[Any]:
    """Rows of a cell, a status as it is written down, and how many places in the cell have it."""
    if _is_sqlite(session):
        cell, status = _table(cells), _table(["", *STATUSES])
        # Each is a range of an index, whose entries are only counted.
        count = (
            sa.select(sa.func.count())
            .select_from(DeviceLocation)
            .where(DeviceLocation.status == status, _within(DeviceLocation.cell, cell, shift), *conditions)
            .correlate(cell.table, status.table)
            .scalar_subquery()
        )
        return session.execute(sa.select(cell, status, count).join_from(cell.table, status.table, sa.true()))
    return session.execute(_grouped(shift).where(_within_ranges(DeviceLocation.cell, cells, shift), *conditions))


def count_uncertain(session: Session, shift: int, conditions: Sequence[Any]) -> Iterable[Any]:
    """Rows of a cell, a status, and how many places have it written down although they may be modified by now."""
    if not is_uncertain(session):
        # As a rule. To look for what fulfils the conditions would take longer.
        return ()
    stale = _grouped(shift).join(ConfigState, ConfigState.device_id == DeviceLocation.device_id)
    return session.execute(stale.where(is_stale(), DeviceLocation.status != MODIFIED, *conditions))


def _grouped(shift: int) -> Any:
    cell = _cell(DeviceLocation.cell, shift)
    return sa.select(cell, DeviceLocation.status, sa.func.count()).group_by(cell, DeviceLocation.status)


def _cell(column: Any, shift: int) -> Any:
    """SQL: the coarser cell of a finest one."""
    return (column // sa.literal(1 << shift, sa.BigInteger)).label("number")


def _within(column: Any, cell: Any, shift: int) -> Any:
    """SQL: a finest cell lies within a coarser one."""
    size = sa.literal(1 << shift, sa.BigInteger)
    return sa.and_(column >= cell * size, column < (cell + 1) * size)


def _within_ranges(column: Any, cells: Sequence[int], shift: int) -> Any:
    """SQL: a finest cell lies within one of the coarser ones, or within a small gap between them."""
    ordered = sorted(cells)
    gaps = nlargest(_MAX_RANGES - 1, range(1, len(ordered)), key=lambda index: ordered[index] - ordered[index - 1])
    starts = [0, *sorted(index for index in gaps if ordered[index] > ordered[index - 1] + 1)]
    ends = [*starts[1:], len(ordered)]
    ranges = [(ordered[start] << shift, ordered[end - 1] + 1 << shift) for start, end in zip(starts, ends, strict=True)]
    return sa.or_(*(sa.and_(column >= first, column < beyond) for first, beyond in ranges))


def _table(values: Sequence[Any]) -> Any:
    """The column of a table that holds some values, as one parameter however many they are."""
    return sa.func.json_each(orjson.dumps(list(values)).decode()).table_valued("value").c.value


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
