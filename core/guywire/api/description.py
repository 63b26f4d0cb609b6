"""Walks over what a body takes, for whoever describes it: OPTIONS and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from guywire.api.field import Field
from guywire.api.schema import Schema


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a body: described by ``field``, or a body itself (``nested``; with ``many`` a list of them).

    ``default`` is what it has when a body leaves it out; None also where it has none.
    """

    name: str
    field: Field | None
    nested: type[Schema] | None
    many: bool
    required: bool
    null: bool
    default: Any

    @property
    def label(self) -> str:
        """What people call the field."""
        return (self.field and self.field.label) or label_of(self.name)


def members(schema: type[Schema]) -> Iterator[Member]:
    """The fields of a body, in their order."""
    for name, info in schema.model_fields.items():
        field = next((each for each in info.metadata if isinstance(each, Field)), None)
        nested, many = _nested(info.annotation)
        yield Member(
            name=name,
            field=field,
            nested=nested,
            many=many,
            required=info.is_required(),
            null=field.null if field is not None else type(None) in get_args(info.annotation),
            default=None if info.is_required() else info.get_default(call_default_factory=True),
        )


def label_of(name: str) -> str:
    """The name of a field in words, as the reference makes them."""
    return name.replace("_", " ").capitalize()


def _nested(annotation: Any) -> tuple[type[Schema] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, Schema):
        return annotation, False
    is_list = get_origin(annotation) is list
    for part in get_args(annotation):
        found, many = _nested(part)
        if found is not None:
            return found, many or is_list
    return None, False
