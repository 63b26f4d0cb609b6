"""What the ini says of geography: ``guywire.geo.…``."""

from __future__ import annotations

from dataclasses import dataclass

from guywire.settings import SettingInvalid, Settings, of_plugin

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

    def __post_init__(self) -> None:
        """Raises SettingInvalid for limits that nothing keeps."""
        for name, limit in (("max_image_size", self.max_image_size), ("max_image_pixels", self.max_image_pixels)):
            if limit < 1:
                raise SettingInvalid(f"guywire.{NAME}.{name}: {limit} is not a whole number above zero")

    @classmethod
    def of(cls, settings: Settings) -> GeoSettings:
        """Read them. Raises SettingInvalid and names the key."""
        return of_plugin(settings, NAME, cls)
