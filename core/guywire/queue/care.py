"""What people do with jobs: cancel them, have them tried again; and how those that ended long ago are forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import writing
from guywire.errors import Conflict
from guywire.interfaces import Job
from guywire.models import JobRecord
from guywire.models.job import CANCELLED, FAILED, WAITING
from guywire.queue.table import key_of

_ROWS = 1000


def cancel(job: JobRecord, now: datetime) -> None:
    """A job that waits is not going to be run. The row should be locked. Raises Conflict."""
    if job.state != WAITING:
        raise Conflict(f"Only jobs that wait can be cancelled; this one is {job.state}.")
    job.state, job.finished, job.waiting_key = CANCELLED, now, None


def retry(session: Session, job: JobRecord, now: datetime) -> None:
    """A job that failed or was cancelled waits again. The row should be locked. Raises Conflict."""
    if job.state not in (FAILED, CANCELLED):
        raise Conflict(f"Only jobs that failed or were cancelled can be tried again; this one is {job.state}.")
    key = key_of(job.name, job.arguments)
    if session.scalar(sa.select(JobRecord.number).where(JobRecord.waiting_key == key)) is not None:
        raise Conflict("The same work waits already.")
    job.state, job.waiting_key, job.run_at = WAITING, key, now
    job.attempts, job.total, job.done, job.reported = 0, None, 0, None
    job.error, job.finished, job.started, job.sent = "", None, None, None


def delete_old(runtime: Any) -> None:
    """Delete what ended longer ago than jobs are kept."""
    limit = runtime.clock() - timedelta(seconds=runtime.settings.job_retention)
    old = sa.select(JobRecord.number).where(JobRecord.finished < limit).limit(_ROWS)
    while True:
        with writing(runtime.session_factory) as session:
            numbers = session.scalars(old).all()
            session.execute(sa.delete(JobRecord).where(JobRecord.number.in_(numbers)))
        if len(numbers) < _ROWS:
            return


OLD_JOBS = Job("old_jobs", delete_old, every=3600.0, label="Delete old jobs")
