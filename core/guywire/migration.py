"""Runs database migrations: a version table and a folder for the core and for each plugin."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from guywire.db import WRITES
from guywire.interfaces import MigrationSource
from guywire.registry import Registry

_ADVISORY_LOCK = 0x67757977  # any number, as long as all of our processes use the same


def upgrade(engine: Engine, registry: Registry) -> list[str]:
    """Bring the tables of the core and of all plugins up to date. Returns the revisions that were run.

    All of it is one transaction: a migration that fails leaves the database as it was.
    """
    done: list[str] = []
    with _locked(engine) as connection:
        for source in registry.migrations:
            done += _upgrade(connection, source)
    return done


def pending(engine: Engine, registry: Registry) -> list[str]:
    """The revisions that ``upgrade`` would run, as ``owner:revision``."""
    waiting = []
    with engine.connect() as connection:
        for source in registry.migrations:
            script = _script(source)
            current = _context(connection, source).get_current_revision()
            for revision in script.iterate_revisions("heads", current or "base"):
                waiting.append(f"{source.owner}:{revision.revision}")
    return waiting


def differences(connection: Connection, source: MigrationSource, owners: list[str]) -> list[Any]:
    """How the tables of one owner differ from its models: empty when its revisions are complete.

    SQLite does not tell of indexes on expressions: PostgreSQL's word counts for them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index", sa.exc.SAWarning)
        warnings.filterwarnings("ignore", "autogenerate skipping", UserWarning)
        return _differences(connection, source, owners)


def _differences(connection: Connection, source: MigrationSource, owners: list[str]) -> list[Any]:
    added = _added_references(connection)
    owned = _owned(source, owners)

    def include(item: Any, name: str | None, kind: str, reflected: bool, compared: Any) -> bool:
        if kind == "table":
            # Plugins refer to tables of the core, so all models are in one MetaData.
            return owned(name, kind, None)
        return kind != "foreign_key_constraint" or (item.table.name, *item.column_keys) not in added

    context = _context(connection, source, include_name=owned, include_object=include)
    return compare_metadata(context, source.metadata)


def _added_references(connection: Connection) -> set[tuple[str, ...]]:
    """Tables and columns of the references that came with an added column: SQLite tells neither their names nor what
    is to be done on deletion, so they cannot be compared.
    """
    if connection.dialect.name != "sqlite":
        return set()
    references = sa.inspect(connection).get_multi_foreign_keys().items()
    return {
        (table, *key["constrained_columns"]) for (_, table), keys in references for key in keys if key["name"] is None
    }


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction, which no other migrating process shares the time of."""
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield connection


def _script(source: MigrationSource) -> ScriptDirectory:
    return ScriptDirectory(source.folder, version_locations=[f"{source.folder}/versions"])


def _upgrade(connection: Connection, source: MigrationSource) -> list[str]:
    script = _script(source)
    done: list[str] = []

    def plan(current: Any, context: MigrationContext) -> Any:
        steps = script._upgrade_revs("heads", current)
        done.extend(f"{source.owner}:{step.revision.revision}" for step in steps)
        return steps

    with EnvironmentContext(Config(), script, fn=plan) as environment:
        environment.configure(connection=connection, **_options(source))
        environment.run_migrations()
    return done


def _options(source: MigrationSource) -> dict[str, Any]:
    return {
        "target_metadata": source.metadata,
        "version_table": f"alembic_version_{source.owner}",
        "render_as_batch": True,
        "transactional_ddl": True,
    }


def _context(connection: Connection, source: MigrationSource, **options: Any) -> MigrationContext:
    return MigrationContext.configure(connection, opts={**_options(source), **options})


def _owned(source: MigrationSource, owners: list[str]) -> Callable[[str | None, str, Any], bool]:
    """Which tables are an owner's: a plugin's begin with its name, the core's with nobody's."""

    def include(name: str | None, kind: str, parents: Any) -> bool:
        if kind != "table" or name is None:
            return True
        if name.startswith("alembic_version_"):
            return False
        owner = next((each for each in owners if each != "core" and name.startswith(f"{each}_")), "core")
        return owner == source.owner

    return include
