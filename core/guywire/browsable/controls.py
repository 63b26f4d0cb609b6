"""What forms consist of: one control for each field, in fieldsets as bodies are nested."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from guywire.api import description

_SHORT = re.compile(r"\b(ca|crl|dh|id|ip|mac|url|vpn)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Control:
    """One field of a form. ``kind`` says which element shows it: input, textarea, select, check, order or datalist."""

    name: str
    label: str
    kind: str
    type: str = "text"
    value: Any = ""
    help: str = ""
    required: bool = False
    clearable: bool = True
    options: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = True
    errors: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    filtering: bool = False

    @property
    def id(self) -> str:
        """The element's id in the page, where there may be a filter of the same name."""
        return f"{'filter' if self.filtering else 'field'}-{self.name.replace('.', '-')}"


@dataclass(frozen=True, slots=True)
class Fieldset:
    """The fields of a nested body (or of the body itself: ``name`` is empty then)."""

    name: str
    label: str
    controls: list[Any]
    optional: bool = False
    included: bool = True
    errors: list[str] = field(default_factory=list)

    @property
    def has_files(self) -> bool:
        """Whether the form has to be sent as multipart/form-data."""
        return any(control.has_files if isinstance(control, Fieldset) else control.type == "file" for control in self)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.controls)


def messages(errors: Any) -> list[str]:
    """The messages of one field's errors, which may be one or be nested."""
    if not errors:
        return []
    if isinstance(errors, dict):
        return [f"{key}: {message}" for key, each in errors.items() for message in messages(each)]
    return [str(each) for each in errors] if isinstance(errors, list) else [str(errors)]


def label_of(path: str) -> str:
    """What the field of a path is called."""
    name = path.rpartition(".")[2].replace("__gte", " from").replace("__lt", " before")
    label = description.label_of(name.replace("__", ": "))
    return _SHORT.sub(lambda word: word[0].upper(), label)
