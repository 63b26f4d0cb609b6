"""The job table as a queue: what is asked for, claimed for a time, and ended.

Whoever claims a job has a lease on it and renews that for as long as the work goes on. A worker that is gone, or stuck,
does not; its job then waits again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire.db import SessionFactory, reading, writing
from guywire.jobs import JobQueue, Wanted
from guywire.models import JobRecord
from guywire.models.job import FAILED, RUNNING, SUCCEEDED, WAITING

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5

WORKER_GONE = "The worker that ran it is gone."


def worker_name() -> str:
    """A name for one process that runs jobs, which people recognize and no other process has."""
    return f"{socket.gethostname()[:50]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def key_of(name: str, arguments: Mapping[str, Any]) -> str:
    """What the same work has in common."""
    return hashlib.sha256(orjson.dumps([name, arguments], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _insert(dialect: Any) -> Any:
    insert = dialect.insert(JobRecord.__table__)
    return insert.on_conflict_do_update(
        index_elements=["waiting_key"],
        set_={"priority": insert.excluded.priority},
        where=insert.excluded.priority < JobRecord.priority,
    )


_INSERT = {"sqlite": _insert(sqlite), "postgresql": _insert(postgresql)}


@dataclass
class DatabaseQueue(JobQueue):
    """The queue: a table in the application's own database.

    ``labels`` are what jobs are called in words, by name. ``worker`` is in whose name this process claims jobs.
    """

    factory: SessionFactory
    clock: Callable[[], datetime]
    lease: timedelta = timedelta(seconds=15)
    labels: Mapping[str, str] = field(default_factory=dict)
    worker: str = field(default_factory=worker_name)

    @override
    def put(self, wanted: Sequence[Wanted]) -> None:
        if wanted:
            self._write(wanted, None)

    def close(self) -> None:
        """Give back what the queue holds beside the database."""

    def _write(self, wanted: Sequence[Wanted], sent: datetime | None) -> list[str]:
        """Write rows, in one transaction. Returns their keys. ``sent``: when a broker is told of them."""
        now = self.clock()
        rows: dict[str, dict[str, Any]] = {}
        for each in wanted:
            row = self._row(each, now) | {"sent": sent}
            first = rows.setdefault(row["waiting_key"], row)
            first["priority"] = min(first["priority"], row["priority"])
        with writing(self.factory) as session:
            # In one order, whoever asks: else two of us could wait for each other.
            keys = sorted(rows)
            session.connection().execute(_INSERT[session.get_bind().dialect.name], [rows[key] for key in keys])
        return keys

    def _row(self, wanted: Wanted, now: datetime) -> dict[str, Any]:
        return {
            "id": uuid.uuid4(),
            "name": wanted.name,
            "label": (wanted.label or self.labels.get(wanted.name) or wanted.name)[:200],
            "arguments": dict(wanted.arguments),
            "organization_id": wanted.organization_id,
            "priority": int(wanted.priority),
            "state": WAITING,
            "waiting_key": key_of(wanted.name, wanted.arguments),
            "created": now,
            "run_at": now,
            "attempts": 0,
            "done": 0,
            "error": "",
        }

    def claim(self, names: Collection[str] | None = None, id: uuid.UUID | None = None) -> JobRecord | None:
        """Take the next job that is due, for one lease. It must be finished or released.

        ``names``: only one of these jobs. ``id``: only this one.
        """
        now = self.clock()
        expired = sa.exists().where(JobRecord.state == RUNNING, JobRecord.claimed_until < now)
        next_one = _due(now, names, id)
        with reading(self.factory) as session:
            # A look without a lock first: most of the time there is nothing to do.
            found, has_expired = session.execute(sa.select(next_one.scalar_subquery(), expired)).one()
        if has_expired:
            self.release_expired()
        elif found is None:
            return None
        with writing(self.factory) as session:
            return session.scalars(
                sa.update(JobRecord)
                .where(JobRecord.number == next_one.with_for_update(skip_locked=True).scalar_subquery())
                .values(
                    state=RUNNING,
                    waiting_key=None,
                    worker=self.worker,
                    claimed_until=now + self.lease,
                    started=now,
                    attempts=JobRecord.attempts + 1,
                    total=None,
                    done=0,
                    reported=None,
                )
                .returning(JobRecord)
                .execution_options(synchronize_session=False)
            ).first()

    def renew(self, jobs: Collection[JobRecord]) -> None:
        """Jobs still run: their leases begin anew."""
        mine = JobRecord.state == RUNNING, JobRecord.worker == self.worker
        with writing(self.factory) as session:
            session.execute(
                sa.update(JobRecord)
                .where(JobRecord.number.in_([job.number for job in jobs]), *mine)
                .values(claimed_until=self.clock() + self.lease)
                .execution_options(synchronize_session=False)
            )

    def finish(self, job: JobRecord) -> None:
        """The job is done. What reported on its progress is kept for a while; the rest leaves nothing behind."""
        with writing(self.factory) as session:
            if job.total is None:
                self._end(session, sa.delete(JobRecord), job)
                return
            values = {"total": job.total, "done": job.done, "reported": job.reported}
            self._end(session, _ended(SUCCEEDED, self.clock(), "").values(**values), job)

    def release(self, job: JobRecord, error: str) -> None:
        """The job failed: try it again later, each time after a longer wait, and give up after ``MAX_ATTEMPTS``.

        ``error`` says why, in words for people.
        """
        retry_at = self.clock() + timedelta(seconds=2**job.attempts)
        with writing(self.factory) as session:
            self._release(session, job, error, retry_at)

    def release_expired(self) -> None:
        """Jobs whose worker has not been heard of for the time of a lease wait again."""
        now = self.clock()
        expired = sa.select(JobRecord).where(JobRecord.state == RUNNING, JobRecord.claimed_until < now)
        with writing(self.factory) as session:
            for job in session.scalars(expired.order_by(JobRecord.number).with_for_update(skip_locked=True)).all():
                log.warning("job released: its worker is gone: name=%s worker=%s", job.name, job.worker)
                self._release(session, job, WORKER_GONE, now)

    def _release(self, session: Session, job: JobRecord, error: str, retry_at: datetime) -> None:
        if job.attempts >= MAX_ATTEMPTS:
            log.error("job given up: name=%s id=%s error=%s", job.name, job.id, error)
            self._end(session, _ended(FAILED, self.clock(), error), job)
            return
        key = key_of(job.name, job.arguments)
        same = session.scalars(sa.select(JobRecord).where(JobRecord.waiting_key == key).with_for_update()).first()
        if same is not None:
            # Somebody asked for the same once more while it ran. One of the two is enough, after the same wait.
            same.attempts, same.run_at, same.error = job.attempts, max(same.run_at, retry_at), error
            session.flush()
            self._end(session, sa.delete(JobRecord), job)
            return
        again = {"state": WAITING, "waiting_key": key, "run_at": retry_at, "error": error}
        again |= {"worker": None, "claimed_until": None, "sent": None}
        self._end(session, sa.update(JobRecord).values(**again), job)

    def _end(self, session: Session, statement: Any, job: JobRecord) -> None:
        """End the run of a job, unless its lease ran out meanwhile and somebody else has it."""
        mine = (
            JobRecord.number == job.number,
            JobRecord.state == RUNNING,
            JobRecord.worker == job.worker,
            JobRecord.attempts == job.attempts,
        )
        ended = session.execute(statement.where(*mine).execution_options(synchronize_session=False))
        if not cast("sa.CursorResult[Any]", ended).rowcount:
            log.warning("job lost: another worker has taken it over: name=%s id=%s", job.name, job.id)


def _ended(state: str, now: datetime, error: str) -> Any:
    values = {"state": state, "finished": now, "error": error, "claimed_until": None}
    return sa.update(JobRecord).values(**values)


def _due(now: datetime, names: Collection[str] | None, id: uuid.UUID | None) -> Any:
    query = sa.select(JobRecord.number).where(JobRecord.state == WAITING, JobRecord.run_at <= now)
    if names is not None:
        query = query.where(JobRecord.name.in_(names))
    if id is not None:
        query = query.where(JobRecord.id == id)
    return query.order_by(JobRecord.priority, JobRecord.run_at, JobRecord.number).limit(1)
