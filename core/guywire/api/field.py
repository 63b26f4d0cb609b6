"""What a field of a body is: a validator that says of itself what it accepts, for OPTIONS, forms and documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from guywire.api.body import FormData
from guywire.errors import FieldErrors
from guywire.registry import Registry


@dataclass(frozen=True)
class Validation:
    """What the types of fields need to know while they validate (pydantic's context)."""

    is_form: bool
    exists: Callable[[Any, Iterable[Any]], set[Any]]
    """Which of the ids exist among the rows of a model that the user may refer to."""
    registry: Registry
    """What the plugins registered: choices may depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(BeforeValidator):
    """The validator of one field, and what it accepts in words that machines and forms understand.

    ``kind`` is one of string, text (of several lines), email, url, slug, password, boolean, integer, date, datetime,
    choice, object, reference, references, words (a list; in a form, with spaces between them), file. ``model`` is what
    a reference refers to, ``choices`` gives values and labels.
    """

    kind: str = "string"
    null: bool = False
    blank: bool = False
    max_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    choices: Callable[[Registry], Mapping[str, str]] | None = None
    model: Any = None
    label: str = ""
    help: str = ""


def context_of(info: ValidationInfo) -> Validation:
    """What a validator needs to know besides the value."""
    assert isinstance(info.context, Validation)
    return info.context


def fail(*messages: str) -> PydanticCustomError:
    """The error of one field, to be raised: it may have several messages."""
    return PydanticCustomError("guywire", "{text}", {"text": " ".join(messages), "messages": list(messages)})


def fail_below(errors: FieldErrors) -> PydanticCustomError:
    """The errors of what is nested in one field, to be raised."""
    return PydanticCustomError("guywire", "{text}", {"text": str(errors), "messages": errors})


def is_form(data: Any) -> bool:
    """Whether a body came as a form."""
    return isinstance(data, FormData)
