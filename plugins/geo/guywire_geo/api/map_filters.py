"""Filters of the map: of locations by their own columns, of the places of devices by their copies of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guywire.api import filters
from guywire.api.filters import Filter
from guywire.services.status import STATUSES

from guywire_geo.models import DeviceLocation, Location
from guywire_geo.services.clusters import NO_CONFIGURATION, has_status
from guywire_geo.services.counting import unindexed

_TYPES = {"outdoor": "Outdoor", "indoor": "Indoor"}
_STATUSES = {each: each for each in (*STATUSES, NO_CONFIGURATION)}


def _filters(organization_id: Any, location_id: Any, columns: Any) -> Mapping[str, Filter]:
    organizations = filters.organization(organization_id)
    return {
        **organizations,
        # What older documents call it.
        "organization_id": organizations["organization"],
        "is_mobile": filters.yes_no(lambda yes: columns.is_mobile == yes, "Only of (not of) mobile devices."),
        "type": filters.choice(lambda kind: columns.type == kind, lambda registry: _TYPES, "Only of this type."),
        "config__status": filters.choice(
            lambda status: has_status(location_id, status),
            lambda registry: _STATUSES,
            "Only where a device's configuration has this status.",
        ),
    }


OF_LOCATIONS = _filters(Location.organization_id, Location.id, Location)
"""For lists of locations, which may be looked up by their organization."""

CHECKED = _filters(unindexed(Location.organization_id), Location.id, Location)
"""For locations that are looked up by where they are."""

OF_PLACES = _filters(DeviceLocation.organization_id, DeviceLocation.location_id, DeviceLocation)
"""For the places of devices at such locations."""
