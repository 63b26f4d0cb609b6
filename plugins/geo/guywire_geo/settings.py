"""What the ini says of geography: ``guywire.geo.…``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from guywire.settings import SettingInvalid, Settings

NAME = "geo"


@dataclass(frozen=True, slots=True)
class GeoSettings:
    """The settings of this plugin. The ini key of ``name`` is ``guywire.geo.name``."""

    max_image_size: int = 5 * 1024 * 1024
    """Largest image of a floor plan in bytes. (``guywire.max_body_size`` bounds the whole request.)"""
    max_image_pixels: int = 16_000_000
    """Largest image of a floor plan in pixels: width times height. A pixel takes four bytes of memory for a moment."""
    tile_url: str = ""
    """Where the map's background comes from, with ``{z}``, ``{x}`` and ``{y}``. "": outlines of the countries."""
    tile_attribution: str = ""
    """Whom the map's background is owed to, as plain text."""

    @classmethod
    def of(cls, settings: Settings) -> GeoSettings:
        """Read them. Raises SettingInvalid and names the key."""
        return cls(**_read(cls, settings.of_plugins.get(NAME, {})))


def _read(cls: Any, values: Mapping[str, str]) -> dict[str, Any]:
    readers: dict[str, Any] = {each.name: _READERS[each.type] for each in fields(cls)}
    given: dict[str, Any] = {}
    for name, text in values.items():
        key = f"guywire.{NAME}.{name}"
        if name not in readers:
            guess = get_close_matches(name, readers, n=1)
            hint = f"; did you mean guywire.{NAME}.{guess[0]}?" if guess else ""
            raise SettingInvalid(f"{key}: no such setting{hint}")
        given[name] = readers[name](key, text)
    return given


def _positive(key: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise SettingInvalid(f"{key}: {text!r} is not a whole number above zero")
    return int(text)


# The annotations are strings here (``from __future__ import annotations``), which makes them usable as keys.
_READERS: dict[Any, Any] = {"int": _positive, "str": lambda key, text: text}
