"""Migrations: a fresh database has exactly the tables that the models say, and a plugin's tables are its own."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from guywire.interfaces import MigrationSource
from guywire.migration import differences, pending, upgrade
from guywire.models import Base
from guywire.registry import Registry

REVISION = '''"""A plugin's table."""

import sqlalchemy as sa
from alembic import op

revision = "weather_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "weather_report",
        sa.Column("device_id", sa.Uuid(), sa.ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("text", sa.Text(), nullable=False),
    )
'''


@pytest.fixture
def weather(tmp_path: Path) -> MigrationSource:
    """A plugin's migrations."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "weather_0001.py").write_text(REVISION)
    return MigrationSource("weather", str(tmp_path), Base.metadata)


def with_weather(registry: Registry, weather: MigrationSource) -> Registry:
    extended = Registry(registry.host)
    extended.migrations = [*registry.migrations, weather]
    return extended


def owners(registry: Registry) -> list[str]:
    return [source.owner for source in registry.migrations]


def test_the_revisions_make_exactly_the_models_tables(runtime):
    assert pending(runtime.engine, runtime.registry) == []
    with runtime.engine.connect() as connection:
        for source in runtime.registry.migrations:
            assert differences(connection, source, owners(runtime.registry)) == []


def test_a_difference_between_models_and_tables_is_found(runtime):
    with runtime.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE stranger (id INTEGER PRIMARY KEY)"))
    with runtime.engine.connect() as connection:
        found = differences(connection, runtime.registry.migrations[0], owners(runtime.registry))
        assert [difference[0] for difference in found] == ["remove_table"]


def test_a_plugin_has_its_own_version_table_and_the_core_does_not_miss_its_tables(runtime, weather):
    registry = with_weather(runtime.registry, weather)
    assert pending(runtime.engine, registry) == ["weather:weather_0001"]
    assert upgrade(runtime.engine, registry) == ["weather:weather_0001"]
    assert upgrade(runtime.engine, registry) == []
    names = sa.inspect(runtime.engine).get_table_names()
    assert {"weather_report", "alembic_version_weather", "alembic_version_core"} <= set(names)
    with runtime.engine.connect() as connection:
        # With the plugin known, its table is its business; the core sees no difference.
        assert differences(connection, registry.migrations[0], owners(registry)) == []


def test_a_plugin_that_is_gone_leaves_the_cores_migrations_working(runtime, weather):
    upgrade(runtime.engine, with_weather(runtime.registry, weather))
    assert upgrade(runtime.engine, runtime.registry) == []
    assert pending(runtime.engine, runtime.registry) == []


def test_a_migration_that_fails_leaves_the_database_as_it_was(runtime, weather):
    broken = Path(weather.folder) / "versions" / "weather_0001.py"
    broken.write_text(REVISION + '    op.execute("SELECT nonsense FROM nowhere")\n')
    with pytest.raises(sa.exc.DBAPIError):
        upgrade(runtime.engine, with_weather(runtime.registry, weather))
    assert "weather_report" not in sa.inspect(runtime.engine).get_table_names()
