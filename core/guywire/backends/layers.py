"""NetJSON layers: templates and a device's own configuration, merged and with their variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Self

import orjson

from guywire.interfaces import ConfigurationInvalid

_VARIABLE = re.compile(r"\{\{\s*+(\w*+)\s*+\}\}")


class Shared(dict[str, Any]):
    """A JSON object that nobody changes in place, so that its deep copy may share what it holds.

    netjsonconfig copies deeply at every step of a merge, and nearly always needs only a new outermost object.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self)


# netjsonconfig's messages name the type of what cannot be merged.
Shared.__name__ = "dict"


class Section(list[Any]):
    """A list of plain JSON that is copied as such: ``deepcopy`` would look for cycles and classes."""

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [filled_in(item, {}) for item in self]


def encoded(tree: Any) -> bytes:
    """The tree as JSON text, which is also its identity. Raises ConfigurationInvalid for what is not JSON.

    That goes for text that is not Unicode (lone surrogates), integers beyond 64 bits and nesting deeper than 254
    levels too. NaN and the infinities, which JSON does not know, become null.
    """
    try:
        return orjson.dumps(tree)
    except orjson.JSONEncodeError as error:
        raise ConfigurationInvalid(f"The configuration is not JSON: {error}.") from error


def parsed(text: bytes) -> Any:
    """The layer of this text, made of ``Shared`` objects."""
    return json.loads(text, object_hook=Shared)


def filled_in(tree: Any, context: Mapping[str, Any]) -> Any:
    """A copy of the tree that shares nothing with it, each ``{{ variable }}`` of the context replaced by its value."""
    if isinstance(tree, str):
        return _substituted(tree, context) if "{{" in tree else tree
    if isinstance(tree, dict):
        return {key: filled_in(value, context) for key, value in tree.items()}
    if isinstance(tree, list):
        return [filled_in(value, context) for value in tree]
    return tree


def _substituted(text: str, context: Mapping[str, Any]) -> str:
    """The text with its variables replaced, one name after the other: a value may hold a variable of a later turn.

    netjsonconfig does the same with values as replacement templates, in which a backslash is special: the Wi-Fi
    password ``pa\\nss`` would get a line break. And its pattern needs hours for a megabyte of spaces.
    """
    names = _VARIABLE.findall(text)
    for name in names:
        if name in context:
            value = str(context[name])
            place = _VARIABLE if len(names) == 1 else re.compile(rf"\{{\{{\s*+{name}\s*+\}}\}}")
            text = place.sub(lambda _, value=value: value, text)  # type: ignore[misc]
    return text
