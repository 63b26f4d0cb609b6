"""Where secrets are sealed in the database, and which of them an old key sealed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from guywire.registry import Registry
from guywire.sealing import KeyRing, SealedBytes


@dataclass(frozen=True)
class SealedColumn:
    """One column that holds sealed values, and the primary key of its table."""

    table: sa.Table
    name: str
    purpose: str

    @property
    def raw(self) -> Any:
        """The column as it is stored."""
        return sa.type_coerce(self.table.c[self.name], sa.LargeBinary)

    @property
    def key(self) -> Sequence[sa.Column[Any]]:
        """The columns that say which row."""
        return list(self.table.primary_key.columns)


def sealed_columns(registry: Registry) -> Iterator[SealedColumn]:
    """All sealed columns of the core and of the loaded plugins."""
    tables = {table for source in registry.migrations for table in source.metadata.tables.values()}
    for table in sorted(tables, key=lambda table: table.name):
        for column in table.columns:
            if isinstance(column.type, SealedBytes):
                yield SealedColumn(table, column.name, column.type.purpose)


def foreign_owners(engine: Engine, registry: Registry) -> list[str]:
    """Plugins that have tables here but are not loaded: nobody knows which of their columns are sealed."""
    loaded = {f"alembic_version_{source.owner}" for source in registry.migrations}
    names = {name for name in sa.inspect(engine).get_table_names() if name.startswith("alembic_version_")}
    return sorted(name.removeprefix("alembic_version_") for name in names - loaded)


def count_old(engine: Engine, ring: KeyRing, column: SealedColumn) -> int:
    """How many values another key than the ring's first one sealed."""
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(column.table).where(is_old(column, ring))) or 0


def is_old(column: SealedColumn, ring: KeyRing) -> Any:
    """SQL: whether another key than the ring's first one sealed the value."""
    prefix = ring.prefix
    # By value, not by parameter type: a sealed column would seal the prefix that it is compared with.
    start = sa.func.substr(column.raw, 1, len(prefix), type_=sa.LargeBinary)
    return sa.and_(column.raw.is_not(None), start != sa.literal(prefix, sa.LargeBinary))
