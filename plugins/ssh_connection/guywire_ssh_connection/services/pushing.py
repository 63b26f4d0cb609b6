"""Pushes: devices with connections are told at once that their configuration has changed.

What is to be pushed is not a list of its own: it is what the states of configurations and the visits say together. The
generation that a device should have is not the one that it was told of, and it has neither fetched nor reported it. So
many edits make one push, and one that is repeated or was lost does no harm.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.events import ConfigModified, ConfigStatusChanged, DeviceRegistered, Event
from guywire.interfaces import ConnectionFailed, Connector, Job
from guywire.jobs import JobQueue, Priority
from guywire.models import ConfigState, Device, Organization
from guywire.plugin import notify
from guywire.runtime import Runtime
from guywire.services.status import DEACTIVATING, MODIFIED, storable
from guywire.tracebacks import traceback_of
from sqlalchemy.orm import Session

from guywire_ssh_connection.models import DeviceConnection, DeviceVisit
from guywire_ssh_connection.services import commands
from guywire_ssh_connection.services.connecting import Opened, Opener, has_usable_connection
from guywire_ssh_connection.services.lease import LeaseLost

log = logging.getLogger(__name__)

PUSH = "ssh_push"
"""The job that has those devices visited whose configurations have just changed."""
REMIND = "ssh_push_reminder"
"""The job that has those visited that a wake-up was lost for, or that could not be reached before."""

_AFTER_EDIT = 20
"""So many devices at once are an operator's edit, for which somebody waits; more are the consequence of another one."""
_CHUNK = 500
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PushesDue(Event):
    """Some devices should be told that their configuration has changed."""


def hear(session: Session, event: Event) -> None:
    """However many configurations change in a transaction, there is one thing to say about it."""
    if isinstance(event, ConfigModified) or (isinstance(event, ConfigStatusChanged) and event.status == DEACTIVATING):
        notify(session, PushesDue())
    elif isinstance(event, DeviceRegistered) and not event.is_new:
        # It is awake, and fetches next what it should have.
        visit = session.get(DeviceVisit, event.device_id, with_for_update=True)
        generation = sa.select(ConfigState.generation).where(ConfigState.device_id == event.device_id)
        if visit is not None:
            visit.pushed_generation = session.scalar(generation) or visit.pushed_generation


def tell(event: Event, jobs: JobQueue) -> None:
    """Look for devices to visit."""
    if isinstance(event, PushesDue):
        jobs.enqueue(PUSH)


def begin(session: Session, device_ids: Collection[uuid.UUID]) -> None:
    """Devices got a connection: from now on they are told of what changes. What they should have now they fetch by
    themselves, as a device does that is new.
    """
    known = set(session.scalars(sa.select(DeviceVisit.device_id).where(DeviceVisit.device_id.in_(device_ids))))
    states = sa.select(ConfigState.device_id, ConfigState.generation).where(ConfigState.device_id.in_(device_ids))
    generations = dict(session.execute(states).all())
    # Without one yet, the first is the one that it fetches by itself.
    session.add_all(
        DeviceVisit(device_id=id, pushed_generation=max(1, generations.get(id, 0)))
        for id in device_ids
        if id not in known
    )


def try_again(session: Session, device_ids: Any) -> None:
    """What was in the way of pushes to these devices (a SELECT of their ids, or a list) may have been put right: they
    need not wait for their next attempt.
    """
    waiting = sa.update(DeviceVisit).where(DeviceVisit.device_id.in_(device_ids), DeviceVisit.next_attempt.is_not(None))
    values = {"queued_generation": 0, "failures": 0, "next_attempt": None}
    done: Any = session.execute(waiting.values(values).execution_options(synchronize_session=False))
    if done.rowcount:
        notify(session, PushesDue())


def push_if_due(runtime: Runtime, device_id: uuid.UUID, open: Opener) -> None:
    """Tell a device of its configuration, if it does not know of it yet. The caller has it for himself."""
    with reading(runtime.session_factory) as session:
        query = _due(runtime.registry.connectors.values()).where(DeviceVisit.device_id == device_id)
        found = session.execute(query).first()
    if found is None:
        return
    opened = None
    try:
        opened = open(None)
        strategy = runtime.registry.update_strategies.get(opened.update_strategy)
        if strategy is None:
            raise ConnectionFailed(f'The update strategy "{opened.update_strategy}" is not installed.')
        strategy.update(opened.session)
    except ConnectionFailed as error:
        log.warning("device %s could not be told of its configuration: %s", device_id, error)
        _record_failure(runtime, device_id, opened, str(error))
    except (LeaseLost, sa.exc.SQLAlchemyError):
        raise
    except Exception as error:  # noqa: BLE001 (whatever a stranger's strategy raises)
        log.error("device %s could not be told of its configuration\n%s", device_id, traceback_of(error))
        _record_failure(runtime, device_id, opened, "internal error of the update strategy")
    else:
        _record_success(runtime, device_id, opened, found.generation)


