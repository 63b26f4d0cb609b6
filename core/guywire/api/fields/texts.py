"""Texts: plain ones, and those of a form, such as addresses and names for URLs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationInfo

from guywire.api.field import Field, context_of, fail
from guywire.api.fields.wording import BLANK, NULL

_EMAIL = re.compile(
    r"[^@\s\"<>()\[\],;:\\]+@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]"
)
_URL = re.compile(
    r"(https?|ftps?)://[^\s/?#.\x00-\x1f\x7f]+[^\s/?#\x00-\x1f\x7f]*([/?#][^\s\x00-\x1f\x7f]*)?", re.IGNORECASE
)
_NO_URL = "Enter a valid URL."
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")

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
    return text(max_length, blank=blank, null=null, rules=(_is_url,), kind="url", label=label, help=help)


def _is_url(value: str) -> list[str]:
    try:
        # Who has a look at the port knows whether all of it makes sense.
        urlsplit(value).port  # noqa: B018
    except ValueError:
        return [_NO_URL]
    return [] if _URL.fullmatch(value) else [_NO_URL]


def slug(max_length: int, *, help: str = "") -> Field:
    """A name for URLs."""
    rule = matching(_SLUG, 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.')
    return text(max_length, rules=(rule,), kind="slug", help=help)
