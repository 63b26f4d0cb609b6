"""Connections to devices over SSH: credentials, pushes of configurations, commands."""

from __future__ import annotations

from pathlib import Path

from guywire import hookimpl
from guywire.interfaces import MigrationSource, PermissionSet
from guywire.models import Base
from pyramid.config import Configurator

from guywire_ssh_connection import api, migrations, models

__all__ = ["models"]

_ALL = frozenset({"add", "change", "delete", "view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """The stock groups' permissions, as in the reference: only administrators know credentials."""
    return [
        PermissionSet("credentials", "credentials", administrator=_ALL),
        PermissionSet("deviceconnection", "device connection", operator=_ALL, administrator=_ALL),
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of this plugin."""
    return [MigrationSource("ssh_connection", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API."""
    config.scan(api)
