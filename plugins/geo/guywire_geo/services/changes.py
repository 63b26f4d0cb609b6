"""The log of what changed on the map, and cursors that say how far somebody has read it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from guywire.models import ConfigState
from guywire.services.status import ACTIVE, MODIFIED
from sqlalchemy.orm import Session

from guywire_geo.models import DeviceLocation, LocationChange

MAX_CHANGES = 1000
"""More than so many are not told one by one."""

KEPT = 100_000
"""How many lines the log keeps."""

_CURSOR = re.compile(r"([0-9]{1,18})(s?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the log: what comes from ``number`` on is new. ``stale``: some statuses were not certain then.

    ``number`` is a line's in SQLite, whose lines are committed in their order. In PostgreSQL it is that of the oldest
    transaction that was not finished: what others have committed since is told again, and nothing is left out.
    """

    number: int
    stale: bool

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """A cursor from its text; None for anything else."""
        match = _CURSOR.fullmatch(text)
        return cls(int(match[1]), bool(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.number}{'s' if self.stale else ''}"


def note(connection: sa.Connection, locations: Any) -> None:
    """Write down that locations changed: a SELECT of their ids and organizations."""
    lines = sa.select(_own_transaction(connection), *locations.subquery().c)
    columns = ["transaction", "location_id", "organization_id"]
    connection.execute(sa.insert(LocationChange).from_select(columns, lines))


def note_more(session: Session) -> None:
    """Write down that more changed than can be told."""
    line = {"transaction": _own_transaction(session.connection()), "location_id": None, "organization_id": None}
    session.execute(sa.insert(LocationChange).values(line))


def now(session: Session, visible: Any) -> Cursor:
    """The present end of the log. To be asked for before anything else is read.

    ``visible(column)`` gives the SQL condition for the organizations that the user sees.
    """
    if session.get_bind().dialect.name == "postgresql":
        end = session.scalar(sa.select(_number(sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot()))))
    else:
        end = session.scalar(sa.select(sa.func.coalesce(sa.func.max(LocationChange.id), 0) + 1))
    return Cursor(int(end or 0), is_uncertain(session, visible(DeviceLocation.organization_id)))


def between(session: Session, since: Cursor, until: Cursor, visible: Any) -> set[uuid.UUID] | None:
    """The locations that changed since a cursor, as far as the user may know; None: more than can be told.

    Statuses of stale configurations change without a line in the log, so as long as there are any, and once more
    when there are none any more, it cannot be told what changed.
    """
    if since.stale or until.stale or since.number > until.number:
        return None
    column: Any = LocationChange.id
    if session.get_bind().dialect.name == "postgresql":
        column = LocationChange.transaction
    lines = (
        sa.select(LocationChange.location_id)
        .where(column >= since.number)
        .where(sa.or_(visible(LocationChange.organization_id), LocationChange.location_id.is_(None)))
    )
    rows = session.scalars(lines.distinct().limit(MAX_CHANGES + 1)).all()
    found = {id for id in rows if id is not None}
    return found if len(found) == len(rows) <= MAX_CHANGES else None


def forget(session: Session) -> None:
    """Shorten the log. The oldest line that is left says that something came before it."""
    newest = session.scalar(sa.select(sa.func.max(LocationChange.id))) or 0
    if newest > KEPT:
        session.execute(sa.delete(LocationChange).where(LocationChange.id < newest - KEPT))
        oldest = sa.select(sa.func.min(LocationChange.id)).scalar_subquery()
        blank = {"location_id": None, "organization_id": None}
        session.execute(sa.update(LocationChange).where(LocationChange.id == oldest).values(blank))


def is_uncertain(session: Session, *conditions: Any) -> bool:
    """Whether the status of some device (at the places that fulfil conditions) is not what was written down last."""
    # PostgreSQL knows nothing of how few are stale, and would look them up for each place.
    stale = sa.select(ConfigState.device_id).where(is_stale()).cte("stale")
    stale = stale.prefix_with("MATERIALIZED", dialect="postgresql")
    waiting = (
        sa.select(sa.literal(1))
        .select_from(stale.join(DeviceLocation, DeviceLocation.device_id == stale.c.device_id))
        .where(DeviceLocation.status != MODIFIED, *conditions)
    )
    return session.scalar(waiting.limit(1)) is not None


def is_stale() -> Any:
    """SQL: the states that count as modified, whatever was written down."""
    return sa.and_(ConfigState.inputs_version != ConfigState.rendered_version, ConfigState.lifecycle == ACTIVE)


def _own_transaction(connection: sa.Connection) -> Any:
    if connection.dialect.name == "postgresql":
        return _number(sa.func.pg_current_xact_id())
    return sa.cast(sa.null(), sa.BigInteger)


def _number(transaction: Any) -> Any:
    return sa.cast(sa.cast(transaction, sa.Text), sa.BigInteger)
