"""Documents of organizations and users: reading them, and checking what needs no database."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml


class BootstrapInvalid(Exception):
    """A document that cannot be loaded; the text says where and why. Nothing was kept."""


def _text(limit: int | None = None) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "not a text; numbers and dates need quotes"
        if limit is not None and not 0 < len(value) <= limit:
            return f"a text of 1 to {limit} characters"
        return "there is a null character in it" if "\0" in value else None

    return check


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "neither true nor false"


def _names(value: Any) -> str | None:
    is_list = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
    return None if is_list else "not a list of names"


def _variables(value: Any) -> str | None:
    try:
        return None if isinstance(value, dict) and json.dumps(value) else "not a mapping of variables"
    except (TypeError, ValueError):
        return "holds what JSON cannot (dates need quotes)"


def _identifier(value: Any) -> str | None:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return f"{value!r} is not a UUID"
    return None


def _secret(value: Any) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[^\s./\0]{1,32}", value):
        return None
    return "at most 32 characters without spaces, dots and slashes"


def _token(value: Any) -> str | None:
    is_plain = isinstance(value, str) and value.isascii() and value.isalnum() and len(value) <= 128
    return None if is_plain else "letters and digits only"


def _email(value: Any) -> str | None:
    if value == "":
        return None
    return _text(254)(value) or (None if "@" in value else "not an e-mail address")


_Checks = Mapping[str, Callable[[Any], str | None]]

ORGANIZATION: _Checks = {
    "id": _identifier,
    "name": _text(200),
    "slug": _text(200),
    "is_active": _boolean,
    "registration_enabled": _boolean,
    "shared_secret": _secret,
    "context": _variables,
}
USER: _Checks = {
    "id": _identifier,
    "username": _text(150),
    "email": _email,
    "password": _text(),
    "is_superuser": _boolean,
    "token": _token,
    "groups": _names,
    "manager_of": _names,
}


def read_document(path: Path) -> dict[str, Any]:
    """The document in a YAML or JSON file. Raises BootstrapInvalid."""
    try:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BootstrapInvalid(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise BootstrapInvalid(f"{path}: not a mapping with the keys organizations and users")
    return document


def entries(document: Mapping[str, Any], section: str, known: _Checks) -> list[tuple[str, dict[str, Any]]]:
    """The names of a section and their fields, checked; empty ones say nothing. Raises BootstrapInvalid."""
    given = document.get(section) or {}
    if not isinstance(given, dict):
        raise BootstrapInvalid(f"{section}: not a mapping from names to fields")
    checked = []
    for name, fields in given.items():
        where = f"{section}.{name}"
        fields = fields or {}
        if not isinstance(fields, dict):
            raise BootstrapInvalid(f"{where}: not a mapping of fields")
        unknown = set(fields) - set(known)
        if unknown:
            raise BootstrapInvalid(f"{where}: unknown fields: {', '.join(sorted(map(str, unknown)))}")
        fields = {key: value for key, value in fields.items() if value is not None or key == "email"}
        for key, value in fields.items():
            wrong = known[key](value) if value is not None else None
            if wrong is not None:
                raise BootstrapInvalid(f"{where}.{key}: {wrong}")
        checked.append((str(name), fields))
    return checked
