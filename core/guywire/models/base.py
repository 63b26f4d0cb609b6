"""What every table shares: the declarative base, column types and the usual columns."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import JSON, DateTime, MetaData, String, Text, Uuid
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from guywire.interfaces import JSONObject


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class OrderedJSON(TypeDecorator[Any]):
    """A JSON value whose text is kept as it is: the order of keys, and 1, 1.0 and true as different values.

    Both can decide the bytes of an archive. So it is JSON in PostgreSQL, not JSONB.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True

    @override
    def compare_values(self, x: Any, y: Any) -> bool:
        """Whether an assignment changes nothing. (In Python, 1 == 1.0 == True.)"""
        return orjson.dumps(x) == orjson.dumps(y)


class Base(DeclarativeBase):
    """Base of all models, the plugins' included (a plugin's table names begin with the plugin's name)."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        datetime: UtcDateTime,
        JSONObject: OrderedJSON,
        uuid.UUID: Uuid,
        str: Text,
    }


class Identified:
    """A primary key that is a random UUID."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)


class Dated:
    """When a row was made and last changed. The one who writes says when, so that tests can."""

    created: Mapped[datetime]
    modified: Mapped[datetime]


def text(length: int, **options: Any) -> Mapped[str]:
    """A column of at most ``length`` characters, empty unless given."""
    return mapped_column(String(length), **({"default": ""} | options))
