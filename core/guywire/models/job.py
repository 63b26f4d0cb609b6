"""The job table: the default queue of background work."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire.interfaces import JSONObject
from guywire.models.base import Base


class JobRecord(Base):
    """One piece of work that waits, runs (``claimed_until`` in the future) or is to be tried again."""

    __tablename__ = "job"
    __table_args__ = (sa.Index("ix_job_run_at", "run_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    arguments: Mapped[JSONObject] = mapped_column(default=dict)
    run_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text, default="")
