"""Connections to devices over SSH: credentials, pushes of configurations, commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guywire import hookimpl
from guywire.events import Event
from guywire.interfaces import CommandType, Connector, Job, MigrationSource, PermissionSet, UpdateStrategy
from guywire.jobs import JobQueue
from guywire.models import Base
from guywire.settings import Settings
from pyramid.config import Configurator
from sqlalchemy.orm import Session

from guywire_ssh_connection import api, command_types, commanding, contributions, migrations, models
from guywire_ssh_connection.connectors.snmp import AirOsSnmp, OpenWrtSnmp
from guywire_ssh_connection.connectors.ssh import Ssh
from guywire_ssh_connection.services import pushing, spreading, visits
from guywire_ssh_connection.settings import SSHSettings
from guywire_ssh_connection.strategies import OpenWisp1, OpenWrt

__all__ = ["models"]

_ALL = frozenset({"add", "change", "delete", "view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """The stock groups' permissions, as in the reference: only administrators know credentials."""
    return [
        PermissionSet("credentials", "credentials", administrator=_ALL),
        PermissionSet("deviceconnection", "device connection", operator=_ALL, administrator=_ALL),
        *commanding.PERMISSIONS,
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of this plugin."""
    return [MigrationSource("ssh_connection", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def register_connectors() -> list[Connector]:
    """SSH; and SNMP, whose credentials can be stored."""
    return [Ssh(), OpenWrtSnmp(), AirOsSnmp()]


@hookimpl
def register_update_strategies() -> list[UpdateStrategy]:
    """The agent openwisp-config, and OpenWISP 1.x, which needs to be told nothing."""
    return [OpenWrt(), OpenWisp1()]


@hookimpl
def register_command_types() -> Sequence[CommandType]:
    """The types of commands that the reference has."""
    return command_types.TYPES


@hookimpl
def register_jobs(settings: Settings) -> list[Job]:
    """Visits to devices, and what makes them necessary."""
    return [*visits.jobs(SSHSettings.of(settings).parallel_visits), *pushing.JOBS, *spreading.JOBS, *commanding.JOBS]


@hookimpl
def on_event(session: Session, event: Event) -> None:
    """Note which devices should be visited, and give new ones the credentials that are for all."""
    pushing.hear(session, event)
    spreading.hear(session, event)
    commanding.on_event(session, event)


@hookimpl
def after_commit(event: Event, jobs: JobQueue) -> None:
    """Wake those up who have something to do."""
    pushing.tell(event, jobs)
    spreading.tell(event, jobs)
    commanding.after_commit(event, jobs)


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API."""
    contributions.check(config.registry.runtime.registry)
    config.scan(api)
