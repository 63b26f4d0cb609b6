"""The job interface: how background work is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Protocol


class Priority(IntEnum):
    """What goes first when there is more to do than workers can."""

    DEVICE = 0
    """a device waits for it"""
    OPERATOR = 10
    """somebody sits and waits for it"""
    BULK = 20
    """the rest: what concerns many"""


class JobQueue(Protocol):
    """Accepts work for the worker. The queue is only the wake-up; the database knows what is to be done."""

    def enqueue(self, name: str, *, priority: Priority = Priority.OPERATOR, **arguments: Any) -> None:
        """Ask for the job ``name`` (see ``register_jobs``) with JSON-able arguments, in a transaction of its own.

        The same work that already waits is not asked for twice.
        """

    def enqueue_many(
        self, name: str, arguments: Sequence[Mapping[str, Any]], *, priority: Priority = Priority.OPERATOR
    ) -> None:
        """``enqueue`` once for each of ``arguments``, in one transaction."""
