"""Keeps what the map searches by: cells, numbers of devices, and copies of their statuses.

It hears of every change of a location or a device's place that goes through the ORM, in its transaction, and of
statuses by events. ``repair`` puts right what went past it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from guywire.events import ConfigsCreated, ConfigStatusChanged, DevicesDeleting, Event, OrganizationDeleting
from guywire.models import Config, ConfigState
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Session

from guywire_geo.models import FILTERED, DeviceLocation, Location
from guywire_geo.services.changes import forget, note, note_more
from guywire_geo.services.grid import cell_of

_PLACE: Any = DeviceLocation.__table__
_LOCATION: Any = Location.__table__


def _of_location(column: Any) -> Any:
    return sa.select(column).where(Location.id == DeviceLocation.location_id).scalar_subquery()


_STATUS = sa.func.coalesce(
    sa.select(ConfigState.status).where(ConfigState.device_id == DeviceLocation.device_id).scalar_subquery(), ""
)
_OF_LOCATION = ("cell", *FILTERED)
_COPIES = {name: _of_location(getattr(Location, name)) for name in _OF_LOCATION} | {"status": _STATUS}
_COUNT = (
    sa.select(sa.func.count())
    .select_from(DeviceLocation)
    .where(DeviceLocation.location_id == Location.id)
    .scalar_subquery()
)


# Locations and places that the ORM writes


@listens_for(Location, "before_insert")
@listens_for(Location, "before_update")
def _set_cell(mapper: Any, connection: sa.Connection, location: Location) -> None:
    longitude, latitude = location.longitude, location.latitude
    location.cell = None if longitude is None or latitude is None else cell_of(longitude, latitude)


@listens_for(Location, "after_update")
def _follow_location(mapper: Any, connection: sa.Connection, location: Location) -> None:
    copies = {name: getattr(location, name) for name in _OF_LOCATION}
    connection.execute(sa.update(_PLACE).where(_PLACE.c.location_id == location.id).values(copies))
    _note_location(connection, location.id)


@listens_for(Location, "before_delete")
def _forget_location(mapper: Any, connection: sa.Connection, location: Location) -> None:
    _note_location(connection, location.id)


@listens_for(DeviceLocation, "after_insert")
def _add_place(mapper: Any, connection: sa.Connection, place: DeviceLocation) -> None:
    _copy(connection, place)
    _count(connection, place.location_id, +1)


@listens_for(DeviceLocation, "after_update")
def _move_place(mapper: Any, connection: sa.Connection, place: DeviceLocation) -> None:
    history = sa.inspect(place).attrs.location_id.history
    if history.has_changes():
        _copy(connection, place)
        for former in history.deleted or ():
            _count(connection, former, -1)
        _count(connection, place.location_id, +1)


@listens_for(DeviceLocation, "after_delete")
def _remove_place(mapper: Any, connection: sa.Connection, place: DeviceLocation) -> None:
    _count(connection, place.location_id, -1)


def _copy(connection: sa.Connection, place: DeviceLocation) -> None:
    connection.execute(sa.update(_PLACE).where(_PLACE.c.device_id == place.device_id).values(_COPIES))


def _count(connection: sa.Connection, location_id: Any, step: int) -> None:
    if location_id is not None:
        count = {"device_count": _LOCATION.c.device_count + step}
        connection.execute(sa.update(_LOCATION).where(_LOCATION.c.id == location_id).values(count))
        _note_location(connection, location_id)


def _note_location(connection: sa.Connection, location_id: Any) -> None:
    note(connection, sa.select(Location.id, Location.organization_id).where(Location.id == location_id))


# What others tell


def hear(session: Session, event: Event) -> None:
    """Follow the status of configurations, and devices and organizations that go."""
    if isinstance(event, ConfigStatusChanged):
        _set_status(session, DeviceLocation.device_id == event.device_id, event.status)
    elif isinstance(event, ConfigsCreated):
        owners = sa.select(Config.device_id).where(Config.id.in_(event.config_ids))
        _set_status(session, DeviceLocation.device_id.in_(owners), _STATUS)
    elif isinstance(event, DevicesDeleting):
        # The database would remove their places without a word.
        for place in session.scalars(sa.select(DeviceLocation).where(DeviceLocation.device_id.in_(event.device_ids))):
            session.delete(place)
        session.flush()
    elif isinstance(event, OrganizationDeleting):
        theirs = sa.select(Location.id).where(Location.organization_id == event.organization_id)
        if session.scalar(theirs.limit(1)) is not None:
            note_more(session)


def _set_status(session: Session, places: Any, status: Any) -> None:
    changed = sa.update(DeviceLocation).where(places).values(status=status)
    if session.execute(changed.execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
        note(session.connection(), sa.select(DeviceLocation.location_id, DeviceLocation.organization_id).where(places))


# What nobody told


def repair(session: Session) -> int:
    """Put right copies and numbers that are not what they should be, and shorten the log. Returns how many.

    Statements that know no ORM (an import, a restored table, a time without the plugin) go past everything above.
    """
    wrong = 0
    without = sa.select(Location).where(Location.cell.is_(None), Location.longitude.is_not(None))
    for location in session.scalars(without):
        _set_cell(None, session.connection(), location)
        wrong += 1
    session.flush()
    statements = [
        sa.update(DeviceLocation).where(getattr(DeviceLocation, name).is_distinct_from(value)).values({name: value})
        for name, value in _COPIES.items()
    ]
    statements.append(sa.update(Location).where(Location.device_count != _COUNT).values(device_count=_COUNT))
    for statement in statements:
        found = session.execute(statement.execution_options(synchronize_session=False))
        wrong += found.rowcount  # type: ignore[attr-defined]
    if wrong:
        note_more(session)
    forget(session)
    return wrong
