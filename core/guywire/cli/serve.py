"""The command ``guywire serve``: the web processes and one worker, kept running by one parent."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.cli.supervisor import Supervisor
from guywire.cli.web import require_free, serve_web
from guywire.cli.wsgi import INI_VARIABLE

log = logging.getLogger(__name__)


@click.command()
@ini_argument
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Web processes; one for each CPU core."
)
@click.option("--no-worker", is_flag=True, help="Start no worker for the background jobs: one runs elsewhere.")
def serve(ini: Ini, workers: int, no_worker: bool) -> None:
    """Serve the REST API and the devices.

    Starts the web processes and one worker for the background jobs, starts again whatever of them dies, and stops
    them all on SIGTERM or Ctrl-C. SIGHUP replaces the web processes one by one; they read INI again.

    Address and port are guywire.http_host and guywire.http_port.
    """
    settings = ini.settings()
    with opened(ini, settings) as runtime:
        require_migrated(runtime, ini)
    require_free(settings.http_host, settings.http_port)
    os.environ[INI_VARIABLE] = str(ini)
    with _worker(ini, wanted=not no_worker):
        log.info("serving http://%s:%s (Ctrl-C stops)", settings.http_host, settings.http_port)
        sys.exit(serve_web(settings, workers))


@contextmanager
def _worker(ini: Ini, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        log.info("no worker is started: jobs wait for a `guywire worker`")
        yield
        return
    command = [sys.executable, "-m", "guywire.cli", "worker", str(ini), "--parent", str(os.getpid())]
    supervisor = Supervisor(command)
    supervisor.start()
    try:
        yield
    finally:
        supervisor.stop()
