"""The job interface: how background work is asked for, and how it says how far it has got."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """One piece of work that somebody asks for: the job ``name`` with JSON-able arguments.

    ``organization_id`` says whose managers may see it (None: only superusers), ``label`` what it is in words; without
    it the label of the job is taken.
    """

    name: str
    arguments: Mapping[str, Any]
    priority: Priority = Priority.OPERATOR
    organization_id: uuid.UUID | None = None
    label: str = ""


class JobQueue(ABC):
    """Accepts work for the worker. The queue is only the wake-up; the database knows what is to be done."""

    @abstractmethod
    def put(self, wanted: Sequence[Wanted]) -> None:
        """Ask for jobs, in one transaction of its own.

        The same work that already waits is not asked for twice; it is only put further to the front, where that is
        asked for. To be called where no transaction is open.
        """

    def enqueue(
        self,
        name: str,
        *,
        priority: Priority = Priority.OPERATOR,
        organization_id: uuid.UUID | None = None,
        label: str = "",
        **arguments: Any,
    ) -> None:
        """Ask for the job ``name`` (see ``register_jobs``) with JSON-able arguments; see ``put`` and ``Wanted``."""
        self.put([Wanted(name, arguments, priority, organization_id, label)])

    def enqueue_many(
        self,
        name: str,
        arguments: Sequence[Mapping[str, Any]],
        *,
        priority: Priority = Priority.OPERATOR,
        organization_id: uuid.UUID | None = None,
        label: str = "",
    ) -> None:
        """``enqueue`` once for each of ``arguments``, in one transaction."""
        self.put([Wanted(name, each, priority, organization_id, label) for each in arguments])


@dataclass
class Gathered(JobQueue):
    """Keeps what is asked for, so that somebody can ask for all of it at once."""

    wanted: list[Wanted] = field(default_factory=list)

    def put(self, wanted: Sequence[Wanted]) -> None:
        """Keep it."""
        self.wanted.extend(wanted)


class Progress(Protocol):
    """Given to a job whose function has a parameter ``progress``."""

    def report(self, done: int, total: int) -> None:
        """So much of so much is done. Written about once a second at most, so it may be called often.

        To be called where no transaction is open: it writes in one of its own.
        """


class Unwatched:
    """The progress of what nobody watches, such as periodic runs."""

    def report(self, done: int, total: int) -> None:
        """Nobody wants to know."""


UNWATCHED: Progress = Unwatched()
"""What job functions take for a default of ``progress``."""


class JobFailed(Exception):
    """Raised by a job to say, in words for people and without secrets, why it failed. It is tried again.

    Of other errors only the kind is shown: what they say may quote a configuration.
    """
