"""What a page shows of a list besides its JSON: a table, the pager, the filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.request import Request

from guywire.api.service import APIService
from guywire.browsable.controls import Control, Maker, label_of

_COLUMNS = (
    "name",
    "username",
    "common_name",
    "status",
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
    "created",
    "modified",
)
"""What people look for first. The table has the first few of these that the objects have."""

_MAX_COLUMNS = 6


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


def table_of(results: list[Any], detail_path: str | None) -> Table | None:
    """The most telling fields of a list's objects."""
    rows = [_flattened(each) for each in results if isinstance(each, dict)]
    if not rows:
        return None
    columns = [(key, label_of(key)) for key in _COLUMNS if key in rows[0]]
    if len(columns) > _MAX_COLUMNS:
        # When it changed last is worth more than the sixth detail.
        columns = [*columns[: _MAX_COLUMNS - 1], columns[-1]]
    if not columns:
        return None
    return Table(
        columns,
        [
            (
                detail_path.format(row["id"]) if detail_path and "id" in row else None,
                [row.get(key) for key, _ in columns],
            )
            for row in rows
        ],
    )


def _flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    config = row.get("config")
    nested = config if isinstance(config, dict) else {}
    return {"status": nested.get("status"), **nested, **row} if "config" in row and "status" in nested else dict(row)


def pager_of(data: Mapping[str, Any], request: Request) -> Pager:
    """The pager of a page of a list."""
    shown = len(data["results"])
    page = request.GET.get("page", "1")
    if data["next"] is None:
        first = data["count"] - shown + 1
    else:
        first = (int(page) - 1) * shown + 1 if page.isdecimal() else 1
    return Pager(data["count"], min(first, data["count"]), first + shown - 1, data["next"], data["previous"])


def filters_of(service: APIService, request: Request, maker: Maker, errors: Any) -> list[Control]:
    """The controls of the filters of a list."""
    errors = errors if isinstance(errors, dict) else {}
    controls = []
    for name, described in service.operations["GET"].parameters.items():
        messages = errors.get(name)
        given = request.GET.get(name, "")
        control = maker.control(name, described, given, messages if isinstance(messages, list) else None)
        if described.kind == "boolean":
            options = [("true", "yes"), ("false", "no")]
            control = Control(name, control.label, "select", value=given, help=control.help, options=options)
        controls.append(control)
    return controls
