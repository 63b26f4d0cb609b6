"""A device's configuration: what it is made of, how far it has got, and the archive that routers fetch."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from guywire.interfaces import JSONObject
from guywire.models.base import Base, Dated, Identified, text
from guywire.sealing import SealedBytes


class Config(Identified, Dated, Base):
    """What an operator says about one device: backend, own NetJSON and variables."""

    __tablename__ = "config"

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), unique=True)
    backend: Mapped[str] = text(128)
    config: Mapped[JSONObject] = mapped_column(default=dict)
    context: Mapped[JSONObject] = mapped_column(default=dict)

    state: Mapped[ConfigState] = relationship(cascade="all, delete-orphan", passive_deletes=True)


class ConfigTemplate(Base):
    """A template that a configuration uses; a higher ``position`` overrides a lower one."""

    __tablename__ = "config_template"

    config_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("config.id", ondelete="CASCADE"), primary_key=True)
    template_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("template.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    position: Mapped[int]


class ConfigState(Base):
    """How far a configuration has got. A narrow row: it changes often, and thousands of them at once.

    ``inputs_version`` rises whenever something that the configuration depends on changes; ``rendered_version`` is the
    one that was rendered last. They differ: the configuration is stale. ``checksum`` and ``generation`` say what the
    device should have, ``served_*`` what it was given last, ``reported_*`` what it said about it. ``overtaken``: since
    that report the device has been given something else. ``status`` is a copy of what
    ``guywire.services.status.status_of`` says, for lists and filters. ``poll_awaited``: somebody wants to hear of the
    device's next poll.
    """

    __tablename__ = "config_state"
    __table_args__ = (
        sa.Index(
            "ix_config_state_stale",
            "config_id",
            sqlite_where=sa.text("inputs_version <> rendered_version"),
            postgresql_where=sa.text("inputs_version <> rendered_version"),
        ),
        sa.Index("ix_config_state_status", "status"),
    )

    config_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("config.id", ondelete="CASCADE"), primary_key=True)
    # The poll knows the device, not its configuration: this saves it a join.
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), unique=True)

    inputs_version: Mapped[int] = mapped_column(sa.BigInteger, default=1)
    rendered_version: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    render_error: Mapped[str | None] = mapped_column(Text)
    render_error_template_id: Mapped[uuid.UUID | None]

    checksum: Mapped[str | None] = mapped_column(String(32))
    digest: Mapped[str | None] = mapped_column(String(64))
    generation: Mapped[int] = mapped_column(default=0)
    generated_at: Mapped[datetime | None]

    served_checksum: Mapped[str | None] = mapped_column(String(32))
    served_generation: Mapped[int | None]
    served_at: Mapped[datetime | None]

    reported_checksum: Mapped[str | None] = mapped_column(String(32))
    reported_generation: Mapped[int | None]
    reported_at: Mapped[datetime | None]
    reported_status: Mapped[str | None] = mapped_column(String(16))
    error_reason: Mapped[str] = text(1024)
    overtaken: Mapped[bool] = mapped_column(default=False)

    lifecycle: Mapped[str] = text(16, default="active")
    status: Mapped[str] = text(16, default="modified")
    last_poll: Mapped[datetime | None]
    poll_awaited: Mapped[bool] = mapped_column(default=False)


class ConfigArchive(Base):
    """The tar.gz that the router downloads, sealed: it holds passwords and keys."""

    __tablename__ = "config_archive"

    config_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("config.id", ondelete="CASCADE"), primary_key=True)
    checksum: Mapped[str] = mapped_column(String(32))
    archive: Mapped[bytes] = mapped_column(SealedBytes("config_archive.archive"))
