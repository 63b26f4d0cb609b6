"""How far a job has got: what it reports, and what can be told from that."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from guywire.db import is_overload, writing
from guywire.models import JobRecord
from guywire.models.job import RUNNING
from guywire.queue.table import DatabaseQueue

log = logging.getLogger(__name__)

_PAUSE = timedelta(seconds=1)


class RecordedProgress:
    """``guywire.jobs.Progress`` of a job in the table."""

    def __init__(self, queue: DatabaseQueue, job: JobRecord) -> None:
        self._queue = queue
        self._job = job
        self._next_writing: datetime | None = None

    def report(self, done: int, total: int) -> None:
        """So much of so much is done."""
        now = self._queue.clock()
        # What was not written is when the job ends.
        self._job.done, self._job.total, self._job.reported = done, total, now
        if self._next_writing is not None and now < self._next_writing:
            return
        self._next_writing = now + _PAUSE
        try:
            with writing(self._queue.factory) as session:
                session.execute(_report(self._job))
        except sa.exc.SQLAlchemyError as error:
            if not is_overload(error):
                raise
            log.info("progress of job %s not written: the database is busy", self._job.name)


def _report(job: JobRecord) -> Any:
    return (
        sa.update(JobRecord)
        .where(JobRecord.number == job.number, JobRecord.state == RUNNING, JobRecord.attempts == job.attempts)
        .values(done=job.done, total=job.total, reported=job.reported)
        .execution_options(synchronize_session=False)
    )


def rate_of(job: Any) -> float | None:
    """How many a second a job does, by what it reported so far; None if that cannot be told."""
    if job.total is None or job.started is None or job.reported is None:
        return None
    seconds = (job.reported - job.started).total_seconds()
    return round(job.done / seconds, 3) if seconds > 0 and job.done else None


def estimated_end(job: Any) -> datetime | None:
    """When a running job will have done all; None if that cannot be told."""
    rate = rate_of(job)
    if job.state != RUNNING or not rate:
        return None
    seconds = max(0, job.total - job.done) / rate
    end: datetime = job.reported + timedelta(seconds=min(seconds, 1e9))
    return end
