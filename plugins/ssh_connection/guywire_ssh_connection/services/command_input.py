"""What operators give with a command: whether it is right, and how it is shown without its secrets."""

from __future__ import annotations

import shlex
from typing import Any

from guywire.errors import Invalid
from guywire.interfaces import CommandType
from guywire.interfaces.commands import CommandInput
from jsonschema import Draft4Validator
from jsonschema.exceptions import best_match

MASK = "********"


def validated(type: CommandType, value: Any) -> CommandInput:
    """The input of a command. Raises Invalid."""
    error = best_match(Draft4Validator(type.schema).iter_errors(value))
    if error is not None:
        raise Invalid({"input": [error.message]})
    if value is not None and not isinstance(value, dict):
        # Whatever the schema of a stranger's type allows.
        raise Invalid({"input": [f"{value!r} is not of type 'object'"]})
    if any("\0" in text for text in _texts(value)):
        raise Invalid({"input": ["Null characters are not allowed."]})
    try:
        type.check(value)
    except ValueError as refused:
        raise Invalid({"input": [str(refused)]}) from None
    given: CommandInput = value
    return given


def without_secrets(type: CommandType, input: CommandInput) -> dict[str, Any] | None:
    """The input as it may be shown."""
    if input is None:
        return None
    return {name: MASK if name in type.secret else value for name, value in input.items()}


def as_text(type: CommandType, input: CommandInput) -> str:
    """The input as people read it: the command line of a custom command, the values of others."""
    if input is None:
        return ""
    return MASK if type.secret & input.keys() else ", ".join(map(str, input.values()))


def secrets_of(type: CommandType, input: CommandInput) -> list[str]:
    """The texts that nobody may see, also as a shell and as Python's messages have them, the longest first."""
    if input is None:
        return []
    found = {text for name in type.secret for text in _texts(input.get(name)) if text}
    forms = found | {shlex.quote(text) for text in found} | {repr(text)[1:-1] for text in found}
    return sorted(forms, key=len, reverse=True)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []
