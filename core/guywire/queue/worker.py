"""The worker: claims jobs and runs them, each kind beside the others, and the periodic ones when they are due."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from guywire.db import is_overload
from guywire.interfaces import Job
from guywire.models import JobRecord
from guywire.queue.running import Runner
from guywire.queue.table import DatabaseQueue
from guywire.queue.turn import TurnTaking

log = logging.getLogger(__name__)

_CALM = 2.0
"""Seconds between two tries while the database is away."""


class Worker:
    """Runs jobs from the queue, and the repeating ones when they are due.

    ``run_due`` does so in turn, for tests and tools. ``run_forever`` is the worker process: each kind of job has lanes
    of its own, ``Job.parallel`` of them, so a long job holds up others of its kind at most, and none that are more
    important than itself. Lanes are threads that end when there is nothing left of their kind.
    ``only_periodic``: somebody else runs what waits in the queue.
    """

    def __init__(
        self, queue: DatabaseQueue, jobs: dict[str, Job], runtime: Any, *, only_periodic: bool = False
    ) -> None:
        self.queue = queue
        self.jobs = jobs
        self._claims = not only_periodic
        self._runner = Runner(queue, jobs, runtime)
        self._turn = TurnTaking(queue)
        self._next_run: dict[str, float] = {}
        self._guard = threading.Lock()
        self._lanes: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._running: dict[int, JobRecord] = {}
        self._renew_at = 0.0
        self._stopping = False

    def run_due(self, elapsed: float) -> int:
        """Do what is due at ``elapsed`` seconds (of any steady clock), in turn. Returns how many jobs were run."""
        count = 0
        if self._turn.is_ours():
            for job in self._due_by_themselves(elapsed):
                self._runner.run_periodic(job)
                count += 1
            self._turn.give_back()
        while self._claims and (record := self.queue.claim(self.jobs)) is not None:
            self._runner.run(record)
            count += 1
        return count

    def run_forever(self, stop: Callable[[float], bool], pause: float = 0.25) -> None:
        """Work until ``stop(seconds)``, which waits for so long, returns True; then finish what has been begun."""
        self._stopping = False
        while True:
            wait = pause
            try:
                self._start_what_is_due(time.monotonic())
            except sa.exc.SQLAlchemyError as error:
                # What is to be done is still written in the database.
                log.warning("the database is busy or away: %s", error)
                wait = max(pause, _CALM)
            if stop(wait):
                break
        self._stopping = True
        while self._threads:
            self._threads[0].join(pause)
            self._forget_ended_lanes()
            self._try(lambda: self._renew_leases(time.monotonic()))
        self._try(self._turn.give_back)

    def _start_what_is_due(self, elapsed: float) -> None:
        self._forget_ended_lanes()
        self._renew_leases(elapsed)
        if self._turn.is_ours():
            for job in self._due_by_themselves(elapsed):
                self._start(job.name, self._runner.run_periodic, job)
        while self._claims and (free := self._free()) and (record := self.queue.claim(free)) is not None:
            self._start(record.name, self._drain, record)

    def _due_by_themselves(self, elapsed: float) -> Iterable[Job]:
        free = self._free()
        for job in self.jobs.values():
            if job.every is not None and job.name in free and elapsed >= self._next_run.get(job.name, 0.0):
                self._next_run[job.name] = elapsed + job.every
                yield job

    def _free(self) -> set[str]:
        with self._guard:
            return {name for name, job in self.jobs.items() if self._lanes[name] < job.parallel}

    def _start(self, name: str, work: Callable[[Any], None], what: Any) -> None:
        with self._guard:
            self._lanes[name] += 1
            if isinstance(what, JobRecord):
                self._running[what.number] = what
        thread = threading.Thread(target=self._in_lane, args=(name, work, what), name=f"job {name}")
        self._threads.append(thread)
        thread.start()

    def _in_lane(self, name: str, work: Callable[[Any], None], what: Any) -> None:
        try:
            work(what)
        except sa.exc.SQLAlchemyError as error:
            if is_overload(error):
                log.warning("the database is busy or away: %s", error)
            else:
                log.exception("job %s: the database refuses", name)
        except Exception:  # the worker goes on
            log.exception("job %s ended its lane", name)
        finally:
            with self._guard:
                self._lanes[name] -= 1

    def _drain(self, record: JobRecord) -> None:
        """Run a job, and then whatever waits of its kind."""
        claimed: JobRecord | None = record
        while claimed is not None:
            try:
                self._runner.run(claimed)
            finally:
                with self._guard:
                    del self._running[claimed.number]
            claimed = None if self._stopping else self.queue.claim([record.name])
            if claimed is not None:
                with self._guard:
                    self._running[claimed.number] = claimed

    def _renew_leases(self, elapsed: float) -> None:
        with self._guard:
            running = list(self._running.values())
        if elapsed < self._renew_at:
            return
        if running:
            self.queue.renew(running)
        self._renew_at = elapsed + self.queue.lease.total_seconds() / 3

    def _forget_ended_lanes(self) -> None:
        self._threads = [each for each in self._threads if each.is_alive()]

    @staticmethod
    def _try(write: Callable[[], None]) -> None:
        try:
            write()
        except sa.exc.SQLAlchemyError as error:
            log.warning("the database is busy or away: %s", error)
