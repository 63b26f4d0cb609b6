"""The tile server that the map's background comes from, if there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from guywire.settings import SettingInvalid

from guywire_geo.settings import NAME, GeoSettings

_URL = re.compile(r"(https?://(?:\{s\}\.)?[A-Za-z0-9.-]+(?::[0-9]{1,5})?|)(/[^\s;,'\"]*)")


@dataclass(frozen=True, slots=True)
class Tiles:
    """``url`` with ``{z}``, ``{x}`` and ``{y}`` ("": none), ``attribution`` in plain text, and ``origin``: who has to
    be trusted with images ("": the server itself).
    """

    url: str
    attribution: str
    origin: str

    @classmethod
    def of(cls, settings: GeoSettings) -> Tiles:
        """Those of the settings. Raises SettingInvalid."""
        url = settings.tile_url
        if not url:
            return cls("", settings.tile_attribution, "")
        match = _URL.fullmatch(url)
        if match is None or not all(part in url for part in ("{z}", "{x}", "{y}")):
            raise SettingInvalid(
                f"guywire.{NAME}.tile_url: {url!r} is not of the form https://host/{{z}}/{{x}}/{{y}}.png"
            )
        return cls(url, settings.tile_attribution, match[1].replace("{s}", "*"))

    @property
    def policy(self) -> dict[str, str]:
        """What a page with tiles has to allow."""
        return {"img-src": f"'self' data: {self.origin}".strip()}
