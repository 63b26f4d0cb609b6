"""Validators of fields, for pydantic: they accept what the reference accepts and refuse it in its words."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from guywire.api.body import FormData, parse_json
from guywire.errors import ParseError

BLANK = "This field may not be blank."
NULL = "This field may not be null."
NOT_JSON = "Value must be valid JSON."
NOT_JSON_OBJECT = "the supplied value is not a JSON object"
NOT_A_CONFIGURATION = "Unexpected configuration format."


@dataclass(frozen=True)
class Validation:
    """What the types of fields need to know while they validate (pydantic's context)."""

    is_form: bool
    exists: Callable[[Any, Iterable[uuid.UUID]], set[uuid.UUID]]
    """Which of the ids exist among the rows of a model that the user may refer to."""
    backends: Iterable[str] = ()


_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_EMAIL = re.compile(
    r"[^@\s\"<>()\[\],;:\\]+@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]"
)
_URL = re.compile(
    r"(https?|ftps?)://[^\s/?#.\x00-\x1f\x7f]+[^\s/?#\x00-\x1f\x7f]*([/?#][^\s\x00-\x1f\x7f]*)?", re.IGNORECASE
)
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")

_MAX_REFERENCES = 1000

Rule = Callable[[str], list[str]]
"""Returns what is wrong with a text, or an empty list."""


def _context(info: ValidationInfo) -> Validation:
    assert isinstance(info.context, Validation)
    return info.context


def fail(*messages: str) -> PydanticCustomError:
    """The error of one field, to be raised: it may have several messages."""
    return PydanticCustomError("guywire", "{text}", {"text": " ".join(messages), "messages": list(messages)})


def _text(value: Any, max_length: int | None, blank: bool, trim: bool, rules: tuple[Rule, ...]) -> str:
    if value is None:
        raise fail(NULL)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise fail("Not a valid string.")
    text = str(value).strip() if trim else str(value)
    if not text:
        if blank:
            return ""
        raise fail(BLANK)
    messages = [message for rule in rules for message in rule(text)]
    if max_length is not None and len(text) > max_length:
        messages.append(f"Ensure this field has no more than {max_length} characters.")
    if "\0" in text:
        messages.append("Null characters are not allowed.")
    if messages:
        raise fail(*messages)
    return text


def text(
    max_length: int | None = None,
    *,
    blank: bool = False,
    null: bool = False,
    trim: bool = True,
    rules: tuple[Rule, ...] = (),
) -> BeforeValidator:
    """A string; numbers are taken as their text. ``rules`` are further checks."""

    def validate(value: Any) -> str | None:
        return None if value is None and null else _text(value, max_length, blank, trim, rules)

    return BeforeValidator(validate)


def matching(pattern: re.Pattern[str], message: str) -> Rule:
    """A rule: the whole text must match."""
    return lambda value: [] if pattern.fullmatch(value) else [message]


def email(*, blank: bool = False) -> BeforeValidator:
    """An e-mail address."""
    return text(254, blank=blank, rules=(matching(_EMAIL, "Enter a valid email address."),))


def url(max_length: int = 200, *, blank: bool = False) -> BeforeValidator:
    """An absolute URL."""
    return text(max_length, blank=blank, rules=(matching(_URL, "Enter a valid URL."),))


def slug(max_length: int) -> BeforeValidator:
    """A name for URLs."""
    message = 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.'
    return text(max_length, rules=(matching(_SLUG, message),))


_TRUE = {"true", "t", "yes", "y", "on", "1"}
_FALSE = {"false", "f", "no", "n", "off", "0"}


def _boolean(value: Any) -> bool:
    if value is None:
        raise fail(NULL)
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, int, float)):
        lowered = str(value).strip().lower()
        if lowered in _TRUE or value == 1:
            return True
        if lowered in _FALSE or value == 0:
            return False
    raise fail("Must be a valid boolean.")


Boolean = Annotated[bool, BeforeValidator(_boolean)]
"""True or false, also as the words and numbers that forms send."""


def choice(options: Callable[[Validation], Iterable[str]]) -> BeforeValidator:
    """One of ``options(context)``: choices may depend on the loaded plugins."""

    def validate(value: Any, info: ValidationInfo) -> str:
        if value is None:
            raise fail(NULL)
        if not isinstance(value, str) or value not in options(_context(info)):
            raise fail(f'"{value}" is not a valid choice.')
        return value

    return BeforeValidator(validate)


def json_object(wrong: str = NOT_JSON_OBJECT, *, empty: bool = False) -> BeforeValidator:
    """A JSON object; in a form, its text. ``wrong`` is what to say of other JSON.

    With ``empty``, other empty values mean an empty object, as in the reference.
    """

    def validate(value: Any, info: ValidationInfo) -> Any:
        if _context(info).is_form:
            # Text and nothing else: no files, and no fields below this one.
            if not isinstance(value, str):
                raise fail(NOT_JSON)
            try:
                value = parse_json(value.encode())
            except ParseError:
                raise fail(NOT_JSON) from None
        if value is None:
            raise fail(NULL)
        if empty and not value:
            return {}
        if not isinstance(value, dict):
            raise fail(wrong)
        return value

    return BeforeValidator(validate)


def _primary_key(value: Any) -> uuid.UUID:
    if isinstance(value, (bool, list, dict, float)):
        raise fail(f"Incorrect type. Expected pk value, received {type(value).__name__}.")
    if isinstance(value, int):
        raise fail(f'Invalid pk "{value}" - object does not exist.')
    if not isinstance(value, str):
        raise fail("Incorrect type. Expected pk value, received a file.")
    if not _UUID.fullmatch(value):
        raise fail(f"“{value}” is not a valid UUID.")
    return uuid.UUID(value)


def reference(model: Any, *, null: bool = False) -> BeforeValidator:
    """The id of an object of ``model`` that the user may refer to."""

    def validate(value: Any, info: ValidationInfo) -> uuid.UUID | None:
        if value is None or value == "":
            if null:
                return None
            raise fail(NULL)
        key = _primary_key(value)
        if not _context(info).exists(model, [key]):
            raise fail(f'Invalid pk "{value}" - object does not exist.')
        return key

    return BeforeValidator(validate)


def references(model: Any) -> BeforeValidator:
    """An ordered list of ids of objects of ``model`` that the user may refer to."""

    def validate(value: Any, info: ValidationInfo) -> list[uuid.UUID]:
        if value is None:
            raise fail(NULL)
        if _context(info).is_form and isinstance(value, str):
            value = [value] if value else []
        if not isinstance(value, list):
            raise fail(f'Expected a list of items but got type "{type(value).__name__}".')
        if None in value:
            raise fail(NULL)
        if len(value) > _MAX_REFERENCES:
            raise fail(f"Ensure this field has no more than {_MAX_REFERENCES} elements.")
        keys = [_primary_key(each) for each in value]
        known = _context(info).exists(model, keys)
        for key, given in zip(keys, value, strict=True):
            if key not in known:
                raise fail(f'Invalid pk "{given}" - object does not exist.')
        return keys

    return BeforeValidator(validate)


def is_form(data: Any) -> bool:
    """Whether a body came as a form."""
    return isinstance(data, FormData)


def nothing() -> BeforeValidator:
    """A reference to objects of which there are none: only null is valid."""

    def validate(value: Any) -> None:
        if value is None or value == "":
            return
        raise fail(f'Invalid pk "{_primary_key(value)}" - object does not exist.')

    return BeforeValidator(validate)
