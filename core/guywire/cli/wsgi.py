"""The application as Granian loads it: a factory that reads the path of the ini file from the environment."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from pyramid.config import global_registries

from guywire.cli.ini import Ini
from guywire.controller.poll_log import INTERVAL
from guywire.logconfig import configure_logging

log = logging.getLogger(__name__)

INI_VARIABLE = "GUYWIRE_INI"
"""The environment variable that names the ini file."""

_PATIENCE = 10.0


def create() -> Any:
    """The WSGI application of the ini file that ``GUYWIRE_INI`` names, with its housekeeping thread.

    For ``guywire serve``, and for whoever runs ``granian --interface wsgi --factory guywire.cli.wsgi:create``.
    """
    ini = Ini(os.environ[INI_VARIABLE])
    configure_logging(ini.settings())
    application = ini.application()
    # What is there now stays: the collector need not look at it again and again (a seventh of a second each time).
    gc.collect()
    gc.freeze()
    Housekeeping(global_registries.last.poll_log.flush).start()
    return application


def create_for_parent(parent: int) -> Any:
    """The same within a web process of ``guywire serve``, which must not outlive its ``parent``."""
    # The parent's handlers came along with the fork. Until Granian puts its own in place a signal is to end us.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C in the terminal is for the parent, which stops us in an orderly way.
    os.setpgid(0, 0)
    threading.Thread(target=_leave_with, args=(parent,), name="orphan watch", daemon=True).start()
    return create()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    log.error("the parent process is gone, stopping")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


class Housekeeping:
    """Writes down what the process keeps in memory, from time to time and once more when the process ends."""

    def __init__(self, flush: Callable[[], None], interval: float = INTERVAL.total_seconds()) -> None:
        self._flush = flush
        self._interval = interval
        # Not a daemon: Python waits for it at the end, which is when it does its work for the last time.
        self._thread = threading.Thread(target=self._run, name="housekeeping")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        main_thread = threading.main_thread()
        while main_thread.is_alive():
            main_thread.join(self._interval)
            try:
                self._flush()
            except Exception:  # there is a next time
                log.exception("housekeeping failed")
