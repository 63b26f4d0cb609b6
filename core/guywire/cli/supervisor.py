"""Keeps one child process running: starts it again when it dies, and stops it in the end."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Sequence

log = logging.getLogger(__name__)

_SHORTEST = 0.5
_LONGEST = 30.0
_SETTLED = 60.0
"""A process that has run for so many seconds is in order: the next pause is short again."""

_no_fork = threading.Lock()
"""Held while a process is started. A process that another thread forks in that moment would keep subprocess's pipe
open, on which the start waits: it would last as long as that process."""

os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release)


class Backoff:
    """How long to wait before the next start: twice as long after each start that soon failed."""

    def __init__(self) -> None:
        self._next = _SHORTEST

    def after(self, lifetime: float) -> float:
        """Seconds to wait after a process that lived for ``lifetime`` seconds."""
        if lifetime >= _SETTLED:
            self._next = _SHORTEST
        pause, self._next = self._next, min(self._next * 2, _LONGEST)
        return pause


class Supervisor:
    """Runs ``command`` again and again until ``stop``."""

    def __init__(self, command: Sequence[str], patience: float = 30.0) -> None:
        self._command = command
        self._patience = patience
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_running, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the process, and the thread that looks after it."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the process to stop, wait until it has, and kill it when it takes longer than ``patience``."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(self._patience)
            except subprocess.TimeoutExpired:
                log.warning("the worker (pid %s) does not stop, killing it", process.pid)
                process.kill()
        self._thread.join()

    def _keep_running(self) -> None:
        backoff = Backoff()
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                with _no_fork:
                    # A session of its own: Ctrl-C in the terminal is for us, we pass it on.
                    self._process = subprocess.Popen(  # noqa: S603 (the command is our own)
                        self._command, start_new_session=True, stdin=subprocess.DEVNULL
                    )
            started = time.monotonic()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            pause = backoff.after(time.monotonic() - started)
            log.error("the worker ended (exit code %s); starting it again in %s s", code, pause)
            self._stopping.wait(pause)
