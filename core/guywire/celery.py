"""The Celery application: ``GUYWIRE_INI=production.ini celery -A guywire.celery worker``.

It runs the same functions as ``guywire worker``, which each Celery worker brings along for what is periodic.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from typing import Any

import sqlalchemy as sa
from celery import signals
from celery.worker.consumer import Consumer

from guywire.builtin import BUILTIN
from guywire.cli.ini import Ini
from guywire.cli.supervisor import Supervisor
from guywire.cli.wsgi import INI_VARIABLE
from guywire.logconfig import configure_logging
from guywire.models import JobRecord
from guywire.queue.broker import TASK, create_celery
from guywire.queue.keeping import Keeper
from guywire.queue.running import Runner
from guywire.runtime import create_runtime

log = logging.getLogger(__name__)

if INI_VARIABLE not in os.environ:
    sys.exit(f"The environment variable {INI_VARIABLE} has to name the ini file.")

_ini = Ini(os.environ[INI_VARIABLE])
_settings = _ini.settings()
if _settings.job_runner != "celery":
    sys.exit(f"{_ini}: guywire.job_runner is not celery, so nobody would send anything to this worker.")

app = create_celery(_settings.celery_broker)
"""What ``celery -A guywire.celery`` finds."""
app.conf.worker_consumer = f"{__name__}:BrokerConsumer"


class BrokerConsumer(Consumer):
    """What reads from the broker, and connects again when that went away."""

    def on_connection_error_after_connected(self, error: Exception) -> None:
        """Let go of the broken connection.

        Celery would hand messages back that it had fetched and not begun. Redis is away, so that fails, and would end
        the worker. They need not be handed back: what waits is in the job table, and is sent again.
        """
        try:
            super().on_connection_error_after_connected(error)
        except Exception as failure:  # noqa: BLE001 (anything: the connection is broken)
            log.warning("the broker went away with messages that were not begun: %r", failure)


_guard = threading.Lock()
_runners: dict[int, tuple[Runner, Keeper[JobRecord]]] = {}


def _runner() -> tuple[Runner, Keeper[JobRecord]]:
    """What runs jobs in this process, and keeps them meanwhile. Celery forks, and connections must not be shared."""
    with _guard:
        pid = os.getpid()
        if pid not in _runners:
            runtime = create_runtime(_settings, BUILTIN)
            runner = Runner(runtime.queue, runtime.registry.jobs, runtime)
            _runners[pid] = runner, Keeper(runtime.queue.renew, runtime.queue.lease.total_seconds() / 3)
        return _runners[pid]


@app.task(name=TASK)
def run(id: str) -> None:
    """Run the job with this id, unless it has been run or is being run."""
    runner, keeper = _runner()
    try:
        record = runner.queue.claim(runner.jobs, uuid.UUID(id))
    except sa.exc.DBAPIError as error:
        # It still waits in the database, and the message will be sent once more.
        log.warning("the database is busy or away: %s", error)
        return
    if record is not None:
        with keeper.kept(record):
            runner.run(record)


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
