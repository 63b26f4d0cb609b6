"""Turns: among the workers of a fleet, one at a time runs what is periodic."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from guywire.db import reading, writing
from guywire.models import Turn
from guywire.queue.table import DatabaseQueue

PERIODIC = "periodic"


def _take(dialect: Any) -> Any:
    insert = dialect.insert(Turn.__table__)
    now, owner = sa.bindparam("now", type_=Turn.until.type), insert.excluded.owner
    return insert.on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": owner, "until": insert.excluded.until},
        where=sa.or_(Turn.owner == owner, Turn.until < now),
    )


_TAKE = {"sqlite": _take(sqlite), "postgresql": _take(postgresql)}


class TurnTaking:
    """One process's part in taking turns. A turn ends by itself when its owner is not heard of for a lease."""

    def __init__(self, queue: DatabaseQueue, name: str = PERIODIC) -> None:
        self._queue = queue
        self._name = name
        self._renew_at: datetime | None = None
        self._ask_at: datetime | None = None

    def is_ours(self) -> bool:
        """Whether it is this process's turn; it takes it if nobody else has it. Cheap enough to be asked often."""
        now = self._queue.clock()
        if self._renew_at is not None and now < self._renew_at:
            return True
        if self._renew_at is None and self._ask_at is not None and now < self._ask_at:
            return False
        self._renew_at = None
        with reading(self._queue.factory) as session:
            foreign = sa.select(Turn.name).where(Turn.owner != self._queue.worker, Turn.until >= now)
            if session.scalar(foreign.where(Turn.name == self._name)) is not None:
                self._ask_at = now + timedelta(seconds=1)
                return False
        values = {"name": self._name, "owner": self._queue.worker, "until": now + self._queue.lease, "now": now}
        with writing(self._queue.factory) as session:
            taken = session.connection().execute(_TAKE[session.get_bind().dialect.name], values)
            if not cast("sa.CursorResult[Any]", taken).rowcount:
                return False
        self._renew_at = now + self._queue.lease / 3
        return True

    def give_back(self) -> None:
        """Let somebody else have it."""
        if self._renew_at is None:
            return
        self._renew_at = None
        with writing(self._queue.factory) as session:
            session.execute(sa.delete(Turn).where(Turn.name == self._name, Turn.owner == self._queue.worker))
