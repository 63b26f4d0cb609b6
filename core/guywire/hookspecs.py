"""The hook specifications: everything that a plugin can contribute.

A plugin is a module or object whose functions are marked with ``guywire.hookimpl``, found through the entry point
group ``guywire``. A hook gets only the arguments that the implementation names. A hook whose name is not below makes
the start fail. ``register_*`` hooks run once at the start of every process (web, worker, command line).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from guywire.events import Event
from guywire.interfaces import (
    CommandType,
    ConfigBackend,
    Connector,
    FieldGroup,
    Job,
    MigrationSource,
    PermissionSet,
    UpdateStrategy,
    VpnBackend,
)

hookspec = pluggy.HookspecMarker("guywire")

if TYPE_CHECKING:
    from uuid import UUID

    from pyramid.config import Configurator
    from sqlalchemy.orm import Session


@hookspec
def register_config_backends() -> Sequence[ConfigBackend]:  # type: ignore[empty-body]
    """Backends that turn NetJSON into a router's files. Two backends with one id are an error."""


@hookspec
def register_vpn_backends() -> Sequence[type[VpnBackend]]:  # type: ignore[empty-body]
    """Classes of VPN backends. Each is made once, with the services that it ``requires`` (a missing one is an error)
    and those that it ``wants`` (None for a missing one)."""


@hookspec
def register_connectors() -> Sequence[Connector]:  # type: ignore[empty-body]
    """Ways to reach devices. Two connectors with one id are an error."""


@hookspec
def register_update_strategies() -> Sequence[UpdateStrategy]:  # type: ignore[empty-body]
    """Ways to have a connected device fetch its configuration. Two strategies with one id are an error."""


@hookspec
def register_command_types() -> Sequence[CommandType]:  # type: ignore[empty-body]
    """Types of commands that operators may run on devices. Two types with one name are an error."""


@hookspec
def register_fields() -> Sequence[FieldGroup]:  # type: ignore[empty-body]
    """Groups of fields, and filters, that the plugin adds to resources of others."""


@hookspec
def register_permissions() -> Sequence[PermissionSet]:  # type: ignore[empty-body]
    """The resources that the plugin protects, and what the groups Operator and Administrator may do with them.

    A permission is named ``<verb>_<resource>``, the verbs are add, change, delete and view. ``guywire migrate`` gives
    a permission to the stock groups once, when it first sees it: what an operator takes away later stays away.
    """


@hookspec
def register_migrations() -> Sequence[MigrationSource]:  # type: ignore[empty-body]
    """Where the plugin's Alembic revisions are. The core's run first, then plugins by ``after``, then by name."""


@hookspec
def register_jobs(settings: Any) -> Sequence[Job]:  # type: ignore[empty-body]
    """Kinds of background work that the worker runs. Two jobs with one name are an error. ``settings`` are a
    ``guywire.settings.Settings``; a plugin that does not understand its own raises SettingInvalid."""


@hookspec
def register_services() -> Mapping[type, Any]:  # type: ignore[empty-body]
    """What the plugin does for others: from a Protocol, usually of ``guywire.interfaces``, to what implements it.

    For what there is one of. Two plugins that provide one Protocol are an error; ``registry.services.get(Protocol)``
    is None when nobody does.
    """


@hookspec
def config_context(session: Session, config_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Variables that the plugin gives to configurations, by the configuration's id, for many of them at once.

    They win over those of groups and VPN servers; the device's own win over them. Called before each rendering, so it
    should make a constant number of statements, and a plugin whose answer changes marks the configurations stale
    (``guywire.services.status.mark_stale``).
    """


@hookspec
def configure(config: Configurator) -> None:
    """Add routes, views, services and subscribers to the web application.

    Called with Pyramid's Configurator when the web application starts, after the core's own includes: the place for
    ``config.scan("my_plugin.api")``. Not called in the worker or on the command line.
    """


@hookspec
def on_event(session: Session, event: Event) -> None:
    """Something happens in the transaction of ``session``, which is still open.

    The plugin may read and write through the session. Raising vetoes: the transaction is rolled back, and an
    ``guywire.errors.APIError`` becomes the answer to the request.
    """


@hookspec
def after_commit(event: Event, jobs: Any) -> None:
    """Something has happened and is committed.

    ``jobs`` is the queue (``guywire.jobs.JobQueue``): the hook may enqueue work and do nothing else, because it
    runs within a request. What it raises is logged and does not reach the client.
    """
