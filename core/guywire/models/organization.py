"""Organizations: the tenants, and how devices register with them."""

from __future__ import annotations

import secrets
import string
import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from guywire.interfaces import JSONObject
from guywire.models.base import Base, Dated, Identified, text
from guywire.sealing import SealedText


class Organization(Identified, Dated, Base):
    """A tenant. Switching it off (``is_active``) cuts off its managers and its devices."""

    __tablename__ = "organization"

    name: Mapped[str] = text(200)
    slug: Mapped[str] = mapped_column(String(200), unique=True)
    is_active: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str] = mapped_column(Text, default="")
    email: Mapped[str] = text(254)
    url: Mapped[str] = text(200)

    config_settings: Mapped[OrganizationConfigSettings] = relationship(
        back_populates="organization", cascade="all, delete-orphan", passive_deletes=True
    )


class OrganizationConfigSettings(Base):
    """How devices of an organization register, and its configuration variables. Every organization has one row."""

    __tablename__ = "organization_config_settings"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True
    )
    registration_enabled: Mapped[bool] = mapped_column(default=True)
    shared_secret: Mapped[str] = mapped_column(SealedText("organization_config_settings.shared_secret"))
    shared_secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # The secret before the last rotation: routers that were flashed with it may register for a while.
    previous_secret_hash: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    previous_secret_until: Mapped[datetime | None]
    context: Mapped[JSONObject] = mapped_column(default=dict)
    device_limit: Mapped[int | None] = mapped_column(sa.BigInteger, default=0)
    """How many devices the organization may have: 0 for any number, None for no more than it has."""

    organization: Mapped[Organization] = relationship(back_populates="config_settings")


def generate_shared_secret() -> str:
    """A new shared secret: 32 letters and digits, which an agent's configuration can hold unquoted."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(32))
