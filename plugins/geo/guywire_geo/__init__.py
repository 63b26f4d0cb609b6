"""Geography: locations, floor plans, and where each device is."""

from __future__ import annotations

from pathlib import Path

from guywire import hookimpl
from guywire.interfaces import MigrationSource, PermissionSet
from guywire.models import Base
from pyramid.config import Configurator

from guywire_geo import api, migrations, models

__all__ = ["models"]

_ALL = frozenset({"add", "change", "delete", "view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """The stock groups' permissions, as in the reference."""
    return [
        PermissionSet("location", "location", operator=_ALL, administrator=_ALL),
        PermissionSet("floorplan", "floor plan", operator=_ALL, administrator=_ALL),
        PermissionSet("devicelocation", "device location", operator=_ALL, administrator=_ALL),
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of locations, floor plans and devices' places."""
    return [MigrationSource("geo", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API."""
    config.scan(api)
