"""What bodies of commands hold: their type and its input."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from guywire.api.body import parse_json
from guywire.api.field import Field, context_of, fail
from guywire.api.fields import NOT_JSON, parse_uuid
from guywire.api.fields import choice as choice_field
from guywire.errors import Invalid, ParseError
from guywire.interfaces import CommandType
from guywire.registry import Registry
from guywire.runtime import Runtime
from pydantic import ValidationInfo
from sqlalchemy.orm import Session

from guywire_ssh_connection.models import DeviceConnection
from guywire_ssh_connection.services.allowed_types import allowed_types


def labels(registry: Registry) -> Mapping[str, str]:
    """The types of commands that there are."""
    return {name: type.label for name, type in registry.command_types.items()}


def _input(value: Any, info: ValidationInfo) -> Any:
    """Any JSON: what it has to be is the type's business. In a form, its text, or nothing."""
    if not context_of(info).is_form:
        return value
    if not isinstance(value, str):
        raise fail(NOT_JSON)
    try:
        return parse_json(value.encode()) if value.strip() else None
    except ParseError:
        raise fail(NOT_JSON) from None


def _connection(value: Any, info: ValidationInfo) -> uuid.UUID | None:
    if value is None or value == "":
        return None
    id = parse_uuid(value)
    if id is None:
        raise fail("Must be a valid UUID.")
    if not context_of(info).exists(DeviceConnection, [id]):
        raise fail(f'Invalid pk "{value}" - object does not exist.')
    return id


TYPE = choice_field(labels, label="Type")
INPUT = Field(
    _input, kind="object", null=True, label="Input", help="What the type takes; null for one that takes nothing."
)
CONNECTION = Field(
    _connection,
    null=True,
    help="The connection of the device to use. Empty: the first that works.",
)


def allowed_type(session: Session, runtime: Runtime, name: str, organization_id: uuid.UUID) -> CommandType:
    """The type of a name, if the organization may use it. Raises Invalid."""
    if name not in allowed_types(session, runtime.registry, runtime.settings, organization_id):
        raise Invalid({"type": [f'"{name}" is not a valid choice.']})
    return runtime.registry.command_types[name]
