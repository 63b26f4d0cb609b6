"""Tables of WireGuard servers and their clients: keys and VXLAN network identifiers."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from guywire.models import Base
from guywire.sealing import SealedText
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column


class WireguardServer(Base):
    """The keys of a server."""

    __tablename__ = "vpn_wireguard_server"

    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), primary_key=True)
    private_key: Mapped[str] = mapped_column(SealedText("vpn_wireguard_server.private_key"))
    public_key: Mapped[str] = mapped_column(String(44))


class WireguardClient(Base):
    """The keys of a client. ``vni`` is the number of its VXLAN network, unless the server prescribes one for all."""

    __tablename__ = "vpn_wireguard_client"
    __table_args__ = (
        sa.UniqueConstraint("vpn_id", "vni"),
        sa.Index("ix_vpn_wireguard_client_vpn_id_client_id", "vpn_id", "client_id"),
    )

    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn_client.id", ondelete="CASCADE"), primary_key=True)
    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"))
    private_key: Mapped[str] = mapped_column(SealedText("vpn_wireguard_client.private_key"))
    public_key: Mapped[str] = mapped_column(String(44))
    vni: Mapped[int | None]
