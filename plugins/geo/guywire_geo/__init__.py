"""Geography: locations, floor plans, and where each device is."""

from __future__ import annotations

from pathlib import Path

from guywire import hookimpl
from guywire.db import writing
from guywire.events import DeviceMoved, Event, OrganizationDeleting
from guywire.interfaces import FieldGroup, Job, MigrationSource, PermissionSet
from guywire.jobs import JobQueue
from guywire.models import Base
from guywire.runtime import Runtime
from pyramid.config import Configurator
from sqlalchemy.orm import Session

from guywire_geo import api, migrations
from guywire_geo.api.device_filters import DEVICE_FILTERS
from guywire_geo.models import FloorPlan
from guywire_geo.services import floor_plans, image_files, placements, points
from guywire_geo.settings import GeoSettings

_VIEW = frozenset({"view"})
_ALL = frozenset({"add", "change", "delete", "view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """The stock groups' permissions, as in the reference."""
    return [
        PermissionSet("location", "location", operator=_ALL, administrator=_ALL),
        PermissionSet("floorplan", "floor plan", operator=_ALL, administrator=_ALL),
        PermissionSet("devicelocation", "device location", operator=_ALL, administrator=_ALL),
        PermissionSet(
            "organizationgeosettings",
            "organization geographic settings",
            operator=_VIEW,
            administrator=frozenset({"change", "view"}),
        ),
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of locations, floor plans and devices' places."""
    return [MigrationSource("geo", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def register_fields() -> list[FieldGroup]:
    """Filters of devices by where they are."""
    return [DEVICE_FILTERS]


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API."""
    GeoSettings.of(config.registry.runtime.settings)  # what is wrong with them is said at the start
    config.scan(api)
    config.include("guywire_geo.map")


@hookimpl
def on_event(session: Session, event: Event) -> None:
    """Keep what the map counts by up to date; leave the locations of an organization to it when a device goes, and
    none of its pictures behind when it goes itself.
    """
    points.hear(session, event)
    if isinstance(event, DeviceMoved):
        placements.forget(session, event.device_id)
    elif isinstance(event, OrganizationDeleting):
        floor_plans.drop_images(session, FloorPlan.organization_id == event.organization_id)


@hookimpl
def after_commit(event: Event, jobs: JobQueue) -> None:
    """Files that nobody refers to any more are work for the worker."""
    if isinstance(event, image_files.ImagesDropped):
        jobs.enqueue(image_files.REMOVE, names=list(event.names))


@hookimpl
def register_jobs() -> list[Job]:
    """Images that are not needed any more go. Now and then, what the map counts by is counted anew."""
    return [
        Job("geo.points", _repair_points, every=3600),
        Job(image_files.REMOVE, image_files.remove),
        Job(image_files.SWEEP, image_files.sweep, every=image_files.SWEEP_INTERVAL),
    ]


def _repair_points(runtime: Runtime) -> None:
    with writing(runtime.session_factory) as session:
        points.repair(session)
