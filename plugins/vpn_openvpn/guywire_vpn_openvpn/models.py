"""The table of OpenVPN servers."""

from __future__ import annotations

import uuid

from guywire.models import Base
from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column


class OpenVpnServer(Base):
    """What an OpenVPN server has besides its certificate: the parameters of its key exchange, as PEM."""

    __tablename__ = "vpn_openvpn_server"

    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), primary_key=True)
    dh: Mapped[str] = mapped_column(Text)
