"""Commands of devices: made, waiting, ended."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.events import DeviceMoved, Event
from guywire.interfaces import CommandType, Job
from guywire.interfaces.commands import CommandInput
from guywire.jobs import JobQueue, Priority
from guywire.models import Device
from guywire.plugin import notify
from guywire.runtime import Runtime
from guywire.services.status import storable
from sqlalchemy.orm import Session

from guywire_ssh_connection.command_models import FAILED, IN_PROGRESS, Batch, Command
from guywire_ssh_connection.services.command_input import as_text, without_secrets
from guywire_ssh_connection.settings import SSHSettings

VISIT = "ssh_visit"
"""The job that goes to one device and does what waits there."""

MOVED = "The device was given to another organization before this command began."

_ROWS = 1000
_PATIENCE = timedelta(seconds=10)
"""How long a command waits before somebody sees to it that its device is visited: wake-ups may be lost."""


@dataclass(frozen=True, slots=True)
class CommandsWaiting(Event):
    """Devices are to be visited, because commands wait for them."""

    device_ids: tuple[uuid.UUID, ...]
    priority: Priority


def create(
    session: Session,
    type: CommandType,
    input: CommandInput,
    device: Device,
    connection_id: uuid.UUID | None,
    now: datetime,
) -> Command:
    """A command for one device, to be run as soon as possible."""
    whose = {"device_id": device.id, "organization_id": device.organization_id, "connection_id": connection_id}
    command = Command(**described(type, input, now), **whose, released=now)
    session.add(command)
    session.flush()
    notify(session, CommandsWaiting((device.id,), Priority.OPERATOR))
    return command


def described(type: CommandType, input: CommandInput, now: datetime) -> dict[str, Any]:
    """The columns of a command that say what is to be done."""
    return {
        "type": type.name,
        "label": type.label,
        "input": without_secrets(type, input),
        "input_text": as_text(type, input),
        "secret": input if type.secret and input is not None else None,
        "created": now,
        "modified": now,
    }


def waits() -> Any:
    """SQL: the commands that can be begun."""
    return sa.and_(Command.status == IN_PROGRESS, Command.started.is_(None), Command.hold == "")


def end(session: Session, condition: Any, status: str, output: Any, now: datetime, **values: Any) -> int:
    """End commands, and forget their secrets. Returns how many.

    ``output`` is SQL or a text.
    """
    if isinstance(output, str):
        output = storable(output)
    ended = session.execute(
        sa.update(Command)
        .where(condition)
        .values(status=status, output=output, secret=None, hold="", modified=now, **values)
        .execution_options(synchronize_session=False)
    )
    return cast("sa.CursorResult[Any]", ended).rowcount


def give_up(session: Session, condition: Any, reason: str, now: datetime) -> int:
    """End commands that have not begun, and never will. Returns how many."""
    waits = sa.and_(Command.status == IN_PROGRESS, Command.started.is_(None))
    return end(session, sa.and_(waits, condition), FAILED, reason, now)


def hear(session: Session, event: Event) -> None:
    """A device leaves its organization: those who asked for its commands have no say there."""
    if isinstance(event, DeviceMoved):
        now = session.get_one(Device, event.device_id).modified
        give_up(session, Command.device_id == event.device_id, MOVED, now)


def tell(event: Event, jobs: JobQueue) -> None:
    """Have devices visited whose commands wait."""
    if isinstance(event, CommandsWaiting):
        visit(jobs, event.device_ids, event.priority)


def visit(jobs: JobQueue, device_ids: Iterable[uuid.UUID], priority: Priority) -> None:
    """Have devices visited."""
    jobs.enqueue_many(VISIT, [{"device_id": str(id)} for id in device_ids], priority=priority)


def visit_forgotten(runtime: Runtime) -> None:
    """Have those devices visited whose commands have waited for a while, or were begun by a worker that is gone."""
    late = Command.modified < runtime.clock() - _PATIENCE
    query = sa.select(Command.device_id, sa.func.max(sa.case((Command.batch_id.is_(None), 1), else_=0)))
    query = query.where(Command.status == IN_PROGRESS, Command.hold == "", late).group_by(Command.device_id)
    with reading(runtime.session_factory) as session:
        found = session.execute(query).all()
    for priority, is_single in ((Priority.OPERATOR, 1), (Priority.BULK, 0)):
        if ids := [id for id, single in found if single == is_single]:
            visit(runtime.queue, ids, priority)


def delete_old(runtime: Runtime) -> None:
    """Delete what ended longer ago than commands are kept."""
    retention = SSHSettings.of(runtime.settings).command_retention
    if not retention:
        return
    limit = runtime.clock() - timedelta(seconds=retention)
    # In this order: a batch goes when its commands are gone, or the rest of it would be gone at once.
    commands = sa.select(Command.id).where(Command.status != IN_PROGRESS, Command.modified < limit)
    has_commands = sa.exists().where(Command.batch_id == Batch.id)
    batches = sa.select(Batch.id).where(Batch.status != IN_PROGRESS, Batch.modified < limit, ~has_commands)
    for model, old in ((Command, commands), (Batch, batches)):
        while _delete(runtime, model, old.limit(_ROWS)):
            pass


def _delete(runtime: Runtime, model: Any, ids: Any) -> Sequence[Any]:
    with writing(runtime.session_factory) as session:
        found = session.scalars(ids).all()
        session.execute(sa.delete(model).where(model.id.in_(found)).execution_options(synchronize_session=False))
    return found if len(found) == _ROWS else ()


JOBS = (
    Job("ssh_forgotten_commands", visit_forgotten, every=_PATIENCE.total_seconds(), label="Look after commands"),
    Job("ssh_old_commands", delete_old, every=3600.0, label="Delete old commands"),
)
