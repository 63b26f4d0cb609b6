"""VPN servers, the configurations that are their clients, and the archives that the servers fetch."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from guywire.interfaces import JSONObject
from guywire.models.base import Base, Dated, Identified, text
from guywire.sealing import SealedBytes, SealedText


class Vpn(Identified, Dated, Base):
    """A VPN server. Without organization it is shared by all of them.

    ``key`` is what the server polls with. What its certificate, address and keys are is known to the plugins.
    """

    __tablename__ = "vpn"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "name"),
        # NULLs are distinct in a unique constraint, so shared servers need an index of their own.
        sa.Index(
            "uq_vpn_shared_name",
            "name",
            unique=True,
            sqlite_where=sa.text("organization_id IS NULL"),
            postgresql_where=sa.text("organization_id IS NULL"),
        ),
        sa.Index("ix_vpn_created_id", "created", "id"),
        sa.Index("ix_vpn_organization_id_created_id", "organization_id", "created", "id"),
        sa.Index("ix_vpn_modified", "modified"),
    )

    name: Mapped[str] = text(64)
    organization_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    host: Mapped[str] = text(64)
    key: Mapped[str] = text(64)
    backend: Mapped[str] = text(128)
    config: Mapped[JSONObject] = mapped_column(default=dict)
    webhook_endpoint: Mapped[str | None] = mapped_column(String(200))
    auth_token: Mapped[str | None] = mapped_column(SealedText("vpn.auth_token"))
    notes: Mapped[str] = mapped_column(Text, default="")

    state: Mapped[VpnState] = relationship(cascade="all, delete-orphan", passive_deletes=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**{"state": VpnState(), **values})


class VpnClient(Identified, Base):
    """A configuration that is a client of a server; without ``auto_cert`` an operator cares for its keys.

    ``is_outdated``: it has lost something, such as its address, and gets another one when it is rendered.
    """

    __tablename__ = "vpn_client"
    __table_args__ = (sa.UniqueConstraint("config_id", "vpn_id"),)

    config_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("config.id", ondelete="CASCADE"))
    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), index=True)
    auto_cert: Mapped[bool] = mapped_column(default=True)
    is_outdated: Mapped[bool] = mapped_column(default=False)


class VpnState(Base):
    """How far the archive of a server has got: a narrow row, because every new client raises ``inputs_version``.

    ``announced_checksum`` is what the server's webhook was told of last; it is not asked again before ``announce_at``.
    """

    __tablename__ = "vpn_state"
    __table_args__ = (
        sa.Index(
            "ix_vpn_state_stale",
            "vpn_id",
            sqlite_where=sa.text("inputs_version <> rendered_version"),
            postgresql_where=sa.text("inputs_version <> rendered_version"),
        ),
    )

    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), primary_key=True)
    inputs_version: Mapped[int] = mapped_column(sa.BigInteger, default=1)
    rendered_version: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    render_error: Mapped[str | None] = mapped_column(Text)
    checksum: Mapped[str | None] = mapped_column(String(32))
    digest: Mapped[str | None] = mapped_column(String(64))
    announced_checksum: Mapped[str | None] = mapped_column(String(32))
    announce_at: Mapped[datetime | None]
    announce_failures: Mapped[int] = mapped_column(default=0)


class VpnArchive(Base):
    """The tar.gz that the server downloads, sealed: it holds private keys."""

    __tablename__ = "vpn_archive"

    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), primary_key=True)
    checksum: Mapped[str] = mapped_column(String(32))
    archive: Mapped[bytes] = mapped_column(SealedBytes("vpn_archive.archive"))
