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

    def of(self, session: Session, row: Any) -> Any:
        """The value for one row."""
        return self.load(session, [row.id]).get(row.id, self.default)


@dataclass(frozen=True, slots=True)
class Grouped:
    """One of several values that are loaded together: ``load(session, ids)`` gives a mapping for each id, and
    ``key`` is the value's place in it.
    """

    load: Callable[[Session, Sequence[Any]], Mapping[Any, Mapping[str, Any]]]
    key: str
    schema: Mapping[str, Any]
    default: Any = None

    def of(self, session: Session, row: Any) -> Any:
        """The value for one row."""
        return self.load(session, [row.id]).get(row.id, {}).get(self.key, self.default)


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that a detail makes of its row and what was loaded with it: ``of(session, row)``. Not for lists."""

    of: Callable[[Session, Any], Any]
    schema: Mapping[str, Any]


_NO_COLUMN = (Loaded, Grouped, Computed)

Shown = Mapping[str, Any]
"""From the keys of a body, in their order, to mapped attributes (``Device.name``), ``Loaded``, ``Grouped`` or
``Computed``."""


def inserted_after(shown: Shown, key: str, more: Shown) -> Shown:
    """``shown`` with more keys after ``key``."""
    result: dict[str, Any] = {}
    for name, value in shown.items():
        result[name] = value
        if name == key:
            result |= more
    return result


class PageReader:
    """Reads the bodies of a page of rows: one statement for the columns and one for each ``Loaded``.

    It is made once and used for many pages, because building a statement costs more than running it, and works on the
    tables themselves, because nobody needs ORM objects of a list.
    """

    def __init__(self, shown: Shown, id_attribute: Any) -> None:
        self._loaded = {name: value for name, value in shown.items() if isinstance(value, Loaded)}
        self._grouped = {name: value for name, value in shown.items() if isinstance(value, Grouped)}
        self._empty = dict.fromkeys(shown)
        columns = {name: _column(value) for name, value in shown.items() if not isinstance(value, _NO_COLUMN)}
        self._names = tuple(columns)
        id_column, selected = _column(id_attribute), list(columns.values())
        # Where it is shown, it is not selected twice: to read an id takes long.
        self._place_of_id = next((at for at, column in enumerate(selected) if column is id_column), len(selected))
        if self._place_of_id == len(selected):
            selected.append(id_column)
        self._query = sa.select(*selected).where(id_column.in_(sa.bindparam("ids", expanding=True)))

    def read(self, session: Session, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """The bodies of the rows with these ids, in their order."""
        if not ids:
            return []
        bodies = {}
        for row in session.connection().execute(self._query, {"ids": ids}):
            bodies[row[self._place_of_id]] = body = self._empty.copy()
            body.update(zip(self._names, row, strict=False))
        for name, part in self._loaded.items():
            found = part.load(session, ids)
            for id in ids:
                bodies[id][name] = found.get(id, part.default)
        groups = {load: load(session, ids) for load in {part.load for part in self._grouped.values()}}
        for name, each in self._grouped.items():
            for id in ids:
                bodies[id][name] = groups[each.load].get(id, {}).get(each.key, each.default)
        return [bodies[id] for id in ids]


def _column(attribute: Any) -> Any:
    return attribute.property.columns[0]


def body_of(session: Session, shown: Shown, row: Any) -> dict[str, Any]:
    """The body of one row that is at hand already."""
    return {
        name: value.of(session, row) if isinstance(value, _NO_COLUMN) else getattr(row, value.key)
        for name, value in shown.items()
    }


def schema_of_shown(shown: Shown) -> dict[str, Any]:
    """The JSON Schema of a body."""
    return object_schema(
        **{
            name: value.schema if isinstance(value, _NO_COLUMN) else json_schema_of_column(_column(value))
            for name, value in shown.items()
        }
    )


def json_schema_of_column(column: Any) -> dict[str, Any]:
    """The JSON Schema of what a column holds; ``info["json_schema"]`` of the column says it better than its type."""
    kind = column.type
    schema: dict[str, Any] = {}
    if "json_schema" in column.info:
        schema = column.info["json_schema"]
    elif isinstance(kind, sa.Uuid):
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
