"""Rows of connections and commands, for tests that need some and do not look at them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from guywire.models import Device
from guywire_ssh_connection.command_models import Batch, Command
from guywire_ssh_connection.models import Credentials, DeviceConnection
from sqlalchemy.orm import Session

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATES: dict[str, Any] = {"created": NOW, "modified": NOW}
_COMMAND: dict[str, Any] = {
    "type": "custom",
    "label": "Custom commands",
    "input": {"command": "ls"},
    "input_text": "ls",
}


def device_row(session: Session, owner: UUID) -> Device:
    number = uuid4().hex[:12].upper()
    address = ":".join(number[i : i + 2] for i in range(0, 12, 2))
    device = Device(name=number, mac_address=address, key=number, organization_id=owner, **DATES)
    session.add(device)
    session.flush()
    return device


def credentials_row(session: Session, owner: UUID | None) -> Credentials:
    """Credentials that open nothing."""
    params = {"username": "root", "password": uuid4().hex}
    connector = "openwisp_controller.connection.connectors.ssh.Ssh"
    credentials = Credentials(name=uuid4().hex, organization_id=owner, connector=connector, params=params, **DATES)
    session.add(credentials)
    session.flush()
    return credentials


def connection_row(session: Session, owner: UUID) -> DeviceConnection:
    """A connection of a device of its own."""
    device, credentials = device_row(session, owner), credentials_row(session, owner)
    connection = DeviceConnection(device_id=device.id, credentials_id=credentials.id, **DATES)
    session.add(connection)
    session.flush()
    return connection


def command_row(session: Session, owner: UUID) -> Command:
    """A command of a device of its own."""
    device = device_row(session, owner)
    command = Command(id=uuid4(), device_id=device.id, organization_id=owner, **_COMMAND, **DATES)
    session.add(command)
    session.flush()
    return command


def batch_row(session: Session, owner: UUID) -> Batch:
    """A command for no device."""
    batch = Batch(id=uuid4(), organization_id=owner, parallel=1, rate=0, expires=NOW, **_COMMAND, **DATES)
    session.add(batch)
    session.flush()
    return batch
