"""API keys, login sessions, e-mail addresses, profiles, device limits, rotation of secrets, indexes of lists."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "core_0002"
down_revision = "core_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables of accounts, and indexes of lists."""
    op.create_table(
        "api_key",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_api_key_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_api_key_user_id_name")),
    )
    op.create_table(
        "login_session",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_login_session_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_login_session")),
    )
    op.create_index(op.f("ix_login_session_user_id"), "login_session", ["user_id"], unique=False)
    op.create_index(op.f("ix_login_session_expires"), "login_session", ["expires"], unique=False)
    op.create_table(
        "email_address",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("primary", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_email_address_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_address")),
    )
    op.create_index("uq_email_address_email_lower", "email_address", [sa.text("lower(email)")], unique=True)
    op.create_index(op.f("ix_email_address_user_id"), "email_address", ["user_id"], unique=False)
    # The addresses that users have so far are their primary ones.
    user = sa.table("user", sa.column("id", sa.Uuid()), sa.column("email", sa.String()))
    email_address = sa.table(
        "email_address",
        sa.column("user_id", sa.Uuid()),
        sa.column("email", sa.String()),
        sa.column("verified", sa.Boolean()),
        sa.column("primary", sa.Boolean()),
    )
    known = sa.select(user.c.id, user.c.email, sa.false(), sa.true()).where(
        user.c.email.is_not(None), user.c.email != ""
    )
    op.execute(sa.insert(email_address).from_select(["user_id", "email", "verified", "primary"], known))
    # No batches: SQLite would copy the table, and drop what refers to the old one.
    profile: tuple[sa.Column[Any], ...] = (
        sa.Column("phone_number", sa.String(length=16), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("bio", sa.Text(), nullable=False, server_default=""),
        sa.Column("url", sa.String(length=200), nullable=False, server_default=""),
        sa.Column("company", sa.String(length=30), nullable=False, server_default=""),
        sa.Column("location", sa.String(length=256), nullable=False, server_default=""),
        sa.Column("notes", sa.Text(), nullable=False, server_default=""),
        sa.Column("expiration_date", sa.Date(), nullable=True),
    )
    for column in profile:
        op.add_column("user", column)
    op.create_index(op.f("ix_user_phone_number"), "user", ["phone_number"], unique=True)
    settings: tuple[sa.Column[Any], ...] = (
        sa.Column("previous_secret_hash", sa.String(length=64), nullable=True),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("device_limit", sa.BigInteger(), nullable=True, server_default="0"),
    )
    for column in settings:
        op.add_column("organization_config_settings", column)
    op.create_index(
        op.f("ix_organization_config_settings_previous_secret_hash"),
        "organization_config_settings",
        ["previous_secret_hash"],
        unique=True,
    )
    for name in ("device", "device_group", "template"):
        op.create_index(f"ix_{name}_modified", name, ["modified"], unique=False)
    op.create_index("ix_device_group_created_id", "device_group", ["created", "id"], unique=False)
    op.create_index(
        "ix_device_organization_id_created_id", "device", ["organization_id", "created", "id"], unique=False
    )
