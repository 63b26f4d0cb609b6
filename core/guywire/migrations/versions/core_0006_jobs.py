"""Jobs with priority, state and progress; turns."""

import hashlib
import json
import uuid
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa
from alembic import op

revision = "core_0006"
down_revision = "core_0005"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """The job table is made anew, with the jobs that wait in it."""
    connection = op.get_bind()
    old = sa.table("job", *(sa.column(name) for name in ("name", "arguments", "attempts")))
    waiting = connection.execute(sa.select(old.c.name, old.c.arguments, old.c.attempts)).all()
    op.drop_table("job")
    job = op.create_table(
        "job",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("arguments", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("waiting_key", sa.String(length=64), nullable=True),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("run_at", _MOMENT, nullable=False),
        sa.Column("started", _MOMENT, nullable=True),
        sa.Column("finished", _MOMENT, nullable=True),
        sa.Column("claimed_until", _MOMENT, nullable=True),
        sa.Column("worker", sa.String(length=100), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("reported", _MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("sent", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_job")),
        sa.UniqueConstraint("id", name=op.f("uq_job_id")),
        sa.UniqueConstraint("waiting_key", name=op.f("uq_job_waiting_key")),
    )
    _partial_index("ix_job_waiting", ["priority", "run_at", "number", "name"], "state = 'waiting'")
    _partial_index("ix_job_running", ["claimed_until"], "state = 'running'")
    _partial_index("ix_job_finished", ["finished"], "finished IS NOT NULL")
    op.create_index("ix_job_created_id", "job", ["created", "id"], unique=False)
    op.create_index("ix_job_organization_id_created_id", "job", ["organization_id", "created", "id"], unique=False)
    op.create_table(
        "turn",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_turn")),
    )
    now = datetime.now(UTC)
    rows = {}
    for name, arguments, attempts in waiting:
        known = json.loads(arguments) if isinstance(arguments, str) else arguments
        key = hashlib.sha256(orjson.dumps([name, known], option=orjson.OPT_SORT_KEYS)).hexdigest()
        row = {"id": uuid.uuid4(), "name": name, "label": name, "arguments": known, "attempts": attempts}
        row |= {"priority": 10, "state": "waiting", "waiting_key": key, "created": now, "run_at": now}
        rows[key] = row | {"done": 0, "error": ""}
    if rows:
        connection.execute(job.insert(), list(rows.values()))


def _partial_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "job", columns, unique=False, sqlite_where=where, postgresql_where=where)
