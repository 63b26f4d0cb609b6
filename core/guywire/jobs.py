"""The job interface: how background work is asked for."""

from __future__ import annotations

from typing import Any, Protocol


class JobQueue(Protocol):
    """Accepts work for the worker. The queue is only the wake-up; the database knows what is to be done."""

    def enqueue(self, name: str, **arguments: Any) -> None:
        """Ask for the job ``name`` (see ``register_jobs``) with JSON-able arguments, in a transaction of its own."""
