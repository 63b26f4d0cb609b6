"""What plugins and the core agree on: pure Protocols, dataclasses and exceptions, nothing that touches a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

JSONObject = dict[str, Any]


class ConfigurationInvalid(Exception):
    """A configuration that its backend cannot turn into files.

    ``path`` is the place in the NetJSON document (for instance ``("interfaces", 0)``), ``message`` says what is
    wrong there.
    """

    def __init__(self, message: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)

    def __str__(self) -> str:
        """The sentence that REST clients get, in the reference's wording (spec of templates, §2)."""
        if not self.path:
            return self.message
        place = "/".join(str(step) for step in self.path)
        return f'Invalid configuration triggered by "#/{place}", validator says:\n\n{self.message}'


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One regular file of a configuration archive: ``path`` without a leading slash, ``mode`` as an int (0o644)."""

    path: str
    content: bytes
    mode: int = 0o644


class ConfigBackend(Protocol):
    """Turns NetJSON into the files of one kind of router. Registered with ``register_config_backends``.

    ``templates`` are NetJSON objects from the weakest to the strongest; ``config`` is the strongest layer. ``context``
    maps variable names to values. ``device_os`` is the operating system that the device reported ("" if none): it may
    decide the syntax. None of the arguments is changed.
    """

    id: str
    label: str
    schema: Mapping[str, Any]

    def validate(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> None:
        """Raise ConfigurationInvalid when the merged configuration cannot be rendered."""

    def render(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> list[ArchiveFile]:
        """The files in archive order; the same input always gives the same bytes. Raises ConfigurationInvalid."""


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
    """

    name: str
    run: Callable[..., None]
    every: float | None = None


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """Permissions that a plugin knows and which of them the stock groups get (see ``register_permissions``)."""

    resource: str
    label: str
    operator: frozenset[str] = field(default_factory=frozenset)
    administrator: frozenset[str] = field(default_factory=frozenset)


class CertificateLookup(Protocol):
    """Knows which devices hold certificates. A service, see ``register_services``."""

    def devices_of_certificate(
        self, session: Session, common_name: str, organization_slugs: Sequence[str] | None
    ) -> Sequence[UUID]:
        """The ids of the devices that hold a valid certificate with this common name, the best answer first.

        ``organization_slugs`` are the organizations whose certificates count (None: all). The caller narrows the
        devices down to those that the user may see.
        """
