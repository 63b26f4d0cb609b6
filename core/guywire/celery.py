"""The Celery application: ``GUYWIRE_INI=production.ini celery -A guywire.celery worker``.

It runs the same functions as ``guywire worker``, which each Celery worker brings along for what is periodic.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from celery import signals

from guywire.builtin import BUILTIN
from guywire.cli.ini import Ini
from guywire.cli.supervisor import Supervisor
from guywire.cli.wsgi import INI_VARIABLE
from guywire.logconfig import configure_logging
from guywire.models import JobRecord
from guywire.runtime import create_runtime
from guywire.services.jobs.broker import TASK, create_celery
from guywire.services.jobs.queue import DatabaseQueue
from guywire.services.jobs.running import Runner

log = logging.getLogger(__name__)

if INI_VARIABLE not in os.environ:
    sys.exit(f"The environment variable {INI_VARIABLE} has to name the ini file.")

_ini = Ini(os.environ[INI_VARIABLE])
_settings = _ini.settings()
if _settings.job_runner != "celery":
    sys.exit(f"{_ini}: guywire.job_runner is not celery, so nobody would send anything to this worker.")

app = create_celery(_settings.celery_broker)
"""What ``celery -A guywire.celery`` finds."""

_guard = threading.Lock()
_runners: dict[int, Runner] = {}


def _runner() -> Runner:
    """The runner of this process. Celery forks, and connections must not be shared."""
    with _guard:
        pid = os.getpid()
        if pid not in _runners:
            runtime = create_runtime(_settings, BUILTIN)
            _runners[pid] = Runner(runtime.queue, runtime.registry.jobs, runtime)
        return _runners[pid]


@app.task(name=TASK)
def run(id: str) -> None:
    """Run the job with this id, unless it has been run or is being run."""
    runner = _runner()
    try:
        record = runner.queue.claim(runner.jobs, uuid.UUID(id))
    except sa.exc.DBAPIError as error:
        # It still waits in the database, and the message will be sent once more.
        log.warning("the database is busy or away: %s", error)
        return
    if record is not None:
        with _kept(runner.queue, record):
            runner.run(record)


@contextmanager
def _kept(queue: DatabaseQueue, record: JobRecord) -> Iterator[None]:
    """Renew the lease of a job for as long as it runs."""
    is_done = threading.Event()

    def renew() -> None:
        while not is_done.wait(queue.lease.total_seconds() / 3):
            try:
                queue.renew([record])
            except sa.exc.SQLAlchemyError as error:
                log.warning("the database is busy or away: %s", error)

    thread = threading.Thread(target=renew, name="lease")
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


@signals.setup_logging.connect(weak=False)
def _configure_logging(**options: Any) -> None:
    configure_logging(_settings)
    # Two lines for each message, all of which look alike.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_ready.connect(weak=False)
def _bring_worker(**options: Any) -> None:
    """Start a process for what is periodic; of all of them, one at a time is at work."""
    command = [sys.executable, "-m", "guywire.cli", "worker", str(_ini), "--parent", str(os.getpid())]
    supervisor = Supervisor(command)
    supervisor.start()
    signals.worker_shutting_down.connect(lambda **options: supervisor.stop(), weak=False)
