"""What a page shows of a list besides its JSON: a table, the pager, the filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyramid.request import Request

from guywire.api.description import Member, members
from guywire.api.service import APIService
from guywire.browsable.controls import Control, label_of
from guywire.browsable.maker import Maker
from guywire.browsable.sitemap import Sitemap

_COLUMNS = (
    "name",
    "username",
    "common_name",
    "status",
    "organization",
    "mac_address",
    "model",
    "email",
    "slug",
    "type",
    "backend",
    "is_active",
    "required",
    "default",
    "last_ip",
    "management_ip",
    "modified",
)
"""What people look for first. The table has the first few of these that any of the objects has."""

_MAX_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Table:
    """Columns as (key, label) and rows as (link, cells)."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str | None, list[Any]]]


@dataclass(frozen=True, slots=True)
class Pager:
    """Where in a list a page is."""

    count: int
    first: int
    last: int
    next: str | None
    previous: str | None


def is_list(data: Any) -> bool:
    """Whether a body is a page of a list."""
    return isinstance(data, dict) and isinstance(data.get("results"), list) and "count" in data


def table_of(results: list[Any], service: APIService, sitemap: Sitemap, maker: Maker) -> Table | None:
    """The most telling fields of a list's objects, with the names of what they refer to."""
    rows = [_flattened(each) for each in results if isinstance(each, dict)]
    if not rows or service.resource is None:
        return None
    fields = {member.name: member for member in members(service.resource.schema)}
    keys = [key for key in _COLUMNS if any(row.get(key) not in (None, "") for row in rows)]
    if len(keys) > _MAX_COLUMNS:
        # When it changed last is worth more than one more detail.
        keys = [*keys[: _MAX_COLUMNS - 1], keys[-1]]
    for key in keys:
        field = fields[key].field if key in fields else None
        if field is not None and field.kind == "reference":
            _name(rows, key, field.model, sitemap, maker)
    detail_path = sitemap.detail_path(service.resource.model)
    columns = [(key, _label(fields.get(key), key)) for key in keys]
    links = [detail_path.format(row["id"]) if detail_path and "id" in row else None for row in rows]
    return Table(columns, [(link, [row.get(key) for key in keys]) for link, row in zip(links, rows, strict=True)])


def _label(member: Member | None, key: str) -> str:
    return (member and member.field and member.field.label) or label_of(key)


def _name(rows: list[dict[str, Any]], key: str, model: Any, sitemap: Sitemap, maker: Maker) -> None:
    """Put names with links in the place of ids, as far as the user sees what they belong to."""
    ids = [row[key] for row in rows if row.get(key) is not None]
    names = dict(maker.find(model, ids).pairs)
    path = sitemap.detail_path(model)
    for row in rows:
        if path is not None and (id := row.get(key)) is not None and str(id) in names:
            row[key] = {"path": path.format(id), "name": names[str(id)]}


def _flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    config = row.get("config")
    nested = config if isinstance(config, dict) else {}
    return {"status": nested.get("status"), **nested, **row} if "config" in row and "status" in nested else dict(row)


def pager_of(data: Mapping[str, Any], request: Request) -> Pager:
    """The pager of a page of a list."""
    shown = len(data["results"])
    page = request.GET.get("page", "1")
    if data.get("next") is None:
        first = data["count"] - shown + 1
    else:
        first = (int(page) - 1) * shown + 1 if page.isdecimal() else 1
    return Pager(data["count"], min(first, data["count"]), first + shown - 1, data.get("next"), data.get("previous"))


def filters_of(service: APIService, request: Request, maker: Maker, errors: Any) -> list[Control]:
    """The controls of the filters of a list."""
    errors = errors if isinstance(errors, dict) else {}
    controls = []
    for name, described in service.operations["GET"].parameters.items():
        messages = errors.get(name)
        given = request.GET.get(name, "")
        shown = messages if isinstance(messages, list) else None
        control = maker.control(name, described, given, shown, filtering=True)
        if described.kind == "boolean":
            control = replace(control, kind="select", options=[("true", "yes"), ("false", "no")])
        controls.append(control)
    return controls
