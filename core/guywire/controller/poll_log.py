"""When devices polled last, written down in batches: a poll itself writes nothing."""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from guywire.db import writing
from guywire.models import ConfigState
from guywire.runtime import Runtime
from guywire.services.status import locked_states

log = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=15)
"""How long a poll may wait in memory before it is written down."""


BATCH = 10_000
"""How many are written in one transaction: PostgreSQL takes 65,535 parameters."""


class PollLog:
    """The polls of one process that are not written down yet."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._waiting: dict[str, datetime] = {}
        self._next_flush = runtime.clock()

    def note(self, device_hex: str) -> None:
        """The device was given an answer just now. (Its id without dashes: a poll needs it in no other form.)"""
        now = self._runtime.clock()
        with self._lock:
            self._waiting[device_hex] = now
            is_due = now >= self._next_flush
            if is_due:
                self._next_flush = now + INTERVAL
        if is_due:
            self.flush()

    def last_poll(self, device_id: uuid.UUID, written: datetime | None) -> datetime | None:
        """The device's last poll: what waits here or, by another process, what is ``written``, if that is later."""
        waiting = self._waiting.get(device_id.hex)
        return max((moment for moment in (waiting, written) if moment is not None), default=None)

    def flush(self) -> None:
        """Write everything down. When the database is busy, it waits for the next time."""
        with self._lock:
            polls, self._waiting = self._waiting, {}
        if not polls:
            return
        try:
            devices = [uuid.UUID(device) for device in polls]
            for first in range(0, len(devices), BATCH):
                self._write({device: polls[device.hex] for device in devices[first : first + BATCH]})
        except sa.exc.SQLAlchemyError as error:
            # Too busy to answer, or even to give us a connection.
            log.warning("last polls cannot be written now: %s", error)
            with self._lock:
                self._waiting = {**polls, **self._waiting}

    def _write(self, polls: dict[uuid.UUID, datetime]) -> None:
        with writing(self._runtime.session_factory) as session:
            session.execute(locked_states(ConfigState.device_id.in_(polls)))
            session.connection().execute(
                sa.update(ConfigState)
                .where(ConfigState.device_id == sa.bindparam("polled_device"), _is_older(sa.bindparam("polled_at")))
                .values(last_poll=sa.bindparam("polled_at")),
                [{"polled_device": device, "polled_at": moment} for device, moment in polls.items()],
            )


def _is_older(polled_at: Any) -> Any:
    """SQL: no later poll is written down. Another process may have been faster with one."""
    return sa.or_(ConfigState.last_poll.is_(None), ConfigState.last_poll < polled_at)
