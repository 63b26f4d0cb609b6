"""Devices: the routers themselves."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from guywire.models.base import Base, Dated, Identified, text
from guywire.models.configuration import Config


class Device(Identified, Dated, Base):
    """A router. ``key`` is what it proves its identity with; it stays when the address or the secret changes."""

    __tablename__ = "device"
    __table_args__ = (
        sa.Index("uq_device_organization_name", "organization_id", sa.text("lower(name)"), unique=True),
        sa.UniqueConstraint("organization_id", "mac_normalized"),
        sa.UniqueConstraint("organization_id", "hardware_id"),
        sa.Index("ix_device_created_id", "created", "id"),
        sa.Index("ix_device_organization_id_created_id", "organization_id", "created", "id"),
        sa.Index("ix_device_modified", "modified"),
    )

    name: Mapped[str] = text(64)
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    group_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("device_group.id", ondelete="SET NULL"), index=True)
    mac_address: Mapped[str] = text(17)
    # The address as given is what operators see and what the key derives from; this one is what must be unique.
    mac_normalized: Mapped[str] = mapped_column(String(12))
    key: Mapped[str] = mapped_column(String(64), unique=True)
    hardware_id: Mapped[str | None] = mapped_column(String(32))
    last_ip: Mapped[str | None] = mapped_column(String(45), index=True)
    management_ip: Mapped[str | None] = mapped_column(String(45), index=True)
    model: Mapped[str] = text(64)
    os: Mapped[str] = text(128)
    system: Mapped[str] = text(128)
    notes: Mapped[str] = mapped_column(Text, default="")
    is_deactivated: Mapped[bool] = mapped_column(default=False)

    config: Mapped[Config | None] = relationship(cascade="all, delete-orphan", passive_deletes=True)

    @validates("mac_address")
    def _normalize(self, attribute: str, value: str) -> str:
        self.mac_normalized = normalize_mac(value)
        return value


def normalize_mac(address: str) -> str:
    """The address without case and separators, so that two spellings of one address are one."""
    return address.replace(":", "").replace("-", "").upper()
