"""The job table as a queue, and the loop that works through it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from guywire.db import SessionFactory, is_conflict, is_overload, reading, writing
from guywire.interfaces import Job
from guywire.jobs import Priority
from guywire.models import JobRecord

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
"""A job whose worker says nothing for so long is given to another."""

MAX_ATTEMPTS = 5

_CALM = 2.0
"""Seconds between two tries while the database is away."""


@dataclass
class DatabaseQueue:
    """The default queue: a table in the application's own database."""

    factory: SessionFactory
    clock: Callable[[], datetime]

    def enqueue(self, name: str, *, priority: Priority = Priority.OPERATOR, **arguments: Any) -> None:
        """Ask for a job. The same work that already waits is not asked for twice."""
        self.enqueue_many(name, [arguments], priority=priority)

    def enqueue_many(
        self, name: str, arguments: Sequence[Mapping[str, Any]], *, priority: Priority = Priority.OPERATOR
    ) -> None:
        """``enqueue`` once for each of ``arguments``, in one transaction."""
        with writing(self.factory) as session:
            waiting = session.scalars(
                sa.select(JobRecord.arguments).where(JobRecord.name == name, JobRecord.claimed_until.is_(None))
            ).all()
            now = self.clock()
            session.add_all(
                JobRecord(name=name, arguments=dict(each), run_at=now) for each in arguments if each not in waiting
            )

    def claim(self) -> JobRecord | None:
        """Take the next job that is due, for one lease. It must be finished or released."""
        now = self.clock()
        with reading(self.factory) as session:
            # A look without a lock first: most of the time there is nothing to do.
            if session.scalar(_due(now).with_only_columns(JobRecord.id)) is None:
                return None
        with writing(self.factory) as session:
            return session.scalars(
                sa.update(JobRecord)
                .where(
                    JobRecord.id.in_(
                        _due(now).with_only_columns(JobRecord.id).with_for_update(skip_locked=True).scalar_subquery()
                    )
                )
                .values(claimed_until=now + LEASE, attempts=JobRecord.attempts + 1)
                .returning(JobRecord)
                .execution_options(synchronize_session=False)
            ).first()

    def finish(self, job: JobRecord) -> None:
        """The job is done."""
        with writing(self.factory) as session:
            session.execute(sa.delete(JobRecord).where(JobRecord.id == job.id))

    def release(self, job: JobRecord, error: str) -> None:
        """The job failed: try it again later, each time after a longer wait, and give up after ``MAX_ATTEMPTS``."""
        if job.attempts >= MAX_ATTEMPTS:
            log.error("job given up: name=%s arguments=%s error=%s", job.name, job.arguments, error)
            self.finish(job)
            return
        retry_at = self.clock() + timedelta(seconds=2**job.attempts)
        with writing(self.factory) as session:
            session.execute(
                sa.update(JobRecord)
                .where(JobRecord.id == job.id)
                .values(claimed_until=None, run_at=retry_at, error=error)
            )


def _due(now: datetime) -> Any:
    return (
        sa.select(JobRecord)
        .where(JobRecord.run_at <= now)
        .where(sa.or_(JobRecord.claimed_until.is_(None), JobRecord.claimed_until < now))
        .order_by(JobRecord.run_at, JobRecord.id)
        .limit(1)
    )


@dataclass
class Worker:
    """Runs jobs from the queue, and the repeating ones when they are due."""

    queue: DatabaseQueue
    jobs: dict[str, Job]
    runtime: Any
    _next_run: dict[str, float] = field(default_factory=dict)

    def run_due(self, elapsed: float) -> int:
        """Do what is due at ``elapsed`` seconds (of any steady clock). Returns how many jobs were run."""
        count = 0
        for job in self.jobs.values():
            if job.every is not None and elapsed >= self._next_run.get(job.name, 0.0):
                self._run(job, {})
                self._next_run[job.name] = elapsed + job.every
                count += 1
        while (record := self.queue.claim()) is not None:
            job_or_none = self.jobs.get(record.name)
            error = (
                self._run(job_or_none, record.arguments)
                if job_or_none is not None
                else f"no plugin knows the job {record.name!r}"
            )
            if error is None:
                self.queue.finish(record)
            else:
                self.queue.release(record, error)
            count += 1
        return count

    def _run(self, job: Job, arguments: dict[str, Any]) -> str | None:
        try:
            job.run(self.runtime, **arguments)
        except Exception as error:  # one job must not stop the others
            if is_overload(error) or is_conflict(error):
                log.warning("job %s: the database is busy, it will be tried again", job.name)
            else:
                log.exception("job %s failed", job.name)
            return repr(error)
        return None

    def run_forever(self, stop: Callable[[float], bool], pause: float = 0.25) -> None:
        """Work until ``stop(seconds)``, which waits for so long, returns True."""
        while True:
            wait = pause
            try:
                self.run_due(time.monotonic())
            except sa.exc.DBAPIError as error:
                # The database went away or is busy: what is to be done is still written in it.
                log.warning("the database does not answer: %s", error)
                wait = max(pause, _CALM)
            if stop(wait):
                return
