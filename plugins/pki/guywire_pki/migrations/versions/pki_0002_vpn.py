"""The certificates of VPN servers and of their clients."""

import sqlalchemy as sa
from alembic import op

revision = "pki_0002"
down_revision = "pki_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Both tables."""
    op.create_table(
        "pki_vpn",
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("ca_id", sa.Integer(), nullable=False),
        sa.Column("cert_id", sa.Integer(), nullable=True),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["vpn_id"], ["vpn.id"], name=op.f("fk_pki_vpn_vpn_id_vpn"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["ca_id"], ["pki_ca.id"], name=op.f("fk_pki_vpn_ca_id_pki_ca"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["cert_id"], ["pki_cert.id"], name=op.f("fk_pki_vpn_cert_id_pki_cert"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("vpn_id", name=op.f("pk_pki_vpn")),
    )
    op.create_index(op.f("ix_pki_vpn_ca_id"), "pki_vpn", ["ca_id"])
    op.create_index(op.f("ix_pki_vpn_cert_id"), "pki_vpn", ["cert_id"])
    op.create_table(
        "pki_vpn_client",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("cert_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["vpn_client.id"], name=op.f("fk_pki_vpn_client_client_id_vpn_client"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["cert_id"], ["pki_cert.id"], name=op.f("fk_pki_vpn_client_cert_id_pki_cert"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_pki_vpn_client")),
    )
    op.create_index(op.f("ix_pki_vpn_client_cert_id"), "pki_vpn_client", ["cert_id"])
