"""The job table: background work that waits, runs or has ended; and whose turn it is to run what is periodic."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from guywire.interfaces import JSONObject
from guywire.models.base import Base, text

WAITING, RUNNING, SUCCEEDED, FAILED, CANCELLED = "waiting", "running", "succeeded", "failed", "cancelled"
JOB_STATES = (WAITING, RUNNING, SUCCEEDED, FAILED, CANCELLED)

_WAITS, _RUNS, _HAS_ENDED = "state = 'waiting'", "state = 'running'", "finished IS NOT NULL"


class JobRecord(Base):
    """One piece of work.

    ``waiting_key`` stands for name and arguments while the job waits, so that the same work does not wait twice.
    ``claimed_until``: the end of the lease of the ``worker`` that runs it. ``total`` and ``done`` are what the job says
    of its progress (``total`` None: nothing), at ``reported``. The organization says who may see it; it is no foreign
    key, because the work outlives it. ``error`` is for people and holds no secrets.
    """

    __tablename__ = "job"
    __table_args__ = (
        sa.Index(
            "ix_job_waiting",
            "priority",
            "run_at",
            "number",
            "name",
            sqlite_where=sa.text(_WAITS),
            postgresql_where=sa.text(_WAITS),
        ),
        sa.Index("ix_job_running", "claimed_until", sqlite_where=sa.text(_RUNS), postgresql_where=sa.text(_RUNS)),
        sa.Index("ix_job_finished", "finished", sqlite_where=sa.text(_HAS_ENDED), postgresql_where=sa.text(_HAS_ENDED)),
        sa.Index("ix_job_created_id", "created", "id"),
        sa.Index("ix_job_organization_id_created_id", "organization_id", "created", "id"),
    )

    # The order of arrival. It is shown to nobody: it would tell how much others have to do.
    number: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4, unique=True)
    name: Mapped[str] = text(100)
    label: Mapped[str] = text(200)
    arguments: Mapped[JSONObject] = mapped_column(default=dict)
    organization_id: Mapped[uuid.UUID | None]
    priority: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    state: Mapped[str] = text(10, default=WAITING)
    waiting_key: Mapped[str | None] = mapped_column(String(64), unique=True)

    created: Mapped[datetime]
    run_at: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(100))
    attempts: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    reported: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text, default="")
    sent: Mapped[datetime | None]
    """When a broker was last told of it, where there is one."""


class Turn(Base):
    """Which of several processes may do something of which only one should: ``owner``, ``until`` then."""

    __tablename__ = "turn"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    until: Mapped[datetime]
