"""Bodies and answers as JSON Schemas, each under one name in the document."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
from typing import Any

from guywire.api.description import Member, members
from guywire.api.field import Field
from guywire.api.naming import name_of
from guywire.api.schema import Schema
from guywire.api.shown import Shown, nullable, schema_of_shown
from guywire.openapi.words import as_markdown
from guywire.registry import Registry

JSONSchema = dict[str, Any]

_KINDS: dict[str, JSONSchema] = {
    "string": {"type": "string"},
    "text": {"type": "string"},
    "email": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
    "slug": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "password": {"type": "string", "format": "password"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "choice": {"type": "string"},
    "object": {"type": "object", "additionalProperties": True},
    "file": {"type": "string", "format": "binary"},
    "image": {"type": "string", "format": "binary"},
    "words": {"type": "array", "items": {"type": "string", "minLength": 1}},
}


class Components:
    """The named schemas of a document, made when something first refers to them."""

    def __init__(self, registry: Registry, add: Callable[[str, JSONSchema], Any]) -> None:
        self._registry = registry
        self._add = add
        self._names: dict[Any, str] = {}

    def body(self, schema: type[Schema], *, partial: bool = False) -> JSONSchema:
        """What a JSON body holds."""
        name = f"Patched{schema.__name__}" if partial else schema.__name__
        return self._reference((schema, partial), [name], lambda: self._body(schema, partial))

    def form(self, schema: type[Schema], *, partial: bool = False) -> JSONSchema:
        """The same as a form: flat, with ``config.backend`` for a nested field and JSON as text."""
        name = f"Patched{schema.__name__}Form" if partial else f"{schema.__name__}Form"
        return self._reference((schema, partial, "form"), [name], lambda: self._form(schema, partial))

    def shown(self, resource: Any, *, detail: bool = False, new: bool = False) -> JSONSchema:
        """What an answer shows of a resource: in lists, in its detail, or when it was created."""
        shown: Shown = resource.shown
        name = name_of(resource)
        fallback = resource.__name__.removesuffix("Resource")
        if detail and resource.shown_in_detail is not None:
            name, shown = f"{name}Detail", resource.shown_in_detail
        elif new and resource.shown_when_new is not None and resource.shown_when_new is resource.shown_in_detail:
            return self.shown(resource, detail=True)
        elif new and resource.shown_when_new is not None:
            name, shown = f"New{name}", resource.shown_when_new
        return self._reference((resource, id(shown)), [name, fallback], lambda: self._shown(resource, shown))

    def page(self, resource: Any) -> JSONSchema:
        """A page of a resource's list."""
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {
            "count": {"type": "integer", "minimum": 0},
            "next": link,
            "previous": link,
            "results": {"type": "array", "items": self.shown(resource)},
        }
        name = f"{name_of(resource)}Page"
        return self._reference(
            (resource, "page"),
            [name],
            lambda: closed({"type": "object", "properties": properties, "required": list(properties)}),
        )

    def field(self, field: Field) -> JSONSchema:
        """What one field, or one parameter, accepts."""
        schema = dict(self._kind(field))
        if schema.get("type") == "string":
            if field.max_length is not None:
                schema["maxLength"] = field.max_length
            if field.kind in ("string", "text", "password") and not field.blank:
                schema["minLength"] = 1
        schema |= {
            name: limit for name, limit in (("minimum", field.minimum), ("maximum", field.maximum)) if limit is not None
        }
        if field.choices is not None and (choices := list(field.choices(self._registry))):
            # It has to be of something; without plugins there may be nothing.
            schema["enum"] = ["", *choices] if field.blank else choices
        if field.blank and ("format" in schema or "pattern" in schema):
            schema = {"anyOf": [schema, {"type": "string", "const": ""}]}
        return nullable(schema) if field.null and schema.get("type") != "null" else schema

    def _kind(self, field: Field) -> JSONSchema:
        if field.kind not in ("reference", "references"):
            return _KINDS.get(field.kind, {})
        if field.model is None:
            return {"type": "null"}
        key: JSONSchema = {"type": "string", "format": "uuid"}
        if field.model.__table__.c.id.type.python_type is not uuid.UUID:
            key = {"type": "integer", "minimum": 0}
        key["x-model"] = field.model.__name__
        return key if field.kind == "reference" else {"type": "array", "items": key}

    def _body(self, schema: type[Schema], partial: bool) -> JSONSchema:
        fields = list(members(schema))
        body: JSONSchema = {
            "type": "object",
            "properties": {member.name: self._member(member, partial) for member in fields},
        }
        return _complete(schema, body, [] if partial else [member.name for member in fields if member.required])

    def _member(self, member: Member, partial: bool) -> JSONSchema:
        if member.nested is not None:
            # The parts of a list's items are not optional, whatever the method.
            schema = self.body(member.nested, partial=partial and not member.many)
            if member.many:
                schema = {"type": "array", "items": schema}
            return nullable(schema) if member.null else schema
        schema = self.field(member.field) if member.field is not None else {}
        if schema.get("type") == "object" and isinstance(member.default, list):
            # A field of JSON does not say of what kind: what it has by default does.
            schema = {"type": "array"}
        schema |= _words(member)
        if not partial and _is_telling(member.default, schema):
            schema["default"] = member.default
        return schema

    def _form(self, schema: type[Schema], partial: bool) -> JSONSchema:
        properties: JSONSchema = {}
        required: list[str] = []
        self._flatten(schema, "", not partial, properties, required)
        return _complete(schema, {"type": "object", "properties": properties}, required)

    def _flatten(
        self, schema: type[Schema], prefix: str, needed: bool, properties: JSONSchema, required: list[str]
    ) -> None:
        for member in members(schema):
            name = prefix + member.name
            if member.nested is not None:
                if not member.many:
                    self._flatten(member.nested, f"{name}.", needed and member.required, properties, required)
                continue
            field = member.field
            if field is None or (field.kind == "reference" and field.model is None):
                continue
            properties[name] = self._in_form(field) | _words(member)
            # Browsers leave unchecked boxes and empty selections out, and that is what it then means.
            if needed and member.required and field.kind not in ("boolean", "references"):
                required.append(name)

    def _in_form(self, field: Field) -> JSONSchema:
        if field.kind == "object":
            return {"type": "string", "contentMediaType": "application/json"}
        schema = self.field(field)
        if field.null and isinstance(schema.get("type"), list):
            [schema["type"]] = [kind for kind in schema["type"] if kind != "null"]
        return schema

    def _shown(self, resource: Any, shown: Shown) -> JSONSchema:
        schema = closed(schema_of_shown(shown))
        schema["required"] = [name for name in schema["required"] if name not in resource.hidden]
        for member in members(resource.schema):
            if member.name in schema["properties"]:
                schema["properties"][member.name] |= _words(member)
        return {"description": _first_paragraph(resource.__doc__), **schema}

    def _reference(self, key: Any, names: Sequence[str], make: Callable[[], JSONSchema]) -> JSONSchema:
        """A reference to the schema of ``key``, which gets the first of ``names`` that is free."""
        if key not in self._names:
            taken = set(self._names.values())
            numbered = (f"{names[0]}{number}" for number in count(2))
            # Named before it is made: a schema may refer to itself.
            name = self._names[key] = next(each for each in chain(names, numbered) if each not in taken)
            self._add(name, make())
        return {"$ref": f"#/components/schemas/{self._names[key]}"}


def closed(schema: Any) -> Any:
    """``schema`` of an answer: objects have exactly the properties that it names, unless it says otherwise."""
    if isinstance(schema, Mapping):
        result = {key: closed(value) for key, value in schema.items()}
        if "properties" in result and result.get("type") in ("object", ["object", "null"]):
            result.setdefault("additionalProperties", False)
        return result
    return [closed(each) for each in schema] if isinstance(schema, list) else schema


def _words(member: Member) -> JSONSchema:
    words = {"title": member.label, "description": member.field.help if member.field else ""}
    return {key: text for key, text in words.items() if text}


def _complete(schema: type[Schema], body: JSONSchema, required: list[str]) -> JSONSchema:
    body = {"description": _first_paragraph(schema.__doc__), **body}
    return {**body, "required": required} if required else body


def _first_paragraph(text: str | None) -> str:
    return as_markdown(" ".join((text or "").split("\n\n")[0].split()))


def _is_telling(default: Any, schema: JSONSchema) -> bool:
    """Whether the document can say what a field has when it is left out. (What a client may not say does not tell.)"""
    try:
        json.dumps(default)
    except TypeError:
        return False
    return default is not None and not (default == "" and schema.get("minLength"))
