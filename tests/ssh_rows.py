"""Rows of commands, for tests that need some and do not look at them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from guywire.models import Device
from guywire_ssh_connection.command_models import Batch, Command
from sqlalchemy.orm import Session

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATES: dict[str, Any] = {"created": NOW, "modified": NOW}
_COMMAND: dict[str, Any] = {"type": "custom", "label": "Custom commands", "input": {"command": "ls"}, "input_text": "ls"}


def device_row(session: Session, owner: UUID) -> Device:
    number = uuid4().hex[:12].upper()
    address = ":".join(number[i : i + 2] for i in range(0, 12, 2))
    device = Device(name=number, mac_address=address, key=number, organization_id=owner, **DATES)
    session.add(device)
    session.flush()
    return device


def command_row(session: Session, owner: UUID) -> Command:
    """A command of a device of its own."""
    command = Command(id=uuid4(), device_id=device_row(session, owner).id, **_COMMAND, **DATES)
    session.add(command)
    session.flush()
    return command


def batch_row(session: Session, owner: UUID) -> Batch:
    """A command for no device."""
    batch = Batch(id=uuid4(), organization_id=owner, parallel=1, rate=0, expires=NOW, **_COMMAND, **DATES)
    session.add(batch)
    session.flush()
    return batch