def _due(connectors: Collection[Connector]) -> Any:
    """The devices that should be told of their configuration, and its generation."""
    return (
        sa.select(DeviceVisit.device_id, ConfigState.generation)
        .join(ConfigState, ConfigState.device_id == DeviceVisit.device_id)
        .join(Device, Device.id == DeviceVisit.device_id)
        .join(Organization, Organization.id == Device.organization_id)
        .where(Organization.is_active)
        .where(ConfigState.status.in_((MODIFIED, DEACTIVATING)))
        .where(ConfigState.generation != DeviceVisit.pushed_generation)
        # What is stale as well counts too: rendering it may give the same bytes, and then nobody would ask again.
        .where(ConfigState.checksum.is_not(None))
        .where(ConfigState.served_checksum.is_distinct_from(ConfigState.checksum))
        .where(has_usable_connection(DeviceVisit.device_id, connectors))
    )


def push(runtime: Runtime) -> None:
    """Have those devices visited whose configurations have changed since somebody last asked for it."""
    fresh = _due(runtime.registry.connectors.values()).where(DeviceVisit.queued_generation != ConfigState.generation)
    with reading(runtime.session_factory) as session:
        found = session.execute(fresh.order_by(DeviceVisit.device_id)).all()
    priority = Priority.OPERATOR if len(found) <= _AFTER_EDIT else Priority.BULK
    for start in range(0, len(found), _CHUNK):
        chunk = found[start : start + _CHUNK]
        commands.visit(runtime.queue, [id for id, _ in chunk], priority)
        # Only now: who dies between the two asks twice, and that does no harm.
        with writing(runtime.session_factory) as session:
            session.connection().execute(
                sa.update(DeviceVisit)
                .where(DeviceVisit.device_id == sa.bindparam("device"))
                .values(queued_generation=sa.bindparam("generation")),
                [{"device": id, "generation": generation} for id, generation in chunk],
            )


def remind(runtime: Runtime) -> None:
    """Have all devices visited that should be told of something now, whether or not somebody asked for it before."""
    wanted = _due(runtime.registry.connectors.values()).where(
        sa.or_(DeviceVisit.next_attempt.is_(None), DeviceVisit.next_attempt <= runtime.clock())
    )
    with reading(runtime.session_factory) as session:
        ids = session.scalars(wanted.order_by(DeviceVisit.next_attempt, DeviceVisit.device_id)).all()
    for start in range(0, len(ids), _CHUNK):
        commands.visit(runtime.queue, ids[start : start + _CHUNK], Priority.BULK)


def _record_success(runtime: Runtime, device_id: uuid.UUID, opened: Opened, generation: int) -> None:
    with writing(runtime.session_factory) as session:
        _explain(session, opened, "")
        row = session.get(DeviceVisit, device_id, with_for_update=True)
        if row is not None:
            row.pushed_generation, row.failures, row.next_attempt = generation, 0, None


def _record_failure(runtime: Runtime, device_id: uuid.UUID, opened: Opened | None, reason: str) -> None:
    now: datetime = runtime.clock()
    with writing(runtime.session_factory) as session:
        if opened is not None:
            _explain(session, opened, f"The device could not be told of its configuration: {storable(reason)}")
        row = session.get(DeviceVisit, device_id, with_for_update=True)
        if row is not None:
            row.next_attempt = now + min(_FIRST_WAIT * 2 ** min(row.failures, 20), _LONGEST_WAIT)
            row.failures += 1


def _explain(session: Session, opened: Opened, reason: str) -> None:
    """A connection that works, and over which the device was not told of its configuration, says why.

    To be called before the visit is locked, as those do who edit connections.
    """
    connection = session.get(DeviceConnection, opened.connection_id, with_for_update=True)
    if connection is not None and connection.failure_reason != reason:
        connection.failure_reason = reason


JOBS = (
    # Now and then by itself too: who asks for it may die before.
    Job(PUSH, push, every=10.0, label="Look for devices to tell of their configuration"),
    Job(REMIND, remind, every=60.0, label="Look for devices that could not be told of their configuration"),
)
