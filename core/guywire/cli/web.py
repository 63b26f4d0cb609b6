"""The web processes of ``guywire serve``: Granian, and what it takes to keep it going."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from functools import partial
from typing import Any

import click
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.common import AbstractServer

from guywire.cli.supervisor import Backoff
from guywire.cli.wsgi import create_for_parent
from guywire.settings import Settings

log = logging.getLogger(__name__)

_THREADS = 8
"""Threads of a web process: so many that some may wait for a lock while others answer polls. Each may hold two
connections to the database."""

_BACKPRESSURE = 256
"""Requests that a web process takes at once; more wait in the kernel's queue."""

_BACKLOG = 1024
_PATIENCE = 10
_START_UP = 10.0

# Granian brings handlers of its own; without them its records go where all the others go.
_NO_HANDLERS: dict[str, Any] = {"formatters": {}, "handlers": {}, "loggers": {"_granian": {}, "granian.access": {}}}


def require_free(host: str, port: int, patience: float = 3.0) -> None:
    """Refuse a port that somebody else has: Granian would share it with them, and half of the requests be lost."""
    deadline = time.monotonic() + patience
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            return
        except OSError as error:
            # The web processes of a server that was killed need a moment to notice.
            if time.monotonic() > deadline or isinstance(error, socket.gaierror | PermissionError):
                raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        time.sleep(0.2)


def serve_web(settings: Settings, workers: int) -> int:
    """Serve until a signal says stop. Returns the exit code."""
    backoff = Backoff()
    while True:
        server = _granian(settings, workers)
        started = time.monotonic()
        code = 0
        try:
            server.serve(target_loader=partial(create_for_parent, os.getpid()), wrap_loader=False)
        except SystemExit as end:
            code = int(end.code or 0)
        if server.interrupt_signal:
            return 0
        lifetime = time.monotonic() - started
        if lifetime < _START_UP:
            log.error("the web processes cannot start, see above")
            return code or 1
        # Granian gives up when a web process dies twice in a row; a router would be without a controller for good.
        pause = backoff.after(lifetime)
        log.error("the web processes ended; starting them again in %s s", pause)
        time.sleep(pause)
        if server.interrupt_signal:  # its handlers are still the ones that signals call
            return 0


def _granian(settings: Settings, workers: int) -> AbstractServer[Any]:
    server = Granian(
        "guywire.cli.wsgi:create",
        address=settings.http_host,
        port=settings.http_port,
        interface=Interfaces.WSGI,
        factory=True,
        # Routers and reverse proxies speak HTTP/1.1.
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        blocking_threads=_THREADS,
        backpressure=_BACKPRESSURE,
        backlog=_BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=_PATIENCE,
        log_dictconfig=_NO_HANDLERS,
        log_level=LogLevels(settings.log_level.lower()),
        log_access=False,
    )
    logging.getLogger("_granian").addFilter(_is_not_about_threads)
    if sys.stdin is not None and sys.stdin.isatty():
        # Granian takes SIGHUP as "reload". Without its terminal a server in the foreground should rather end.
        server.on_startup(partial(signal.signal, signal.SIGHUP, server.signal_handler_interrupt))
    return server


def _is_not_about_threads(record: logging.LogRecord) -> bool:
    """Granian warns of more than two threads a core; ours wait for locks, and who reads the log did not choose."""
    return "Configuration allows spawning" not in record.getMessage()
