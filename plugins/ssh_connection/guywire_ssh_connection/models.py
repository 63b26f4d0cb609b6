"""Tables of credentials, connections, host keys, and of how far each device has been told of its configuration."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.models.base import Base, Dated, Identified, text
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire_ssh_connection.sealed import SealedJSON

_OBJECT = {"json_schema": {"type": "object", "additionalProperties": True}}


def _when(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


class Credentials(Identified, Dated, Base):
    """What a connector needs to log in. Without organization they are shared by all of them.

    ``auto_add``: devices get them when they get a configuration. ``is_spreading``: those that had one already, when
    it was switched on, are still being given them.
    """

    __tablename__ = "ssh_connection_credentials"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "name"),
        # NULLs are distinct in a unique constraint, so shared credentials need an index of their own.
        sa.Index("uq_ssh_connection_credentials_shared_name", "name", unique=True, **_when("organization_id IS NULL")),
        sa.Index("ix_ssh_connection_credentials_created_id", "created", "id"),
    )

    name: Mapped[str] = text(64)
    organization_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    connector: Mapped[str] = text(128)
    auto_add: Mapped[bool] = mapped_column(default=False)
    params: Mapped[Any] = mapped_column(SealedJSON("ssh_connection_credentials.params"), info=_OBJECT)
    is_spreading: Mapped[bool] = mapped_column(default=False)


class DeviceConnection(Identified, Dated, Base):
    """Credentials that serve for a device, and how the last attempt to use them went (``is_working`` None: none yet).

    ``params`` override those of the credentials key by key.
    """

    __tablename__ = "ssh_connection_device_connection"
    __table_args__ = (
        sa.UniqueConstraint("device_id", "credentials_id"),
        sa.Index("ix_ssh_connection_device_connection_credentials_id", "credentials_id"),
    )

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"))
    credentials_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ssh_connection_credentials.id", ondelete="CASCADE"))
    update_strategy: Mapped[str] = text(128)
    enabled: Mapped[bool] = mapped_column(default=True)
    params: Mapped[Any] = mapped_column(
        SealedJSON("ssh_connection_device_connection.params"), info=_OBJECT, default=dict
    )
    is_working: Mapped[bool | None]
    failure_reason: Mapped[str] = mapped_column(Text, default="")
    last_attempt: Mapped[datetime | None]


class HostKey(Base):
    """The key that a device proved its identity with when it was first reached, as ``<type> <base64>``.

    ``offered`` is another one that it showed since: nothing is sent to it until an operator accepts that one.
    """

    __tablename__ = "ssh_connection_host_key"

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    pinned_at: Mapped[datetime]
    offered: Mapped[str | None] = mapped_column(Text)
    offered_at: Mapped[datetime | None]


class DeviceVisit(Base):
    """Who is connected to a device, and of which of its configurations it was told. One for each device that has had
    a connection; a narrow row, because it changes often.

    ``lease`` belongs to the worker that visits, until ``leased_until``; ``knocks`` counts those that found the device
    occupied, so that the visitor looks once more before it leaves. ``pushed_generation`` is the generation (see
    ``guywire.models.ConfigState``) that the device knows of: a higher one is to be pushed. ``queued_generation`` is
    the one that a visit was last asked for. After ``failures`` in a row nothing is tried before ``next_attempt``.
    """

    __tablename__ = "ssh_connection_device_visit"

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), primary_key=True)
    lease: Mapped[str | None] = mapped_column(String(32))
    leased_until: Mapped[datetime | None]
    knocks: Mapped[int] = mapped_column(default=0)
    pushed_generation: Mapped[int] = mapped_column(default=0)
    queued_generation: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    next_attempt: Mapped[datetime | None]
