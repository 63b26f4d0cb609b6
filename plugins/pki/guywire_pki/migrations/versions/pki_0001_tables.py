"""The tables of CAs, certificates and revocations."""

import sqlalchemy as sa
from alembic import op

revision = "pki_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All tables of the first version."""
    op.create_table(
        "pki_ca",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("passphrase", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("key_length", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=8), nullable=False),
        sa.Column("validity_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("validity_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("country_code", sa.String(length=2), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("organization_name", sa.Text(), nullable=False),
        sa.Column("organizational_unit_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("common_name", sa.String(length=255), nullable=False),
        sa.Column("extensions", sa.JSON(), nullable=False),
        sa.Column("serial_number", sa.String(length=50), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("expiry_notices", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_pki_ca_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pki_ca")),
        sa.UniqueConstraint("organization_id", "common_name", name=op.f("uq_pki_ca_organization_id_common_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pki_ca_created_id", "pki_ca", ["created", "id"], unique=False)
    op.create_index(op.f("ix_pki_ca_validity_end"), "pki_ca", ["validity_end"], unique=False)
    op.create_index(
        "uq_pki_ca_shared_common_name",
        "pki_ca",
        ["common_name"],
        unique=True,
        sqlite_where=sa.text("organization_id IS NULL"),
        postgresql_where=sa.text("organization_id IS NULL"),
    )
    op.create_table(
        "pki_cert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("ca_id", sa.Integer(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("passphrase", sa.LargeBinary(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("key_length", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=8), nullable=False),
        sa.Column("validity_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("validity_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("country_code", sa.String(length=2), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("organization_name", sa.Text(), nullable=False),
        sa.Column("organizational_unit_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("common_name", sa.String(length=255), nullable=False),
        sa.Column("extensions", sa.JSON(), nullable=False),
        sa.Column("serial_number", sa.String(length=50), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("expiry_notices", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ca_id"], ["pki_ca.id"], name=op.f("fk_pki_cert_ca_id_pki_ca"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_pki_cert_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pki_cert")),
        sa.UniqueConstraint("ca_id", "serial_number", name=op.f("uq_pki_cert_ca_id_serial_number")),
        sa.UniqueConstraint("organization_id", "common_name", name=op.f("uq_pki_cert_organization_id_common_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pki_cert_common_name", "pki_cert", ["common_name"], unique=False)
    op.create_index("ix_pki_cert_created_id", "pki_cert", ["created", "id"], unique=False)
    op.create_index(op.f("ix_pki_cert_validity_end"), "pki_cert", ["validity_end"], unique=False)
    op.create_index(
        "uq_pki_cert_shared_common_name",
        "pki_cert",
        ["common_name"],
        unique=True,
        sqlite_where=sa.text("organization_id IS NULL"),
        postgresql_where=sa.text("organization_id IS NULL"),
    )
    op.create_table(
        "pki_revocation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ca_id", sa.Integer(), nullable=False),
        sa.Column("serial_number", sa.String(length=50), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id"], ["pki_ca.id"], name=op.f("fk_pki_revocation_ca_id_pki_ca"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pki_revocation")),
        sa.UniqueConstraint("ca_id", "serial_number", name=op.f("uq_pki_revocation_ca_id_serial_number")),
        sqlite_autoincrement=True,
    )
