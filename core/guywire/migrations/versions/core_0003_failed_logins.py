"""Counters of failed logins."""

import sqlalchemy as sa
from alembic import op

revision = "core_0003"
down_revision = "core_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table of the counters."""
    op.create_table(
        "failed_logins",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_failed_logins")),
    )
    op.create_index(op.f("ix_failed_logins_until"), "failed_logins", ["until"], unique=False)
