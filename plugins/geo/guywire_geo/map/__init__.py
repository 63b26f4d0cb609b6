"""The map: pages that show where the fleet is and how it is doing, and floor plans with the devices on them."""

from __future__ import annotations

from guywire.api.base import UUID_PATTERN
from guywire.browsable.page import static_version
from pyramid.config import Configurator

from guywire_geo.map import floors, world
from guywire_geo.map.tiles import Tiles
from guywire_geo.settings import GeoSettings

STATIC = f"static/geo-{static_version('guywire_geo')}"
_NEVER_CHANGES = 365 * 24 * 3600


def includeme(config: Configurator) -> None:
    """Serve the pages and the files that they need. Nothing is loaded from elsewhere but tiles, if somebody says so."""
    config.registry.map_tiles = Tiles.of(GeoSettings.of(config.registry.runtime.settings))
    config.registry.map_static = f"/{STATIC}"
    config.add_static_view(STATIC, "guywire_geo:static", cache_max_age=_NEVER_CHANGES)
    for name, path, view in (
        ("map", world.PATH, world.show_map),
        ("map_location", f"{floors.PATH}{{id:{UUID_PATTERN}}}/", floors.show_location),
    ):
        config.add_route(name, path)
        config.add_view(view, route_name=name, request_method=("GET", "HEAD"))
    config.add_page_link(world.PATH, "Map", permission="view_location")
    config.add_page_link(f"{floors.PATH}{{id}}/", "Devices on the plan", permission="view_location", kind="location")
