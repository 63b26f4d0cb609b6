"""Runs the commands of one device, one after the other and each at most once."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

import sqlalchemy as sa
from guywire.db import is_conflict, is_overload, reading, writing
from guywire.interfaces import CommandTimeout, CommandType, ConnectionFailed, DeviceSession
from guywire.jobs import Priority
from guywire.models import ConfigState, Device
from guywire.runtime import Runtime
from guywire.services.status import await_polls
from guywire.tracebacks import traceback_of

from guywire_ssh_connection.command_models import DEVICE, FAILED, IN_PROGRESS, SUCCESS, Command
from guywire_ssh_connection.models import DeviceConnection
from guywire_ssh_connection.services import commands
from guywire_ssh_connection.services.command_input import MASK, secrets_of
from guywire_ssh_connection.services.connecting import DEVICE_DEACTIVATED, Opener, Unreachable
from guywire_ssh_connection.services.lease import Lease, LeaseLost
from guywire_ssh_connection.services.live_output import LiveOutput, with_newline

log = logging.getLogger(__name__)

ADVANCE = "ssh_batch"
"""The job that lets the next devices of a batch have their turn."""

UNKNOWN = "The worker ended while the command ran: the outcome is unknown, and it will not be run again.\n"
SILENT = "No exit status came: the device hung up, or something ended the command. Whether it was done is unknown.\n"

_ATTEMPTS = 20


def run_next(runtime: Runtime, lease: Lease, open: Opener) -> bool:
    """Run the oldest command that waits for a device, and say whether there was one.

    A command that began and has not ended is of somebody who had the lease before and is gone, so it is ended here and
    never repeated. Nothing is begun or given up by one who has the lease no more. Raises LeaseLost.
    """
    device_id = lease.device_id
    with reading(runtime.session_factory) as session:
        in_progress = Command.device_id == device_id, Command.status == IN_PROGRESS
        if session.scalar(sa.select(Command.number).where(*in_progress, Command.started.is_not(None)).limit(1)):
            session.rollback()
            _end_abandoned(runtime, lease)
        query = sa.select(Command).where(Command.device_id == device_id, commands.waits())
        command = session.scalars(query.order_by(Command.number).limit(1)).first()
        if command is None:
            return False
        device = session.get(Device, device_id)
        if device is None:
            return False
    type = runtime.registry.command_types.get(command.type)
    if device.is_deactivated:
        _give_up(runtime, lease, command, DEVICE_DEACTIVATED)
    elif device.organization_id != command.organization_id:
        _give_up(runtime, lease, command, commands.MOVED)
    elif type is None:
        _give_up(runtime, lease, command, f'No plugin knows commands of the type "{command.type}" any more.')
    else:
        _connect_and_run(runtime, lease, command, type, open)
    return True


def _connect_and_run(runtime: Runtime, lease: Lease, command: Command, type: CommandType, open: Opener) -> None:
    try:
        opened = open(command.connection_id)
    except Unreachable as error:
        _unreachable(runtime, lease, command, error)
        return
    except (LeaseLost, sa.exc.SQLAlchemyError):
        # The command has not begun: it is for whoever is with the device next.
        raise
    except Exception as error:  # noqa: BLE001 (whatever a connector of a stranger raises)
        # Not what it says: that may quote the credentials.
        log.error("command %s: no connection\n%s", command.id, traceback_of(error))
        _give_up(runtime, lease, command, f"Internal system error: {error.__class__.__name__}")
        return
    if _claim(runtime, lease, command, opened.connection_id):
        status, output = _run(runtime, command, type, opened.session)
        # Whatever is said of it meanwhile: nobody else has run it, so this is the truth.
        _finish(runtime, None, command, Command.number == command.number, status, output)


def _claim(runtime: Runtime, lease: Lease, command: Command, connection_id: uuid.UUID) -> bool:
    """Write down that the command begins, unless it was cancelled, or the device deactivated, meanwhile.

    The lease is held in the same transaction, so none of two who think that they have the device is in doubt.
    """
    is_active = sa.exists().where(
        Device.id == Command.device_id, ~Device.is_deactivated, Device.organization_id == Command.organization_id
    )
    now = runtime.clock()
    with writing(runtime.session_factory) as session:
        lease.hold(session)
        claimed = session.execute(
            sa.update(Command)
            .where(Command.number == command.number, commands.waits(), is_active)
            .values(started=now, modified=now, connection_id=_if_there(connection_id))
            .returning(Command.number)
            .execution_options(synchronize_session=False)
        )
        return claimed.first() is not None


def _run(runtime: Runtime, command: Command, type: CommandType, session: DeviceSession) -> tuple[str, str]:
    """Run a command. Returns its status and its output."""
    input = command.secret if command.secret is not None else command.input
    secrets = secrets_of(type, input)
    live = LiveOutput(runtime, command.number)
    try:
        line = type.build(input)
        # What comes in pieces cannot be searched for secrets.
        result = session.execute(line, on_output=None if secrets else live.hear)
    except CommandTimeout as error:
        status, output = FAILED, live.with_line(f"The command took longer than expected: {error}")
    except ConnectionFailed as error:
        # It was not begun.
        status, output = FAILED, str(error)
    except Exception as error:  # noqa: BLE001 (whatever a type of a stranger raises)
        # Not with its traceback: there may be secrets in what it was called with.
        log.error("command %s failed: %s", command.id, _masked(repr(error), secrets))
        status, output = FAILED, live.with_line(f"Internal system error: {error}")
    else:
        live.complete(result)
        if result.exit_status == 0:
            status, output = SUCCESS, with_newline(live.text)
        elif result.exit_status is not None:
            name = type.label if secrets else line
            report = f'Command "{name}" returned non-zero exit code: {result.exit_status}'
            status, output = FAILED, live.with_line(report)
        else:
            dropped = type.drops_connection
            status, output = (SUCCESS, live.text) if dropped else (FAILED, live.with_line(SILENT))
    return status, _masked(output, secrets)


def _unreachable(runtime: Runtime, lease: Lease, command: Command, error: Unreachable) -> None:
    """A command alone has failed. One of a batch waits until the device polls, if it ever does."""
    if command.batch_id is None or not _hold(runtime, command):
        tried = {} if error.connection_id is None else {"connection_id": _if_there(error.connection_id)}
        _give_up(runtime, lease, command, str(error), **tried)
    else:
        runtime.queue.enqueue(ADVANCE, priority=Priority.BULK, batch_id=str(command.batch_id))


def _hold(runtime: Runtime, command: Command) -> bool:
    """Let a command wait for its device. Returns whether that makes sense: without configuration nobody polls."""
    with writing(runtime.session_factory) as session:
        if session.scalar(sa.select(sa.exists().where(ConfigState.device_id == command.device_id))):
            await_polls(session, [command.device_id])
            session.execute(
                sa.update(Command)
                .where(Command.number == command.number, commands.waits())
                .values(hold=DEVICE, modified=runtime.clock())
                .execution_options(synchronize_session=False)
            )
            return True
    return False


def _end_abandoned(runtime: Runtime, lease: Lease) -> None:
    begun = Command.status == IN_PROGRESS, Command.started.is_not(None)
    mine = sa.and_(Command.device_id == lease.device_id, *begun)
    with reading(runtime.session_factory) as session:
        found = session.scalars(sa.select(Command).where(mine)).all()
    for command in found:
        log.warning("command %s: its worker is gone, its outcome is unknown", command.id)
        output = with_newline(command.output) + UNKNOWN
        _finish(runtime, lease, command, sa.and_(mine, Command.number == command.number), FAILED, output)


def _if_there(connection_id: uuid.UUID) -> Any:
    """SQL: the id of a connection. Somebody may have deleted it since it was tried."""
    return sa.select(DeviceConnection.id).where(DeviceConnection.id == connection_id).scalar_subquery()


def _give_up(runtime: Runtime, lease: Lease, command: Command, reason: str, **values: Any) -> None:
    has_not_begun = sa.and_(Command.number == command.number, Command.status == IN_PROGRESS, Command.started.is_(None))
    _finish(runtime, lease, command, has_not_begun, FAILED, reason, **values)


def _finish(
    runtime: Runtime, lease: Lease | None, command: Command, condition: Any, status: str, output: Any, **values: Any
) -> None:
    """End a command, however busy the database is: nobody will know later how it went.

    Who has run it knows that, and needs no lease for it.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with writing(runtime.session_factory) as session:
                if lease is not None:
                    lease.hold(session)
                commands.end(session, condition, status, output, runtime.clock(), **values)
            break
        except sa.exc.SQLAlchemyError as error:
            if attempt == _ATTEMPTS - 1 or not (is_overload(error) or is_conflict(error)):
                raise
            time.sleep(0.5)
    if command.batch_id is not None:
        runtime.queue.enqueue(ADVANCE, priority=Priority.BULK, batch_id=str(command.batch_id))


def _masked(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
