"""The map of the fleet: ``/map/``. With scripts a map, without them a list of the same."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from guywire.api.answers import Response
from guywire.browsable.login import LOGIN
from guywire.browsable.options import options_of
from guywire.browsable.page import render, visitor
from guywire.models import Organization
from guywire.services.status import STATUSES
from pyramid.request import Request

from guywire_geo.api.flags import Flags
from guywire_geo.api.geojson import PATH as GEOJSON
from guywire_geo.api.geojson import PlacedLocations
from guywire_geo.api.map_filters import OF_LOCATIONS
from guywire_geo.services.clusters import NO_CONFIGURATION
from guywire_geo.services.locations import TYPES

PATH = "/map/"
LABELS = {status: status for status in STATUSES} | {NO_CONFIGURATION: "without configuration"}
"""What the statuses of devices are called."""

_ROWS = 50


def show_map(request: Request) -> Response:
    """The page. Everything on it that changes comes from the GeoJSON list."""
    if visitor(request) is None:
        return to_login(request)
    placed = PlacedLocations(request, Flags(None, None, None, device_status=True))
    organizations = options_of(
        request, placed.session, placed.identity, Organization, filter(None, [request.GET.get("organization")])
    )
    chosen = {name: request.GET.get(name, "") for name in OF_LOCATIONS}
    return render(
        request,
        "guywire_geo:map.jinja2",
        policy=request.registry.map_tiles.policy,
        files=request.registry.map_static,
        tiles=request.registry.map_tiles,
        geojson=GEOJSON,
        locations=placed.page(_ROWS, placed.runtime.settings.max_page_size),
        organizations=organizations.pairs,
        types=TYPES,
        labels=LABELS,
        chosen=chosen,
    )


def to_login(request: Request) -> Any:
    """Where those go who are nobody yet."""
    return Response(status=303, location=f"{LOGIN}?next={quote(request.path_qs, safe='/')}")
