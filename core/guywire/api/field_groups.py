"""Groups of fields that plugins add to the resources of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import create_model
from sqlalchemy.orm import Session

from guywire.api.filters import Filter
from guywire.api.schema import Schema
from guywire.api.shown import Grouped, Shown, inserted_after
from guywire.plugin import PluginError


@dataclass(frozen=True, kw_only=True)
class FieldGroup:
    """Some fields of the resource whose kind is ``resource``, kept in a plugin's own table.

    ``shown`` gives the JSON Schema of each key that bodies show, in order, behind the key ``after``; ``load`` gives
    their values for the rows of a page, and rows that it leaves out show ``defaults`` (null where it says nothing).
    Without ``in_lists`` only details show them. ``body`` holds the fields that clients may write. ``save(session,
    row, given, now)`` is called after every creation and change of a row, in its transaction; ``given`` are those of
    its fields that the client gave. It raises Invalid. ``filters`` narrow the list.
    """

    resource: str
    name: str
    after: str = ""
    shown: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    load: Callable[[Session, Sequence[Any]], Mapping[Any, Mapping[str, Any]]] = lambda session, ids: {}
    defaults: Mapping[str, Any] = field(default_factory=dict)
    in_lists: bool = True
    body: type[Schema] | None = None
    save: Callable[[Session, Any, Mapping[str, Any], datetime], None] = lambda session, row, given, now: None
    filters: Mapping[str, Filter] = field(default_factory=dict)

    def given(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the fields that are the group's."""
        own = self.body.model_fields if self.body is not None else {}
        return {name: value for name, value in fields.items() if name in own}


def without(groups: Sequence[FieldGroup], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are none of the groups'."""
    added = {name for group in groups for name in group.given(fields)}
    return {name: value for name, value in fields.items() if name not in added}


def save(
    groups: Sequence[FieldGroup], session: Session, row: Any, fields: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Let the groups save their fields of a row that was created or changed. Returns those that were given."""
    added: dict[str, Any] = {}
    for group in groups:
        given = group.given(fields)
        group.save(session, row, given, now)
        added |= given
    return added


def values_of(groups: Sequence[FieldGroup], session: Session, id: Any) -> dict[str, Any]:
    """What a row has in those fields of the groups that clients may write, as if a client had given it."""
    found: dict[str, Any] = {}
    for group in groups:
        found |= group.given({**group.defaults, **group.load(session, [id]).get(id, {})})
    return found


def extended(resource: Any, registered: Sequence[Any]) -> Any:
    """A Resource with those field groups that are for it. Raises PluginError for one that has no place there."""
    groups: list[FieldGroup] = [group for group in registered if group.resource == resource.kind]
    if not groups:
        return resource
    in_lists = [group for group in groups if group.in_lists]
    when_new = resource.shown_when_new
    return type(resource)(
        resource.__name__,
        (resource,),
        {
            "__doc__": resource.__doc__,
            "field_groups": tuple(groups),
            "schema": _with_fields(resource.schema, groups),
            "create_schema": resource.create_schema and _with_fields(resource.create_schema, groups),
            "shown": _shown(resource, resource.shown, in_lists),
            "shown_in_detail": _shown(resource, resource.shown_in_detail or resource.shown, groups),
            "shown_when_new": when_new and _shown(resource, when_new, groups),
            "filters": {**resource.filters, **{name: each for group in groups for name, each in group.filters.items()}},
        },
    )


def _shown(resource: Any, shown: Shown, groups: Sequence[FieldGroup]) -> Shown:
    for group in reversed(groups):
        if group.shown.keys() & shown.keys() or (group.shown and group.after not in shown):
            raise PluginError(f"the field group {group.name!r} has no place after {group.after!r} of {resource.kind!r}")
        parts = {key: Grouped(group.load, key, schema, group.defaults.get(key)) for key, schema in group.shown.items()}
        shown = inserted_after(shown, group.after, parts)
    return shown


def _with_fields(schema: type[Schema], groups: Sequence[FieldGroup]) -> type[Schema]:
    bodies = tuple(group.body for group in groups if group.body is not None)
    # In the order of the bases: Python looks from left to right, pydantic collects from right to left.
    return create_model(schema.__name__, __base__=(*reversed(bodies), schema), __doc__=schema.__doc__)
