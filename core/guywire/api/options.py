"""The answer to OPTIONS: what a resource is, and which fields whoever asks may write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guywire.api.description import Member, label_of, members
from guywire.api.negotiation import HTML
from guywire.api.schema import Schema
from guywire.api.service import FORMS, JSON, APIService
from guywire.api.shown import Shown, schema_of_shown
from guywire.registry import Registry
from guywire.security import Identity

_TYPES = {
    "text": "string",
    "password": "string",
    "object": "field",
    "reference": "field",
    "references": "field",
    "file": "file upload",
    "image": "image upload",
    "json": "field",
}
"""What the reference calls the kinds of fields that it has another name for."""

_READ_ONLY_TYPES = {"uuid": "string", "date-time": "datetime", "date": "date", "email": "email", "uri": "url"}
_NESTED = "nested object"


def describe(service: APIService, identity: Identity | None, registry: Registry) -> dict[str, Any]:
    """What OPTIONS tells of a service, in the reference's form.

    ``actions`` holds the fields of POST and PUT, and only if the user may do that.
    """
    answer: dict[str, Any] = {
        "name": service.title,
        "description": " ".join((service.description or "").split()),
        "renders": [JSON, HTML],
        "parses": [JSON, *FORMS],
    }
    actions = {
        method: _fields(service, method, registry)
        for method in ("POST", "PUT")
        if method in service.operations and service.operations[method].allows(identity)
    }
    actions = {method: fields for method, fields in actions.items() if fields}
    return answer | {"actions": actions} if actions else answer


def _fields(service: APIService, method: str, registry: Registry) -> dict[str, Any]:
    operation = service.operations[method]
    if operation.body is None:
        return {}
    resource = service.resource
    if resource is None or operation.answer is not resource:
        return _described(operation.body, {}, registry)
    shown: Shown = (
        resource.shown_when_new or resource.shown if method == "POST" else resource.shown_in_detail or resource.shown
    )
    return _described(operation.body, schema_of_shown(shown)["properties"], registry)


def _described(schema: type[Schema], shown: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """What is shown comes first, in its order; what can only be written follows."""
    writable = {member.name: member for member in members(schema)}
    return {
        name: _writable(writable[name], shown.get(name, {}), registry)
        if name in writable
        else _read_only(name, shown[name])
        for name in (*shown, *(name for name in writable if name not in shown))
    }


def _writable(member: Member, shown: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    answer = {"type": _NESTED, "required": member.required, "read_only": False, "label": member.label}
    if member.nested is not None:
        children = _described(member.nested, _not_null(shown).get("properties", {}), registry)
        return {**answer, "type": "list", "child": children} if member.many else {**answer, "children": children}
    field = member.field
    if field is None:
        return {**answer, "type": "field"}
    answer["type"] = _TYPES.get(field.kind, field.kind)
    limits = {"max_length": field.max_length, "min_value": field.minimum, "max_value": field.maximum}
    answer |= {"help_text": field.help} if field.help else {}
    answer |= {name: limit for name, limit in limits.items() if limit is not None}
    if field.choices is not None:
        choices = field.choices(registry).items()
        answer["choices"] = [{"value": value, "display_name": label} for value, label in choices]
    return answer


def _read_only(name: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    schema = _not_null(shown)
    kind = schema.get("type")
    answer = {"type": "field", "required": False, "read_only": True, "label": label_of(name)}
    if "enum" in schema:
        answer["type"] = "choice"
    elif kind == "string":
        answer["type"] = _READ_ONLY_TYPES.get(schema.get("format", ""), "string")
    elif kind in ("boolean", "integer"):
        answer["type"] = kind
    elif "properties" in schema:
        children = {child: _read_only(child, each) for child, each in schema["properties"].items()}
        return {**answer, "type": _NESTED, "children": children}
    return answer


def _not_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a schema says of values that are not null."""
    if "anyOf" in schema:
        schema = next((each for each in schema["anyOf"] if each.get("type") != "null"), {})
    kind = schema.get("type")
    if isinstance(kind, list):
        return {**schema, "type": next((each for each in kind if each != "null"), "null")}
    return schema
