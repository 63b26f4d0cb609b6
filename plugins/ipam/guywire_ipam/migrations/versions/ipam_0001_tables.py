"""The tables of subnets, addresses and division rules."""

import sqlalchemy as sa
from alembic import op

revision = "ipam_0001"
down_revision = None
branch_labels = None
depends_on = None

TO_RULE = "fk_ipam_subnet_rule_id_ipam_subnet_division_rule"


def upgrade() -> None:
    """All tables."""
    # Rules refer to subnets, and subnets to the rule that made them. SQLite can refer to a table that is not there yet,
    # and cannot be told later; with PostgreSQL it is the other way around.
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    to_rule = sa.ForeignKeyConstraint(
        ["rule_id"], ["ipam_subnet_division_rule.id"], name=op.f(TO_RULE), ondelete="CASCADE"
    )
    op.create_table(
        "ipam_subnet",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("subnet", sa.String(length=43), nullable=False),
        sa.Column("description", sa.String(length=100), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("master_subnet_id", sa.Uuid(), nullable=True),
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("first_address", sa.LargeBinary(length=17), nullable=False),
        sa.Column("last_address", sa.LargeBinary(length=17), nullable=False),
        sa.Column("prefix_length", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=True),
        sa.Column("config_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_ipam_subnet_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["master_subnet_id"],
            ["ipam_subnet.id"],
            name=op.f("fk_ipam_subnet_master_subnet_id_ipam_subnet"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["root_id"], ["ipam_subnet.id"], name=op.f("fk_ipam_subnet_root_id_ipam_subnet"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["config_id"], ["config.id"], name=op.f("fk_ipam_subnet_config_id_config"), ondelete="CASCADE"
        ),
        *([to_rule] if is_sqlite else []),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ipam_subnet")),
        sa.UniqueConstraint("organization_id", "subnet", name=op.f("uq_ipam_subnet_organization_id_subnet")),
        sa.UniqueConstraint("rule_id", "config_id", "number", name=op.f("uq_ipam_subnet_rule_id_config_id_number")),
    )
    op.create_table(
        "ipam_subnet_division_rule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("master_subnet_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(length=30), nullable=False),
        sa.Column("number_of_subnets", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("number_of_ips", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_ipam_subnet_division_rule_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["master_subnet_id"],
            ["ipam_subnet.id"],
            name=op.f("fk_ipam_subnet_division_rule_master_subnet_id_ipam_subnet"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ipam_subnet_division_rule")),
        sa.UniqueConstraint(
            "organization_id", "label", name=op.f("uq_ipam_subnet_division_rule_organization_id_label")
        ),
    )
    op.create_index("ix_ipam_subnet_division_rule_created_id", "ipam_subnet_division_rule", ["created", "id"])
    op.create_index(
        op.f("ix_ipam_subnet_division_rule_master_subnet_id"), "ipam_subnet_division_rule", ["master_subnet_id"]
    )
    if not is_sqlite:
        op.create_foreign_key(
            op.f(TO_RULE), "ipam_subnet", "ipam_subnet_division_rule", ["rule_id"], ["id"], ondelete="CASCADE"
        )
    shared = sa.text("organization_id IS NULL")
    op.create_index(
        "uq_ipam_subnet_shared_subnet",
        "ipam_subnet",
        ["subnet"],
        unique=True,
        sqlite_where=shared,
        postgresql_where=shared,
    )
    op.create_index("ix_ipam_subnet_first_address", "ipam_subnet", ["first_address", "prefix_length", "id"])
    op.create_index("ix_ipam_subnet_master_subnet_id", "ipam_subnet", ["master_subnet_id", "last_address"])
    op.create_index(op.f("ix_ipam_subnet_root_id"), "ipam_subnet", ["root_id"])
    op.create_index(op.f("ix_ipam_subnet_config_id"), "ipam_subnet", ["config_id"])
    op.create_table(
        "ipam_ip_address",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ip_address", sa.LargeBinary(length=17), nullable=False),
        sa.Column("description", sa.String(length=100), nullable=False),
        sa.Column("subnet_id", sa.Uuid(), nullable=False),
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("successor", sa.LargeBinary(length=17), nullable=True),
        sa.Column("ends_run", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subnet_id"],
            ["ipam_subnet.id"],
            name=op.f("fk_ipam_ip_address_subnet_id_ipam_subnet"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["root_id"], ["ipam_subnet.id"], name=op.f("fk_ipam_ip_address_root_id_ipam_subnet"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ipam_ip_address")),
        sa.UniqueConstraint("root_id", "ip_address", name=op.f("uq_ipam_ip_address_root_id_ip_address")),
    )
    op.create_index("ix_ipam_ip_address_subnet_id", "ipam_ip_address", ["subnet_id", "ip_address"])
    op.create_index("ix_ipam_ip_address_ends_run", "ipam_ip_address", ["root_id", "ends_run", "successor"])
    op.create_table(
        "ipam_vpn",
        sa.Column("vpn_id", sa.Uuid(), nullable=False),
        sa.Column("subnet_id", sa.Uuid(), nullable=False),
        sa.Column("ip_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["vpn_id"], ["vpn.id"], name=op.f("fk_ipam_vpn_vpn_id_vpn"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["subnet_id"], ["ipam_subnet.id"], name=op.f("fk_ipam_vpn_subnet_id_ipam_subnet"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["ip_id"], ["ipam_ip_address.id"], name=op.f("fk_ipam_vpn_ip_id_ipam_ip_address"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("vpn_id", name=op.f("pk_ipam_vpn")),
        sa.UniqueConstraint("ip_id", name=op.f("uq_ipam_vpn_ip_id")),
    )
    op.create_index(op.f("ix_ipam_vpn_subnet_id"), "ipam_vpn", ["subnet_id"])
    op.create_table(
        "ipam_vpn_client",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("address_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["vpn_client.id"], name=op.f("fk_ipam_vpn_client_client_id_vpn_client"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["address_id"],
            ["ipam_ip_address.id"],
            name=op.f("fk_ipam_vpn_client_address_id_ipam_ip_address"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_ipam_vpn_client")),
    )
    op.create_index(op.f("ix_ipam_vpn_client_address_id"), "ipam_vpn_client", ["address_id"])
