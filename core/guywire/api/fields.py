"""The kinds of fields that bodies have: they accept what the reference accepts and refuse it in its words."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import ValidationInfo

from guywire.api.body import parse_json
from guywire.api.field import Field, context_of, fail
from guywire.errors import ParseError
from guywire.registry import Registry

BLANK = "This field may not be blank."
NULL = "This field may not be null."
NOT_JSON = "Value must be valid JSON."
NOT_JSON_OBJECT = "the supplied value is not a JSON object"
NOT_A_CONFIGURATION = "Unexpected configuration format."

_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_EMAIL = re.compile(
    r"[^@\s\"<>()\[\],;:\\]+@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]"
)
_URL = re.compile(
    r"(https?|ftps?)://[^\s/?#.\x00-\x1f\x7f]+[^\s/?#\x00-\x1f\x7f]*([/?#][^\s\x00-\x1f\x7f]*)?", re.IGNORECASE
)
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")

_WRONG_DATE = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
_WRONG_MOMENT = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)

_MAX_REFERENCES = 1000

Rule = Callable[[str], list[str]]
"""Returns what is wrong with a text, or an empty list."""


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
    kind: str = "",
    label: str = "",
    help: str = "",
) -> Field:
    """A string, of several lines unless its length is limited; numbers are taken as their text.

    ``rules`` are further checks.
    """

    def validate(value: Any, info: ValidationInfo) -> str | None:
        # Forms have no other way to say null.
        if value == "" and null and not blank and context_of(info).is_form:
            return None
        return None if value is None and null else _text(value, max_length, blank, trim, rules)

    kind = kind or ("text" if max_length is None else "string")
    return Field(validate, kind=kind, null=null, blank=blank, max_length=max_length, label=label, help=help)


def matching(pattern: re.Pattern[str], message: str) -> Rule:
    """A rule: the whole text must match."""
    return lambda value: [] if pattern.fullmatch(value) else [message]


def email(*, blank: bool = False, null: bool = False, label: str = "", help: str = "") -> Field:
    """An e-mail address."""
    rule = matching(_EMAIL, "Enter a valid email address.")
    return text(254, blank=blank, null=null, rules=(rule,), kind="email", label=label, help=help)


def url(max_length: int = 200, *, blank: bool = False, null: bool = False, label: str = "", help: str = "") -> Field:
    """An absolute URL."""
    rule = matching(_URL, "Enter a valid URL.")
    return text(max_length, blank=blank, null=null, rules=(rule,), kind="url", label=label, help=help)


def slug(max_length: int, *, help: str = "") -> Field:
    """A name for URLs."""
    rule = matching(_SLUG, 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.')
    return text(max_length, rules=(rule,), kind="slug", help=help)


def integer(*, minimum: int | None = None, maximum: int | None = None, null: bool = False, help: str = "") -> Field:
    """A whole number, also as text."""

    def validate(value: Any) -> int | None:
        if value is None or value == "":
            if null:
                return None
            raise fail(NULL if value is None else "A valid integer is required.")
        if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise fail("A valid integer is required.")
        if minimum is not None and value < minimum:
            raise fail(f"Ensure this value is greater than or equal to {minimum}.")
        if maximum is not None and value > maximum:
            raise fail(f"Ensure this value is less than or equal to {maximum}.")
        return value

    return Field(validate, kind="integer", null=null, minimum=minimum, maximum=maximum, help=help)


def day(*, null: bool = False, label: str = "", help: str = "") -> Field:
    """A date."""

    def validate(value: Any) -> date | None:
        if value is None or value == "":
            if null:
                return None
            raise fail(NULL if value is None else _WRONG_DATE)
        try:
            return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value).date()
        except (ValueError, TypeError, AttributeError):
            raise fail(_WRONG_DATE) from None

    return Field(validate, kind="date", null=null, label=label, help=help)


def moment(*, null: bool = False, label: str = "", help: str = "") -> Field:
    """A moment; without a time zone it is UTC."""

    def validate(value: Any) -> datetime | None:
        if value is None or value == "":
            if null:
                return None
            raise fail(NULL if value is None else _WRONG_MOMENT)
        parsed = parse_moment(value)
        if parsed is None:
            raise fail(_WRONG_MOMENT)
        return parsed

    return Field(validate, kind="datetime", null=null, label=label, help=help)


def parse_moment(text: Any) -> datetime | None:
    """The moment that an ISO 8601 text names (UTC if it names no time zone), or None."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text.strip())
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


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


def boolean(*, label: str = "", help: str = "") -> Field:
    """True or false, also as the words and numbers that forms send."""
    return Field(_boolean, kind="boolean", label=label, help=help)


Boolean = Annotated[bool, boolean()]
"""``boolean`` without any words about it."""


def choice(choices: Callable[[Registry], Mapping[str, str]], *, label: str = "", help: str = "") -> Field:
    """One of the keys of ``choices(registry)``, which gives each its label: they may depend on the loaded plugins."""

    def validate(value: Any, info: ValidationInfo) -> str:
        if value is None:
            raise fail(NULL)
        if not isinstance(value, str) or value not in choices(context_of(info).registry):
            raise fail(f'"{value}" is not a valid choice.')
        return value

    return Field(validate, kind="choice", choices=choices, label=label, help=help)


def json_object(wrong: str | None = NOT_JSON_OBJECT, *, empty: bool = False, label: str = "", help: str = "") -> Field:
    """A JSON object; in a form, its text. ``wrong`` is what to say of other JSON (None: somebody else says it).

    With ``empty``, other empty values mean an empty object, as in the reference.
    """

    def validate(value: Any, info: ValidationInfo) -> Any:
        if context_of(info).is_form:
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
        if wrong is not None and not isinstance(value, dict):
            raise fail(wrong)
        return value

    return Field(validate, kind="object", label=label, help=help)


def primary_key(model: Any, value: Any) -> Any:
    """The id that ``value`` means: a UUID, or an integer for the models that have those."""
    return _integer_key(value) if model.__table__.c.id.type.python_type is int else _uuid_key(value)


def _integer_key(value: Any) -> int:
    if isinstance(value, (bool, list, dict, float)) or not _INTEGER.fullmatch(str(value)):
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
    if not _UUID.fullmatch(value):
        raise fail(f"“{value}” is not a valid UUID.")
    return uuid.UUID(value)


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
