"""The table of servers."""

import sqlalchemy as sa
from alembic import op

revision = "vpn_openvpn_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table of the first version."""
    op.create_table(
        "vpn_openvpn_server",
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("dh", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["vpn_id"], ["vpn.id"], name=op.f("fk_vpn_openvpn_server_vpn_id_vpn"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("vpn_id", name=op.f("pk_vpn_openvpn_server")),
    )
