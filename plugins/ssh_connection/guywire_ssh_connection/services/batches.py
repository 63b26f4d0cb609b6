"""Commands for many devices: who gets one, whose turn it is, when it is enough.

A batch makes all its commands at once, and holds them. This job lets as many go as may run, and looks again whenever
one of them has ended, whenever a device polls that one of them waits for, and every few seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.events import DevicePolled, Event
from guywire.interfaces import CommandType, Connector, Job
from guywire.interfaces.commands import CommandInput
from guywire.jobs import JobQueue, Priority
from guywire.models import Device
from guywire.plugin import notify
from guywire.runtime import Runtime
from sqlalchemy.orm import Session

from guywire_ssh_connection.command_models import (
    ABORTED,
    CANCELLED,
    DEVICE,
    EXPIRED,
    FAILED,
    FINISHED,
    IN_PROGRESS,
    SUCCESS,
    TURN,
    Batch,
    Command,
)
from guywire_ssh_connection.services import commands
from guywire_ssh_connection.services.connecting import has_usable_connection
from guywire_ssh_connection.services.executing import ADVANCE

MINUTE = timedelta(minutes=1)
STATES = ("queued", "waiting", "running", "success", "failed", "not_run")
"""What the commands of a batch may be at: ``waiting`` for their device, ``not_run`` because it came to an end before
their turn.
"""

_REASONS = {
    CANCELLED: "The batch was cancelled before this command began.",
    ABORTED: "Too many commands of the batch failed before this one began.",
    EXPIRED: "The batch expired before this command could begin.",
}


@dataclass(frozen=True, slots=True)
class BatchMoves(Event):
    """More commands of a batch may have their turn."""

    batch_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Plan:
    """The devices that would get a command, by id and name, and those that would not, with the reason."""

    devices: Sequence[tuple[uuid.UUID, str]]
    skipped: Sequence[dict[str, str]]


def plan(session: Session, condition: Any, connectors: Iterable[Connector]) -> Plan:
    """Who gets a command of those devices that ``condition`` (SQL) names."""
    connected = has_usable_connection(Device.id, connectors)
    query = sa.select(Device.id, Device.name, Device.is_deactivated, connected.label("is_connected"))
    devices: list[tuple[uuid.UUID, str]] = []
    skipped: list[dict[str, str]] = []
    for row in session.execute(query.where(condition).order_by(Device.name, Device.id)):
        reason = "" if row.is_connected else "It has no connection that is enabled and runs commands."
        if row.is_deactivated:
            reason = "It is deactivated."
        if reason:
            skipped.append({"id": str(row.id), "name": row.name, "reason": reason})
        else:
            devices.append((row.id, row.name))
    return Plan(devices, skipped)


def create(
    session: Session, type: CommandType, input: CommandInput, planned: Plan, options: Mapping[str, Any], now: datetime
) -> Batch:
    """A batch with the commands of its devices, held until it is their turn. ``options`` are further columns."""
    values = commands.described(type, input, now)
    of_batch = {name: value for name, value in values.items() if name != "secret"}
    batch = Batch(id=uuid.uuid4(), **of_batch, **options, skipped=list(planned.skipped))
    session.add(batch)
    session.flush()
    values |= {"organization_id": batch.organization_id, "batch_id": batch.id, "hold": TURN}
    # One dictionary a row: what is sealed is sealed for each of them.
    session.execute(sa.insert(Command), [{"id": uuid.uuid4(), "device_id": id, **values} for id, _ in planned.devices])
    notify(session, BatchMoves(batch.id))
    return batch


def cancel(session: Session, batch: Batch, now: datetime) -> None:
    """Begin no more commands of a batch."""
    if batch.status == IN_PROGRESS:
        _stop(session, batch, CANCELLED, now)


def advance(runtime: Runtime, batch_id: str) -> None:
    """Let the next commands of a batch have their turn, or end it."""
    with writing(runtime.session_factory) as session:
        batch = session.get(Batch, uuid.UUID(batch_id), with_for_update=True)
        if batch is None or batch.status != IN_PROGRESS:
            return
        now = runtime.clock()
        count = counts(session, [batch.id])[batch.id]
        total = sum(count.values())
        if now >= batch.expires and count["queued"] + count["waiting"]:
            _stop(session, batch, EXPIRED, now)
        elif batch.abort_percentage and count["failed"] and count["failed"] * 100 >= batch.abort_percentage * total:
            _stop(session, batch, ABORTED, now)
        elif not count["queued"] + count["waiting"] + count["running"]:
            batch.status, batch.modified = FINISHED, now
        else:
            _release(session, batch, now)


def _release(session: Session, batch: Batch, now: datetime) -> None:
    mine = Command.batch_id == batch.id

    def number(*condition: Any) -> int:
        return session.scalar(sa.select(sa.func.count()).where(mine, *condition)) or 0

    room = batch.parallel - number(Command.status == IN_PROGRESS, Command.hold == "")
    if batch.rate:
        room = min(room, batch.rate - number(Command.released > now - MINUTE))
    if room <= 0:
        return
    held = sa.select(Command.number).where(mine, Command.status == IN_PROGRESS, Command.hold == TURN)
    chosen = session.scalars(held.order_by(Command.number).limit(room)).all()
    released = session.scalars(
        sa.update(Command)
        .where(Command.number.in_(chosen))
        .values(hold="", released=now, modified=now)
        .returning(Command.device_id)
        .execution_options(synchronize_session=False)
    ).all()
    if released:
        notify(session, commands.CommandsWaiting(tuple(released), Priority.BULK))


def _stop(session: Session, batch: Batch, status: str, now: datetime) -> None:
    commands.give_up(session, Command.batch_id == batch.id, _REASONS[status], now)
    batch.status, batch.modified = status, now


def counts(session: Session, batch_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, int]]:
    """How many commands of each batch are at what (``STATES``)."""
    query = (
        sa.select(Command.batch_id, _STATE, sa.func.count())
        .where(Command.batch_id.in_(batch_ids))
        .group_by(Command.batch_id, _STATE)
    )
    found = {id: dict.fromkeys(STATES, 0) for id in batch_ids}
    for id, state, number in session.execute(query):
        found[id][state] = number
    return found


_NEVER = Command.started.is_(None)
_STATE = sa.case(
    (Command.status == SUCCESS, sa.literal_column("'success'")),
    (sa.and_(Command.status == FAILED, _NEVER), sa.literal_column("'not_run'")),
    (Command.status == FAILED, sa.literal_column("'failed'")),
    (sa.not_(_NEVER), sa.literal_column("'running'")),
    (Command.hold == DEVICE, sa.literal_column("'waiting'")),
    else_=sa.literal_column("'queued'"),
)


def hear(session: Session, event: Event) -> None:
    """A device polls that commands wait for: they may have their turn again."""
    if isinstance(event, DevicePolled):
        woken: Sequence[Any] = session.scalars(
            sa.update(Command)
            .where(Command.device_id == event.device_id, Command.status == IN_PROGRESS, Command.hold == DEVICE)
            .values(hold=TURN)
            .returning(Command.batch_id)
            .execution_options(synchronize_session=False)
        ).all()
        for batch_id in set(woken):
            notify(session, BatchMoves(batch_id))


def tell(event: Event, jobs: JobQueue) -> None:
    """Let a batch move."""
    if isinstance(event, BatchMoves):
        jobs.enqueue(ADVANCE, priority=Priority.BULK, batch_id=str(event.batch_id))


def advance_all(runtime: Runtime) -> None:
    """Look after every batch: time passes, and wake-ups may be lost."""
    with reading(runtime.session_factory) as session:
        ids = session.scalars(sa.select(Batch.id).where(Batch.status == IN_PROGRESS)).all()
    for id in ids:
        advance(runtime, str(id))


JOBS = (
    Job(ADVANCE, advance, label="Commands for many devices"),
    Job("ssh_batches", advance_all, every=5.0, label="Look after commands for many devices"),
)
