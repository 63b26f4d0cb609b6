"""The tables of servers and clients."""

import sqlalchemy as sa
from alembic import op

revision = "vpn_wireguard_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All tables of the first version."""
    op.create_table(
        "vpn_wireguard_server",
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.String(length=44), nullable=False),
        sa.ForeignKeyConstraint(
            ["vpn_id"], ["vpn.id"], name=op.f("fk_vpn_wireguard_server_vpn_id_vpn"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("vpn_id", name=op.f("pk_vpn_wireguard_server")),
    )
    op.create_table(
        "vpn_wireguard_client",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.String(length=44), nullable=False),
        sa.Column("vni", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["vpn_client.id"],
            name=op.f("fk_vpn_wireguard_client_client_id_vpn_client"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["vpn_id"], ["vpn.id"], name=op.f("fk_vpn_wireguard_client_vpn_id_vpn"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_vpn_wireguard_client")),
        sa.UniqueConstraint("vpn_id", "vni", name=op.f("uq_vpn_wireguard_client_vpn_id_vni")),
    )
    op.create_index("ix_vpn_wireguard_client_vpn_id_client_id", "vpn_wireguard_client", ["vpn_id", "client_id"])
