"""Device groups: templates and variables for some devices of an organization."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire.interfaces import JSONObject
from guywire.models.base import Base, Dated, Identified, text


class DeviceGroup(Identified, Dated, Base):
    """A named set of devices. ``context`` is rendered into configurations, ``meta_data`` never is."""

    __tablename__ = "device_group"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "name"),
        sa.Index("ix_device_group_created_id", "created", "id"),
        sa.Index("ix_device_group_modified", "modified"),
    )

    name: Mapped[str] = text(60)
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    description: Mapped[str] = mapped_column(Text, default="")
    context: Mapped[JSONObject] = mapped_column(default=dict)
    meta_data: Mapped[JSONObject] = mapped_column(default=dict)


class DeviceGroupTemplate(Base):
    """A template that devices get when they join the group, in the order of ``position``."""

    __tablename__ = "device_group_template"

    group_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device_group.id", ondelete="CASCADE"), primary_key=True)
    template_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("template.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    position: Mapped[int]
