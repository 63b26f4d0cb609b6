"""Templates: configuration that devices share."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire.interfaces import JSONObject
from guywire.models.base import Base, Dated, Identified, text


class Template(Identified, Dated, Base):
    """A piece of NetJSON for one backend. Without organization it is shared by all of them.

    One of type ``vpn`` makes clients of the server ``vpn_id``, whose keys are made when ``auto_cert`` is set.
    """

    __tablename__ = "template"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "name"),
        # NULLs are distinct in a unique constraint, so shared templates need an index of their own.
        sa.Index(
            "uq_template_shared_name",
            "name",
            unique=True,
            sqlite_where=sa.text("organization_id IS NULL"),
            postgresql_where=sa.text("organization_id IS NULL"),
        ),
        sa.Index("ix_template_created_id", "created", "id"),
        sa.Index("ix_template_modified", "modified"),
    )

    name: Mapped[str] = text(64)
    organization_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    type: Mapped[str] = text(16, default="generic")
    backend: Mapped[str] = text(128)
    vpn_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), index=True)
    auto_cert: Mapped[bool] = mapped_column(default=True)
    default: Mapped[bool] = mapped_column(default=False)
    required: Mapped[bool] = mapped_column(default=False)
    notes: Mapped[str] = mapped_column(Text, default="")
    default_values: Mapped[JSONObject] = mapped_column(default=dict)
    config: Mapped[JSONObject] = mapped_column(default=dict)


class TemplateTag(Base):
    """A name by which registering devices ask for a template."""

    __tablename__ = "template_tag"

    template_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("template.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True, index=True)
