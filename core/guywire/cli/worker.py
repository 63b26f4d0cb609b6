"""The command ``guywire worker``: one process that does the background jobs."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

import click

from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.db import writing
from guywire.queue import Worker
from guywire.queue.broker import RESEND, BrokeredQueue
from guywire.runtime import Runtime
from guywire.services.heartbeat import HEARTBEAT
from guywire.services.rendering import mark_all_if_renderer_changed

log = logging.getLogger(__name__)


@click.command()
@ini_argument
@click.option("--parent", type=int, hidden=True, help="Stop when this process is gone.")
def worker(ini: Ini, parent: int | None) -> None:
    """Do the background jobs: rendering of what changed, and whatever plugins bring.

    `guywire serve` starts one by itself. More of them, on this or on other hosts, share the work; each needs the same
    database and key ring. SIGTERM and Ctrl-C let the jobs that run finish.

    With guywire.job_runner = celery it does only what is periodic, and Celery's workers do the rest.
    """
    stop = StopRequest(parent)
    stop.listen()
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        _forget_old_renderings(runtime)
        has_broker = isinstance(runtime.queue, BrokeredQueue)
        more = [HEARTBEAT, RESEND] if has_broker else [HEARTBEAT]
        jobs = runtime.registry.jobs | {job.name: job for job in more}
        log.info("worker started: pid=%s jobs=%s", os.getpid(), ",".join(sorted(jobs)))
        if has_broker:
            log.info("this worker does what is periodic; the rest waits for: celery -A guywire.celery worker")
        Worker(runtime.queue, jobs, runtime, only_periodic=has_broker).run_forever(stop.wait)
    log.info("worker stopped")


def _forget_old_renderings(runtime: Runtime) -> None:
    """Have everything rendered again when this version, or another global variable, would render it differently."""
    with writing(runtime.session_factory) as session:
        if mark_all_if_renderer_changed(session, runtime.renderer.fingerprint()):
            log.info("the renderer or its global variables changed: everything is rendered again")


class StopRequest:
    """Whether the worker is to stop: a signal came, or the process that started it is gone."""

    def __init__(self, parent: int | None = None) -> None:
        self._parent = parent
        self._event = threading.Event()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as the request to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the request at most so long. Returns whether it came."""
        # An orphan has another parent: init, or whoever adopts orphans here.
        orphaned = self._parent is not None and os.getppid() != self._parent
        return orphaned or self._event.wait(seconds)
