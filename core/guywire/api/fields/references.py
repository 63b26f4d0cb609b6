"""References to other objects, by their ids."""

from __future__ import annotations

import re
import uuid
from typing import Any

from pydantic import ValidationInfo

from guywire.api.field import Field, context_of, fail
from guywire.api.fields.values import INTEGER
from guywire.api.fields.wording import NULL

_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_MAX_REFERENCES = 1000


def primary_key(model: Any, value: Any) -> Any:
    """The id that ``value`` means: a UUID, or an integer for the models that have those."""
    return _integer_key(value) if model.__table__.c.id.type.python_type is int else _uuid_key(value)


def _integer_key(value: Any) -> int:
    if isinstance(value, (bool, list, dict, float)) or not INTEGER.fullmatch(str(value)):
        raise fail(f"Incorrect type. Expected pk value, received {type(value).__name__}.")
    if not 0 <= int(value) < 2**31:
        raise fail(f'Invalid pk "{value}" - object does not exist.')
    return int(value)


def _uuid_key(value: Any) -> uuid.UUID:
    if isinstance(value, (bool, list, dict, float)):
        raise fail(f"Incorrect type. Expected pk value, received {type(value).__name__}.")
    if isinstance(value, int):
        raise fail(f'Invalid pk "{value}" - object does not exist.')
    if not isinstance(value, str):
        raise fail("Incorrect type. Expected pk value, received a file.")
    key = parse_uuid(value)
    if key is None:
        raise fail(f"“{value}” is not a valid UUID.")
    return key


def parse_uuid(value: Any) -> uuid.UUID | None:
    """The UUID that a text means, with dashes or without; None if it means none."""
    return uuid.UUID(value) if isinstance(value, str) and _UUID.fullmatch(value) else None


def reference(model: Any, *, null: bool = False, label: str = "", help: str = "") -> Field:
    """The id of an object of ``model`` that the user may refer to."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        if value is None or value == "":
            if null:
                return None
            raise fail(NULL)
        key = primary_key(model, value)
        if not context_of(info).exists(model, [key]):
            raise fail(f'Invalid pk "{value}" - object does not exist.')
        return key

    return Field(validate, kind="reference", null=null, model=model, label=label, help=help)


def references(model: Any, *, label: str = "", help: str = "") -> Field:
    """An ordered list of ids of objects of ``model`` that the user may refer to."""

    def validate(value: Any, info: ValidationInfo) -> list[Any]:
        if value is None:
            raise fail(NULL)
        if context_of(info).is_form and isinstance(value, str):
            value = [value] if value else []
        if not isinstance(value, list):
            raise fail(f'Expected a list of items but got type "{type(value).__name__}".')
        if None in value:
            raise fail(NULL)
        if len(value) > _MAX_REFERENCES:
            raise fail(f"Ensure this field has no more than {_MAX_REFERENCES} elements.")
        keys = [primary_key(model, each) for each in value]
        known = context_of(info).exists(model, keys)
        for key, given in zip(keys, value, strict=True):
            if key not in known:
                raise fail(f'Invalid pk "{given}" - object does not exist.')
        return keys

    return Field(validate, kind="references", model=model, label=label, help=help)
