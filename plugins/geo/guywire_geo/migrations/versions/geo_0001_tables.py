"""The tables of locations, floor plans and devices' places."""

import sqlalchemy as sa
from alembic import op

revision = "geo_0001"
down_revision = None
branch_labels = None
depends_on = None

_PLACED = sa.text("device_count > 0")
_FILTERED = ("organization_id", "type", "is_mobile")


def upgrade() -> None:
    """All tables."""
    op.create_table(
        "geo_location",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=75), nullable=False),
        sa.Column("type", sa.String(length=8), nullable=False),
        sa.Column("is_mobile", sa.Boolean(), nullable=False),
        sa.Column("address", sa.String(length=256), nullable=False),
        sa.Column("geometry", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("cell", sa.BigInteger(), nullable=True),
        sa.Column("device_count", sa.Integer(), nullable=False),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_geo_location_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_geo_location")),
        sa.UniqueConstraint("id", "organization_id", name=op.f("uq_geo_location_id_organization_id")),
    )
    op.create_index("ix_geo_location_created_id", "geo_location", ["created", "id"])
    op.create_index("ix_geo_location_organization_id_created_id", "geo_location", ["organization_id", "created", "id"])
    for name, columns in (
        ("ix_geo_location_placed", ["created", "id"]),
        ("ix_geo_location_organization", ["organization_id", "created", "id"]),
        ("ix_geo_location_bounds", ["longitude", "latitude", *_FILTERED, "created", "id"]),
        ("ix_geo_location_cell", ["cell", "longitude", "latitude", *_FILTERED, "id"]),
    ):
        op.create_index(
            name, "geo_location", [*columns, "device_count"], sqlite_where=_PLACED, postgresql_where=_PLACED
        )
    op.create_table(
        "geo_floor_plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("floor", sa.SmallInteger(), nullable=False),
        sa.Column("image", sa.String(length=96), nullable=False),
        sa.Column("media_type", sa.String(length=16), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["location_id", "organization_id"],
            ["geo_location.id", "geo_location.organization_id"],
            name=op.f("fk_geo_floor_plan_location_id_organization_id_geo_location"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_geo_floor_plan")),
        sa.UniqueConstraint("location_id", "floor", name=op.f("uq_geo_floor_plan_location_id_floor")),
        sa.UniqueConstraint("image", name=op.f("uq_geo_floor_plan_image")),
    )
    op.create_index("ix_geo_floor_plan_created_id", "geo_floor_plan", ["created", "id"])
    op.create_index(
        "ix_geo_floor_plan_organization_id_created_id", "geo_floor_plan", ["organization_id", "created", "id"]
    )
    op.create_table(
        "geo_device_location",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("floor_plan_id", sa.Uuid(), nullable=True),
        sa.Column("indoor", sa.String(length=64), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("type", sa.String(length=8), nullable=True),
        sa.Column("is_mobile", sa.Boolean(), nullable=True),
        sa.Column("cell", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_geo_device_location_device_id_device"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["geo_location.id"],
            name=op.f("fk_geo_device_location_location_id_geo_location"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["floor_plan_id"],
            ["geo_floor_plan.id"],
            name=op.f("fk_geo_device_location_floor_plan_id_geo_floor_plan"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_geo_device_location")),
        sa.UniqueConstraint("device_id", name=op.f("uq_geo_device_location_device_id")),
    )
    op.create_index(op.f("ix_geo_device_location_location_id"), "geo_device_location", ["location_id"])
    op.create_index(op.f("ix_geo_device_location_floor_plan_id"), "geo_device_location", ["floor_plan_id"])
    op.create_index(
        "ix_geo_device_location_status_cell",
        "geo_device_location",
        ["status", "cell", *_FILTERED, "location_id", "device_id"],
    )
    op.create_table(
        "geo_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=True),
        sa.Column("location_id", sa.Uuid(), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_geo_change")),
    )
    op.create_index("ix_geo_change_transaction", "geo_change", ["transaction"])
    op.create_table(
        "geo_organization_settings",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("estimated_location_enabled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_geo_organization_settings_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_geo_organization_settings")),
    )
