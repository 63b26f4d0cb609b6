"""What bodies show of rows: one mapping from keys to columns serves lists, details and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Loaded:
    """A value that is not a column of the row itself.

    ``load(session, ids)`` gives it for all rows of a page at once, by id; rows that it leaves out have ``default``.
    ``schema`` is its JSON Schema.
    """

    load: Callable[[Session, Sequence[Any]], Mapping[Any, Any]]
    schema: Mapping[str, Any]
    default: Any = None


Shown = Mapping[str, Any]
"""From the keys of a body, in their order, to mapped attributes (``Device.name``) or ``Loaded``."""


def inserted_after(shown: Shown, key: str, more: Shown) -> Shown:
    """``shown`` with more keys after ``key``."""
    result: dict[str, Any] = {}
    for name, value in shown.items():
        result[name] = value
        if name == key:
            result |= more
    return result


def read_bodies(session: Session, shown: Shown, id_column: Any, ids: Sequence[Any]) -> list[dict[str, Any]]:
    """The bodies of the rows with these ids, in their order.

    One statement for the columns and one for each ``Loaded``, however many rows there are. No ORM objects are made.
    """
    if not ids:
        return []
    columns = {name: value for name, value in shown.items() if not isinstance(value, Loaded)}
    names = list(columns)
    query = sa.select(id_column, *columns.values()).where(id_column.in_(ids))
    rows = {row[0]: dict(zip(names, row[1:], strict=True)) for row in session.execute(query)}
    loaded = {name: value.load(session, ids) for name, value in shown.items() if isinstance(value, Loaded)}
    return [_body(shown, rows[id], loaded, id) for id in ids]


def body_of(session: Session, shown: Shown, row: Any) -> dict[str, Any]:
    """The body of one row that is at hand already."""
    columns = {name: getattr(row, value.key) for name, value in shown.items() if not isinstance(value, Loaded)}
    loaded = {name: value.load(session, [row.id]) for name, value in shown.items() if isinstance(value, Loaded)}
    return _body(shown, columns, loaded, row.id)


def _body(shown: Shown, columns: dict[str, Any], loaded: Mapping[str, Mapping[Any, Any]], id: Any) -> dict[str, Any]:
    if not loaded:
        return columns
    return {
        name: loaded[name].get(id, value.default) if isinstance(value, Loaded) else columns[name]
        for name, value in shown.items()
    }


def json_schema_of_column(column: Any) -> dict[str, Any]:
    """The JSON Schema of what a column holds."""
    kind = column.type
    schema: dict[str, Any] = {}
    if isinstance(kind, sa.Uuid):
        schema = {"type": "string", "format": "uuid"}
    elif isinstance(kind, sa.Boolean):
        schema = {"type": "boolean"}
    elif isinstance(kind, sa.Integer):
        schema = {"type": "integer"}
    elif isinstance(kind, sa.Date):
        schema = {"type": "string", "format": "date"}
    elif isinstance(kind, sa.types.TypeDecorator) and isinstance(kind.impl, sa.DateTime):
        schema = {"type": "string", "format": "date-time"}
    elif isinstance(kind, sa.types.TypeDecorator) and isinstance(kind.impl, sa.JSON):
        schema = {"type": "object", "additionalProperties": True}
    else:
        schema = {"type": "string"}
    return nullable(schema) if column.nullable else schema


def object_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object that has all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema``, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
