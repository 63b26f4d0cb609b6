"""Which devices' polls somebody waits for."""

import sqlalchemy as sa
from alembic import op

revision = "core_0005"
down_revision = "core_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column of the state."""
    op.add_column("config_state", sa.Column("poll_awaited", sa.Boolean(), nullable=False, server_default=sa.false()))
