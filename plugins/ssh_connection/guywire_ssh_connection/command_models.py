"""Tables of commands, of commands to many devices, and of the types that organizations may use."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.interfaces import JSONObject
from guywire.models.base import Base, Dated, Identified, OrderedJSON, text
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire_ssh_connection.sealed import SealedJSON

IN_PROGRESS, SUCCESS, FAILED = "in-progress", "success", "failed"
STATUSES = (IN_PROGRESS, SUCCESS, FAILED)

TURN, DEVICE = "turn", "device"
"""What a command of a batch may be held for: until it is its turn, or until its device polls."""

FINISHED, CANCELLED, ABORTED, EXPIRED = "finished", "cancelled", "aborted", "expired"
BATCH_STATUSES = (IN_PROGRESS, FINISHED, CANCELLED, ABORTED, EXPIRED)

_STRINGS = {"json_schema": {"type": "array", "items": {"type": "string"}}}


def _status(choices: tuple[str, ...]) -> Mapped[str]:
    schema = {"type": "string", "enum": list(choices)}
    return mapped_column(String(16), default=IN_PROGRESS, info={"json_schema": schema})


class Command(Dated, Base):
    """Something that one device is told to do.

    Its ``number`` says in which order. It waits while it is in progress and ``started`` is empty. ``started`` is
    written before the device hears of it: what has started and whose worker is gone is never begun again. ``hold`` is
    for commands of a batch: what they wait for, or "".

    ``organization_id`` is that of the device when the command was made: it stays whose it is when the device moves.
    ``label`` and ``input_text`` are what people read of type and input. Secrets are not in ``input``: all of it is
    sealed in ``secret`` until the command has ended. ``released`` says when it was its turn.
    """

    __tablename__ = "ssh_connection_command"
    __table_args__ = (
        sa.Index("ix_ssh_connection_command_device_id_number", "device_id", "number"),
        # All that a batch wants to know to go on: the rows themselves hold output, and need not be read.
        sa.Index("ix_ssh_connection_command_batch", "batch_id", "status", "hold", "number", "started"),
        sa.Index("ix_ssh_connection_command_modified", "modified"),
        sa.Index(
            "ix_ssh_connection_command_waiting",
            "device_id",
            "hold",
            sqlite_where=sa.text("status = 'in-progress'"),
            postgresql_where=sa.text("status = 'in-progress'"),
        ),
    )

    number: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid.uuid4)
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"))
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), index=True)
    connection_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("ssh_connection_device_connection.id", ondelete="SET NULL"), index=True
    )
    batch_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ssh_connection_batch.id", ondelete="CASCADE"))
    type: Mapped[str] = text(16)
    label: Mapped[str] = text(100)
    input: Mapped[JSONObject | None] = mapped_column(OrderedJSON)
    input_text: Mapped[str] = mapped_column(Text, default="")
    secret: Mapped[Any] = mapped_column(SealedJSON("ssh_connection_command.secret"), nullable=True)
    status: Mapped[str] = _status(STATUSES)
    hold: Mapped[str] = text(8)
    released: Mapped[datetime | None]
    started: Mapped[datetime | None]
    output: Mapped[str] = mapped_column(Text, default="")


class Batch(Identified, Dated, Base):
    """One command for many devices of an organization.

    ``parallel`` devices at once, at most ``rate`` in a minute (0: any number), until ``expires`` or until
    ``abort_percentage`` of them have failed. ``skipped`` lists the devices that were left out: id, name, reason.
    """

    __tablename__ = "ssh_connection_batch"
    __table_args__ = (
        sa.Index("ix_ssh_connection_batch_organization_id_created", "organization_id", "created"),
        sa.Index("ix_ssh_connection_batch_status", "status"),
    )

    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    type: Mapped[str] = text(16)
    label: Mapped[str] = text(100)
    input: Mapped[JSONObject | None] = mapped_column(OrderedJSON)
    input_text: Mapped[str] = mapped_column(Text, default="")
    notes: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = _status(BATCH_STATUSES)
    parallel: Mapped[int]
    rate: Mapped[int]
    abort_percentage: Mapped[int | None]
    expires: Mapped[datetime]
    skipped: Mapped[Any] = mapped_column(OrderedJSON, default=list)


class OrganizationCommands(Base):
    """The types of commands that an organization may use, if they are other ones than the settings say."""

    __tablename__ = "ssh_connection_organization_commands"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True
    )
    types: Mapped[Any] = mapped_column(OrderedJSON, nullable=True, info=_STRINGS)
    """Names of types; None: as the settings say."""
