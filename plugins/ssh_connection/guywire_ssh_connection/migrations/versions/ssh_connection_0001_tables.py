"""The tables of credentials, connections, host keys and visits."""

import sqlalchemy as sa
from alembic import op

revision = "ssh_connection_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All tables."""
    op.create_table(
        "ssh_connection_credentials",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("connector", sa.String(length=128), nullable=False),
        sa.Column("auto_add", sa.Boolean(), nullable=False),
        sa.Column("params", sa.LargeBinary(), nullable=False),
        sa.Column("is_spreading", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_ssh_connection_credentials_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_connection_credentials")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_ssh_connection_credentials_organization_id_name")),
    )
    shared = sa.text("organization_id IS NULL")
    op.create_index(
        "uq_ssh_connection_credentials_shared_name",
        "ssh_connection_credentials",
        ["name"],
        unique=True,
        sqlite_where=shared,
        postgresql_where=shared,
    )
    op.create_index("ix_ssh_connection_credentials_created_id", "ssh_connection_credentials", ["created", "id"])
    op.create_table(
        "ssh_connection_device_connection",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("credentials_id", sa.Uuid(), nullable=False),
        sa.Column("update_strategy", sa.String(length=128), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("params", sa.LargeBinary(), nullable=False),
        sa.Column("is_working", sa.Boolean(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=False),
        sa.Column("last_attempt", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["device.id"],
            name=op.f("fk_ssh_connection_device_connection_device_id_device"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["credentials_id"],
            ["ssh_connection_credentials.id"],
            name=op.f("fk_ssh_connection_device_connection_credentials_id_ssh_connection_credentials"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_connection_device_connection")),
        sa.UniqueConstraint(
            "device_id", "credentials_id", name=op.f("uq_ssh_connection_device_connection_device_id_credentials_id")
        ),
    )
    op.create_index(
        "ix_ssh_connection_device_connection_credentials_id", "ssh_connection_device_connection", ["credentials_id"]
    )
    op.create_table(
        "ssh_connection_host_key",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered", sa.Text(), nullable=True),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_ssh_connection_host_key_device_id_device"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_ssh_connection_host_key")),
    )
    op.create_table(
        "ssh_connection_device_visit",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("lease", sa.String(length=32), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("knocks", sa.Integer(), nullable=False),
        sa.Column("pushed_generation", sa.Integer(), nullable=False),
        sa.Column("queued_generation", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_attempt", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["device.id"],
            name=op.f("fk_ssh_connection_device_visit_device_id_device"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_ssh_connection_device_visit")),
    )
    _create_commands()


def _create_commands() -> None:
    op.create_table(
        "ssh_connection_organization_commands",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_ssh_connection_organization_commands_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_ssh_connection_organization_commands")),
    )
    op.create_table(
        "ssh_connection_batch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("input", sa.JSON(), nullable=True),
        sa.Column("input_text", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("parallel", sa.Integer(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("abort_percentage", sa.Integer(), nullable=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("skipped", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_ssh_connection_batch_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_connection_batch")),
    )
    op.create_index(
        "ix_ssh_connection_batch_organization_id_created", "ssh_connection_batch", ["organization_id", "created"]
    )
    op.create_index("ix_ssh_connection_batch_status", "ssh_connection_batch", ["status"])
    op.create_table(
        "ssh_connection_command",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("input", sa.JSON(), nullable=True),
        sa.Column("input_text", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("hold", sa.String(length=8), nullable=False),
        sa.Column("released", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("output", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_ssh_connection_command_device_id_device"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_ssh_connection_command_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["ssh_connection_device_connection.id"],
            name=op.f("fk_ssh_connection_command_connection_id_ssh_connection_device_connection"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["ssh_connection_batch.id"],
            name=op.f("fk_ssh_connection_command_batch_id_ssh_connection_batch"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ssh_connection_command")),
        sa.UniqueConstraint("id", name=op.f("uq_ssh_connection_command_id")),
    )
    for name, columns in (
        ("ix_ssh_connection_command_device_id_number", ["device_id", "number"]),
        ("ix_ssh_connection_command_batch", ["batch_id", "status", "hold", "number", "started"]),
        ("ix_ssh_connection_command_connection_id", ["connection_id"]),
        ("ix_ssh_connection_command_organization_id", ["organization_id"]),
        ("ix_ssh_connection_command_modified", ["modified"]),
    ):
        op.create_index(name, "ssh_connection_command", columns)
    waiting = sa.text("status = 'in-progress'")
    op.create_index(
        "ix_ssh_connection_command_waiting",
        "ssh_connection_command",
        ["device_id", "hold"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
