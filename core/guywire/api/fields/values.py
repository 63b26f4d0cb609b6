"""Numbers, dates, moments, booleans, choices and JSON objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import ValidationInfo

from guywire.api.body import parse_json
from guywire.api.field import Field, context_of, fail
from guywire.api.fields.wording import NOT_JSON, NOT_JSON_OBJECT, NULL
from guywire.errors import ParseError
from guywire.registry import Registry

INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
"""What a whole number looks like as text."""
_WRONG_DATE = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
_WRONG_MOMENT = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)


def integer(*, minimum: int | None = None, maximum: int | None = None, null: bool = False, help: str = "") -> Field:
    """A whole number, also as text."""

    def validate(value: Any) -> int | None:
        if value is None or value == "":
            if null:
                return None
            raise fail(NULL if value is None else "A valid integer is required.")
        if isinstance(value, str) and INTEGER.fullmatch(value.strip()):
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
