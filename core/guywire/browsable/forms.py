"""Which forms a page offers: those that the user's permissions allow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guywire.api.description import members
from guywire.api.schema import Schema
from guywire.api.service import APIService
from guywire.browsable.controls import Control, Fieldset, label_of
from guywire.browsable.maker import Maker, nested_values

Sent = list[tuple[str, Any]]

_EMPTY = {"object": {}, "references": [], "boolean": False, "integer": 0}
_TITLES = {"POST": "Create", "PUT": "Edit", "PATCH": "Edit"}


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a body: controls, and the same as raw JSON. ``methods`` are those of the raw editor's buttons.

    ``sparse``: what is left empty is not sent. ``parameters`` are those of the address.
    """

    title: str
    method: str
    methods: list[str]
    fields: Fieldset | None
    raw: str | None
    raw_first: bool = False
    sparse: bool = False
    parameters: Sequence[Control] = ()


def form_of(
    service: APIService, methods: list[str], data: Any, sent: Sent | None, errors: Any, maker: Maker
) -> Form | None:
    """The form of the first of ``methods`` that takes a body.

    ``data`` is the object as it is (None for a new one), ``sent`` a form that was refused with ``errors``.
    """
    methods = [method for method in methods if service.operations[method].body is not None]
    if not methods:
        return None
    operation = service.operations[methods[0]]
    schema = operation.body
    assert schema is not None
    values = data if isinstance(data, Mapping) else {}
    raw: str | None = json.dumps(writable(schema, values), indent=2, ensure_ascii=False)
    content = dict(sent or []).get("_content")
    if sent is not None and content is None:
        # The object as it is is not at hand, and a raw body of something else would be a trap.
        values, raw = nested_values(sent, schema), None
    fields = maker.fieldset(schema, values, errors, partial=operation.partial or methods[0] != "POST")
    title = _TITLES[methods[0]] if service.resource is not None else service.title
    return Form(
        title,
        methods[0],
        methods,
        fields,
        content if isinstance(content, str) else raw,
        raw_first=content is not None,
        sparse=operation.partial and methods[0] == "POST",
        parameters=parameters_of(service, methods[0], maker),
    )


def parameters_of(service: APIService, method: str, maker: Maker) -> list[Control]:
    """The controls of the query parameters of an operation that changes something."""
    parameters = service.operations[method].parameters if method in service.operations else {}
    controls = [maker.control(f"_query.{name}", described, "") for name, described in parameters.items()]
    return [replace(each, label=label_of(each.name)) for each in controls]


def writable(schema: type[Schema], values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an object that a body may hold; of a new one, what it has by default."""
    body: dict[str, Any] = {}
    for member in members(schema):
        key = member.name
        value = values.get(key)
        if member.nested is not None and not member.many:
            of_new = writable(member.nested, {}) if not values else None
            body[key] = writable(member.nested, value) if isinstance(value, Mapping) else of_new
        elif key in values:
            body[key] = value
        elif not values:
            body[key] = _EMPTY.get(member.field.kind, "") if member.required and member.field else member.default
    return body
