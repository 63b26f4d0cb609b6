"""VPN servers, their clients and archives; templates that make clients."""

import sqlalchemy as sa
from alembic import op

revision = "core_0004"
down_revision = "core_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables of VPN servers, and the columns of templates that refer to them."""
    op.create_table(
        "vpn",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("backend", sa.String(length=128), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("webhook_endpoint", sa.String(length=200), nullable=True),
        sa.Column("auth_token", sa.LargeBinary(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_vpn_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpn")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_vpn_organization_id_name")),
    )
    shared = sa.text("organization_id IS NULL")
    op.create_index("uq_vpn_shared_name", "vpn", ["name"], unique=True, sqlite_where=shared, postgresql_where=shared)
    op.create_index("ix_vpn_created_id", "vpn", ["created", "id"], unique=False)
    op.create_index("ix_vpn_organization_id_created_id", "vpn", ["organization_id", "created", "id"], unique=False)
    op.create_index("ix_vpn_modified", "vpn", ["modified"], unique=False)
    op.create_table(
        "vpn_client",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("config_id", sa.Uuid(), nullable=False),
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("auto_cert", sa.Boolean(), nullable=False),
        sa.Column("is_outdated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["config_id"], ["config.id"], name=op.f("fk_vpn_client_config_id_config"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["vpn_id"], ["vpn.id"], name=op.f("fk_vpn_client_vpn_id_vpn"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpn_client")),
        sa.UniqueConstraint("config_id", "vpn_id", name=op.f("uq_vpn_client_config_id_vpn_id")),
    )
    op.create_index(op.f("ix_vpn_client_vpn_id"), "vpn_client", ["vpn_id"], unique=False)
    op.create_table(
        "vpn_state",
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("inputs_version", sa.BigInteger(), nullable=False),
        sa.Column("rendered_version", sa.BigInteger(), nullable=False),
        sa.Column("render_error", sa.Text(), nullable=True),
        sa.Column("checksum", sa.String(length=32), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("announced_checksum", sa.String(length=32), nullable=True),
        sa.Column("announce_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("announce_failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["vpn_id"], ["vpn.id"], name=op.f("fk_vpn_state_vpn_id_vpn"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vpn_id", name=op.f("pk_vpn_state")),
    )
    stale = sa.text("inputs_version <> rendered_version")
    op.create_index(
        "ix_vpn_state_stale", "vpn_state", ["vpn_id"], unique=False, sqlite_where=stale, postgresql_where=stale
    )
    op.create_table(
        "vpn_archive",
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("checksum", sa.String(length=32), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["vpn_id"], ["vpn.id"], name=op.f("fk_vpn_archive_vpn_id_vpn"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vpn_id", name=op.f("pk_vpn_archive")),
    )
    # In one statement: SQLite can add a column with its reference, but not the reference alone.
    identifier = sa.Uuid().compile(op.get_bind().dialect)
    op.execute(
        f"ALTER TABLE template ADD COLUMN vpn_id {identifier} "
        "CONSTRAINT fk_template_vpn_id_vpn REFERENCES vpn (id) ON DELETE CASCADE"
    )
    op.create_index(op.f("ix_template_vpn_id"), "template", ["vpn_id"], unique=False)
    op.add_column("template", sa.Column("auto_cert", sa.Boolean(), nullable=False, server_default=sa.true()))
