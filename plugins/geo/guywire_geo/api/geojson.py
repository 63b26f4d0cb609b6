"""Locations that have devices, as GeoJSON: pages of them, those within bounds, clusters, and what changed."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from guywire.api.base import Resource
from guywire.api.field import Field
from guywire.api.filters import conditions
from guywire.api.pages import page_of
from guywire.api.service import APIService, Operation
from pyramid.request import Request
from typing_extensions import override

from guywire_geo.api.flags import FLAGS, Flags
from guywire_geo.api.geojson_schema import ANSWER
from guywire_geo.api.map_filters import CHECKED, OF_LOCATIONS, OF_PLACES
from guywire_geo.models import PLACED, DeviceLocation, Location
from guywire_geo.services import changes, clusters
from guywire_geo.services.clusters import Cluster, Wanted
from guywire_geo.services.counting import unindexed
from guywire_geo.services.grid import WORLD, Bounds

PATH = "/api/v1/controller/location/geojson/"
PAGE = 1000
_NO_LIMIT = 10**9
"""What the reference says of the size of a page."""

_PROPERTIES = {
    "device_count": Location.device_count,
    "created": Location.created,
    "modified": Location.modified,
    "name": Location.name,
    "type": Location.type,
    "is_mobile": Location.is_mobile,
    "address": Location.address,
    "organization": Location.organization_id,
}
_READ = sa.select(Location.id, Location.geometry, *_PROPERTIES.values()).where(
    Location.id.in_(sa.bindparam("ids", expanding=True))
)
geojson = APIService(
    name="location_geojson",
    path=PATH,
    title="Locations on the map",
    description="The locations that have devices, as GeoJSON.",
)


PARAMETERS: Mapping[str, Field] = {**{name: each.field for name, each in OF_LOCATIONS.items()}, **FLAGS}


@geojson.get(operation=Operation(answer=ANSWER, permission="view_location", parameters=PARAMETERS, errors=(400,)))
def show_locations(request: Request) -> dict[str, Any]:
    """A page of the locations that have devices; within ``bbox``, clustered for a ``zoom``, or changed ``since``."""
    return PlacedLocations(request).answer()


class PlacedLocations(Resource):
    """Locations on the map: those that have devices."""

    model: ClassVar[Any] = Location
    kind: ClassVar[str] = "location"
    label: ClassVar[str] = "Location"

    def __init__(self, request: Request, flags: Flags | None = None) -> None:
        super().__init__(request)
        self.flags = flags or Flags.read(request.GET)
        context = self.validation(is_form=False)
        # Of the organizations that are looked up, and of those that are only checked.
        self.listed = [self.visible(Location.organization_id), *conditions(OF_LOCATIONS, request.GET, context)]
        self.wanted = Wanted(
            [self.visible(unindexed(Location.organization_id)), *conditions(CHECKED, request.GET, context)],
            [self.visible(DeviceLocation.organization_id), *conditions(OF_PLACES, request.GET, context)],
        )

    def answer(self) -> dict[str, Any]:
        """The body that the parameters ask for."""
        flags = self.flags
        if flags.since is None:
            return self._clustered() if flags.clustered else self.page()
        cursor = changes.now(self.session, self.visible)
        changed = None
        if isinstance(flags.since, changes.Cursor):
            changed = changes.between(self.session, flags.since, cursor, self.visible)
        if changed is None or (changed and flags.clustered):
            body = self._clustered() if flags.clustered else self.page()
            return {**body, "removed": [], "complete": True, "cursor": str(cursor)}
        return {**self._changed(changed), "complete": False, "cursor": str(cursor)}

    @override
    def query(self) -> Any:
        """SELECT of the locations that are asked for."""
        if self.flags.bounds is None:
            return sa.select(Location).where(PLACED, *self.listed)
        return sa.select(Location).where(PLACED, *self.wanted.of_location, _lies_within(self.flags.bounds))

    def page(self, size: int = PAGE, max_size: int = _NO_LIMIT) -> dict[str, Any]:
        """A page of features: ``size`` of them, or as many as the query says up to ``max_size``."""
        ids = self.query().with_only_columns(Location.id).order_by(*self.order())
        page = page_of(self.session, self.request, ids, default_size=size, max_size=max_size)
        body = page.wrap(self._features(page.ids))
        return _collection(body["count"], body["results"], body["next"], body["previous"])

    # The other kinds of answers

    def _clustered(self) -> dict[str, Any]:
        assert self.flags.zoom is not None
        found = clusters.find(self.session, self.wanted, self.flags.bounds or WORLD, self.flags.zoom)
        single = [each.point for each in found if each.count == 1]
        # What lies outside of the bounds is not among them any more.
        singles = sa.select(Location).where(PLACED, *self.wanted.of_location, Location.cell.in_(single))
        features = self._features(self._ids(singles) if single else ())
        return _collection(
            sum(each.count for each in found if each.count > 1) + len(features),
            features + [_of_cluster(each) for each in found if each.count > 1],
        )

    def _changed(self, ids: Collection[uuid.UUID]) -> dict[str, Any]:
        features = self._features(self._ids(self.query().where(Location.id.in_(ids))) if ids else ())
        count = self.session.scalar(self.query().with_only_columns(sa.func.count(Location.id)))
        gone = set(ids) - {feature["id"] for feature in features}
        return {**_collection(count, features), "removed": sorted(gone)}

    # What they are made of

    def _ids(self, query: Any) -> Sequence[uuid.UUID]:
        return self.session.scalars(query.with_only_columns(Location.id).order_by(*self.order())).all()

    def _features(self, ids: Sequence[uuid.UUID]) -> list[dict[str, Any]]:
        """The features of locations, in the order of the ids."""
        if not ids:
            return []
        found = {
            id: (geometry, values) for id, geometry, *values in self.session.connection().execute(_READ, {"ids": ids})
        }
        statuses = clusters.statuses_of(self.session, ids) if self.flags.device_status else {}
        features = []
        for id in ids:
            geometry, values = found[id]
            properties = dict(zip(_PROPERTIES, values, strict=True))
            if self.flags.device_status:
                properties["device_status"] = statuses.get(id, {})
            features.append({"id": id, "type": "Feature", "geometry": geometry, "properties": properties})
        return features


def _collection(count: Any, features: list[Any], next: Any = None, previous: Any = None) -> dict[str, Any]:
    return {"type": "FeatureCollection", "count": count, "next": next, "previous": previous, "features": features}


def _of_cluster(cluster: Cluster) -> dict[str, Any]:
    bounds = cluster.bounds
    return {
        "id": cluster.name,
        "type": "Feature",
        "bbox": [bounds.west, bounds.south, bounds.east, bounds.north],
        "geometry": {"type": "Point", "coordinates": [round(cluster.longitude, 6), round(cluster.latitude, 6)]},
        "properties": {
            "cluster": True,
            "point_count": cluster.count,
            "device_count": cluster.devices,
            "device_status": {name: count for name, count in cluster.statuses.items() if count},
        },
    }


def _lies_within(bounds: Bounds) -> Any:
    """SQL: the location's point is within bounds. In halves across the antimeridian, so that both use the index."""
    latitude = Location.latitude.between(bounds.south, bounds.north)
    if bounds.west <= bounds.east:
        return sa.and_(Location.longitude.between(bounds.west, bounds.east), latitude)
    east, west = Location.longitude.between(bounds.west, 180), Location.longitude.between(-180, bounds.east)
    return sa.and_(sa.or_(east, west), latitude)
