"""Connections to devices over SSH: credentials, pushes of configurations, commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guywire import hookimpl
from guywire.events import Event
from guywire.interfaces import CommandType, Job, MigrationSource, PermissionSet
from guywire.jobs import JobQueue
from guywire.models import Base
from pyramid.config import Configurator
from sqlalchemy.orm import Session

from guywire_ssh_connection import api, command_types, commanding, migrations, models
from guywire_ssh_connection.services import batches
from guywire_ssh_connection.services.command_input import check_types

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
def register_command_types() -> Sequence[CommandType]:
    """The types of commands that the reference has."""
    return command_types.TYPES


@hookimpl
def register_jobs() -> list[Job]:
    """The work that commands make."""
    return [*commanding.JOBS]


@hookimpl
def on_event(session: Session, event: Event) -> None:
    """Let commands go that wait for a device."""
    batches.hear(session, event)


@hookimpl
def after_commit(event: Event, jobs: JobQueue) -> None:
    """Wake those up who have something to do."""
    commanding.after_commit(event, jobs)


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API."""
    check_types(config.registry.runtime.registry)
    config.scan(api)
