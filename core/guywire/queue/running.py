"""Runs one job: calls its function and writes down how that ended."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from guywire.db import is_conflict, is_overload
from guywire.interfaces import Job, JSONObject
from guywire.jobs import JobFailed
from guywire.models import JobRecord
from guywire.queue.progress import RecordedProgress
from guywire.queue.table import DatabaseQueue

log = logging.getLogger(__name__)

_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try to write down the end of a job: the work is done, and should not be done again."""


class Runner:
    """Runs jobs of a queue with a process's runtime. ``jobs`` are those that it knows, by name."""

    def __init__(self, queue: DatabaseQueue, jobs: dict[str, Job], runtime: Any) -> None:
        self.queue = queue
        self.jobs = jobs
        self._runtime = runtime
        self._watched = {name for name, job in jobs.items() if _wants_progress(job)}

    def run(self, record: JobRecord) -> None:
        """Run a job that was claimed, and finish or release it."""
        job = self.jobs[record.name]
        arguments = dict(record.arguments)
        if job.name in self._watched:
            arguments["progress"] = self.progress_of(record)
        error = self._call(job, arguments)
        _insist(lambda: self.queue.finish(record) if error is None else self.queue.release(record, error))

    def progress_of(self, record: JobRecord) -> RecordedProgress:
        """By which a job that was claimed says how far it has got."""
        return RecordedProgress(self.queue, record)

    def run_periodic(self, job: Job) -> None:
        """Run a job because its time has come."""
        self._call(job, {})

    def _call(self, job: Job, arguments: JSONObject) -> str | None:
        """Call a job's function. Returns what went wrong, in words that tell nothing secret."""
        try:
            job.run(self._runtime, **arguments)
        except JobFailed as failure:
            log.warning("job %s failed: %s", job.name, failure)
            return str(failure)
        except Exception as error:  # one job must not stop the others
            if is_overload(error) or is_conflict(error):
                log.warning("job %s: the database is busy, it will be tried again", job.name)
                return "The database was busy."
            log.exception("job %s failed", job.name)
            return f"{type(error).__name__} (the log of the worker says more)"
        return None


def _wants_progress(job: Job) -> bool:
    try:
        return "progress" in inspect.signature(job.run).parameters
    except (TypeError, ValueError):  # some callables have none that can be read
        return False


def _insist(write: Callable[[], None]) -> None:
    for pause in _PAUSES:
        if pause:
            time.sleep(pause)
        try:
            return write()
        except sa.exc.SQLAlchemyError as error:
            if not (is_overload(error) or is_conflict(error)):
                raise
    # The lease will run out, and the job be done again.
    log.error("the end of a job could not be written: the database is busy or away")
