"""Renews what a process has on lease, for as long as it works on it: all of it at once, in one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import sqlalchemy as sa

log = logging.getLogger(__name__)

T = TypeVar("T")

_SOON = 1.0
"""Seconds after which a renewal is tried again that the database refused."""


class Keeper(Generic[T]):
    """Calls ``renew`` with all that is held, every ``pause`` seconds. Its thread is there while something is held."""

    def __init__(self, renew: Callable[[Sequence[T]], None], pause: float) -> None:
        self._renew = renew
        self._pause = pause
        self._changed = threading.Condition()
        self._held: list[T] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def kept(self, lease: T) -> Iterator[None]:
        """Renew a lease, which has just begun, until the block ends. That it was lost is for the holder to notice."""
        with self._changed:
            self._held.append(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="leases")
                self._thread.start()
        try:
            yield
        finally:
            ended = None
            with self._changed:
                self._held.remove(lease)
                if not self._held:
                    ended, self._thread = self._thread, None
                    self._changed.notify_all()
            if ended is not None:
                ended.join()

    def _keep(self) -> None:
        due = time.monotonic() + self._pause
        while held := self._wait(due):
            pause = self._pause
            try:
                self._renew(held)
            except Exception as error:  # whatever it is, there is time for another try
                is_strange = not isinstance(error, sa.exc.SQLAlchemyError)
                log.warning("leases could not be renewed: %s", error, exc_info=is_strange)
                pause = min(pause, _SOON)
            due = time.monotonic() + pause

    def _wait(self, due: float) -> list[T]:
        """What is held when the time has come; nothing as soon as this thread has no more to do."""
        with self._changed:
            while self._thread is threading.current_thread():
                if (left := due - time.monotonic()) <= 0:
                    return list(self._held)
                self._changed.wait(left)
            return []
