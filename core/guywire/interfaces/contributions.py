"""What plugins contribute besides backends: tables, jobs, permissions, fields of other resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """Where one plugin keeps its Alembic revisions.

    ``owner`` names the version table (``alembic_version_<owner>``) and, as the prefix of its table names, which
    tables the plugin owns. ``metadata`` is the SQLAlchemy MetaData of those tables.
    """

    owner: str
    folder: str
    metadata: Any
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of background work. Registered with ``register_jobs``.

    ``run(runtime, **arguments)`` gets the worker's ``guywire.runtime.Runtime``, opens its own sessions and must be
    safe to run again: a job may be repeated after a crash. A job with ``every`` (seconds) also runs by itself,
    because the database, not the queue, holds the truth of what is to be done and a lost wake-up must lose nothing.
    Of all workers, one at a time does that. A worker runs at most ``parallel`` of a kind at once: more than one for
    those that wait for devices. ``label`` is what people read.

    A function with a parameter ``progress`` (``guywire.jobs.Progress``, by default ``UNWATCHED``) can say how far it
    has got; such a job is kept for a while when it has ended.
    """

    name: str
    run: Callable[..., None]
    every: float | None = None
    parallel: int = 1
    label: str = ""


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """Permissions that a plugin knows and which of them the stock groups get (see ``register_permissions``)."""

    resource: str
    label: str
    operator: frozenset[str] = field(default_factory=frozenset)
    administrator: frozenset[str] = field(default_factory=frozenset)


class FieldGroup(Protocol):
    """Fields that a plugin adds to a resource of somebody else (see ``guywire.api.field_groups.FieldGroup``).

    ``resource`` is the kind of the resource (``vpn``), ``name`` distinguishes the groups of one resource.
    """

    @property
    def resource(self) -> str:
        """The kind of the resource, as in its permissions."""

    @property
    def name(self) -> str:
        """As a rule the plugin's name."""
