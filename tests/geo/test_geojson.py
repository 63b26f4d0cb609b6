"""The fleet as GeoJSON: pages, bounds, clusters, and what changed since somebody looked last."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from guywire.db import writing
from guywire.models import ConfigState, Device, Organization
from guywire.runtime import Runtime
from guywire.services.status import raise_inputs_version
from guywire.testing import Client
from guywire_geo.models import DeviceLocation, Location
from guywire_geo.services import points

GEOJSON = "/api/v1/controller/location/geojson/"
DEVICES = "/api/v1/controller/device/"
ROME, MILAN, SYDNEY, FIJI, SAMOA = (12.5, 41.9), (9.2, 45.5), (151.2, -33.9), (178.4, -18.1), (-172.1, -13.8)

_numbers = itertools.count(1)


class Fleet:
    """Makes devices and puts them somewhere, and asks for the map as an operator does."""

    def __init__(self, client: Client, runtime: Runtime, organization: str) -> None:
        self.client, self.runtime, self.organization = client, runtime, organization

    def device(self, **fields: Any) -> dict[str, Any]:
        number = next(_numbers)
        body = {
            "name": f"device-{number}",
            "mac_address": f"02:00:00:00:{number // 256:02x}:{number % 256:02x}",
            "organization": self.organization,
            "config": {
                "backend": "netjsonconfig.OpenWrt",
                "config": {"general": {"timezone": "UTC"}},
                "templates": [],
                "context": {},
            },
        }
        return self.client.post(DEVICES, {**body, **fields})

    def place(self, name: str, at: tuple[float, float] | None, devices: int = 1, **fields: Any) -> str:
        """A location with so many new devices. Returns its id."""
        made = [self.device()["id"] for _ in range(devices)]
        with writing(self.runtime.session_factory) as session:
            now = self.runtime.clock()
            geometry = {"type": "Point", "coordinates": list(at)} if at else None
            longitude, latitude = at or (None, None)
            values = {"type": "outdoor", "organization_id": UUID(self.organization), "created": now, "modified": now}
            position = {"geometry": geometry, "longitude": longitude, "latitude": latitude}
            location = Location(name=name, **{**values, **position, **fields})
            session.add(location)
            session.flush()
            for device in made:
                place = {"device_id": UUID(device), "location_id": location.id}
                session.add(DeviceLocation(**place, created=now, modified=now))
            return str(location.id)

    def move(self, location: str, to: tuple[float, float]) -> None:
        with writing(self.runtime.session_factory) as session:
            row = session.get_one(Location, UUID(location))
            row.geometry = {"type": "Point", "coordinates": list(to)}
            row.longitude, row.latitude = to

    def devices_at(self, location: str) -> list[UUID]:
        with writing(self.runtime.session_factory) as session:
            return list(
                session.scalars(sa.select(DeviceLocation.device_id).where(DeviceLocation.location_id == UUID(location)))
            )

    def ask(self, query: str = "", client: Client | None = None) -> dict[str, Any]:
        return (client or self.client).get(f"{GEOJSON}?{query}")

    def names(self, query: str = "", client: Client | None = None) -> set[str]:
        return {each["properties"]["name"] for each in self.ask(query, client)["features"]}


@pytest.fixture
def fleet(operator: Client, runtime: Runtime, organization: str) -> Fleet:
    """The operator's fleet."""
    return Fleet(operator, runtime, organization)


def test_only_locations_with_devices_are_listed_newest_first(fleet: Fleet, clock: Any) -> None:
    fleet.place("empty", ROME, devices=0)
    rome = fleet.place("Rome", ROME, devices=2, address="Via Appia 1")
    clock.advance(1)
    fleet.place("Milan", MILAN, is_mobile=True)
    body = fleet.ask()
    assert list(body) == ["type", "count", "next", "previous", "features"]
    assert (body["type"], body["count"], body["next"]) == ("FeatureCollection", 2, None)
    assert [each["properties"]["name"] for each in body["features"]] == ["Milan", "Rome"]
    feature = body["features"][1]
    assert list(feature) == ["id", "type", "geometry", "properties"]
    assert (feature["id"], feature["geometry"]["coordinates"]) == (rome, list(ROME))
    keys = ["device_count", "created", "modified", "name", "type", "is_mobile", "address", "organization"]
    assert list(feature["properties"]) == keys
    assert feature["properties"]["device_count"] == 2
    assert fleet.names("is_mobile=true") == {"Milan"} == fleet.names("page_size=1")
    assert fleet.names("page_size=1&page=2") == {"Rome"}
    assert fleet.names(f"organization_id={fleet.organization}&type=outdoor") == {"Milan", "Rome"}


def test_bounds_may_cross_the_antimeridian_and_bad_ones_are_named(fleet: Fleet) -> None:
    for name, at in {"Rome": ROME, "Fiji": FIJI, "Samoa": SAMOA, "Sydney": SYDNEY}.items():
        fleet.place(name, at)
    fleet.place("nowhere yet", None, is_mobile=True)
    assert fleet.names("bbox=5,40,15,50") == {"Rome"}
    assert fleet.names("bbox=170,-20,-170,-10") == {"Fiji", "Samoa"}
    assert fleet.names("bbox=-180,-90,180,90") == {"Rome", "Fiji", "Samoa", "Sydney"}
    assert {each["id"] for each in fleet.ask("bbox=170,-20,-170,-10&zoom=10")["features"]} == {
        each["id"] for each in fleet.ask("bbox=170,-20,-170,-10")["features"]
    }
    for query, field in (
        ("bbox=1,2,3", "bbox"),
        ("bbox=nan,0,1,1", "bbox"),
        ("bbox=0,10,1,5", "bbox"),
        ("bbox=0,0,999,1", "bbox"),
        ("zoom=-1", "zoom"),
        ("zoom=99", "zoom"),
        ("since=yesterday", "since"),
        ("type=hovering", "type"),
        ("config__status=fine", "config__status"),
        ("organization_id=zz", "organization_id"),
    ):
        assert list(fleet.client.get(f"{GEOJSON}?{query}", status=400)) == [field]


def test_what_lies_close_together_is_one_cluster_until_one_zooms_in(fleet: Fleet, router: Any) -> None:
    near = (ROME[0] + 0.01, ROME[1] + 0.01)
    fleet.place("Rome", ROME, devices=2)
    fleet.place("Lido", near)
    fleet.place("Sydney", SYDNEY)
    device = fleet.client.get(f"{DEVICES}{fleet.devices_at(fleet.place('Ostia', near))[0]}/")
    agent = router(device)
    agent.poll()
    agent.download()
    agent.report("applied")
    body = fleet.ask("zoom=3")
    assert body["count"] == 4
    [cluster] = [each for each in body["features"] if each["properties"].get("cluster")]
    assert cluster["properties"]["point_count"] == 3
    assert cluster["properties"]["device_count"] == 4
    assert cluster["properties"]["device_status"] == {"modified": 3, "applied": 1}
    assert cluster["bbox"] == [*ROME, *near]
    assert [each["properties"]["name"] for each in body["features"] if "name" in each["properties"]] == ["Sydney"]
    # What waits to be rendered is modified, whatever it was.
    with writing(fleet.runtime.session_factory) as session:
        raise_inputs_version(session, sa.select(ConfigState.config_id))
    [cluster] = [each for each in fleet.ask("zoom=3")["features"] if "bbox" in each]
    assert cluster["properties"]["device_status"] == {"modified": 4}
    closer = [each["properties"] for each in fleet.ask("zoom=16&bbox=12,41,13,43")["features"]]
    assert [(each.get("name"), each.get("point_count")) for each in closer] == [("Rome", None), (None, 2)]
    single = fleet.ask("zoom=19&device_status=true&bbox=12,41,13,43")["features"]
    assert {each["properties"]["name"]: each["properties"]["device_status"] for each in single} == {
        "Rome": {"modified": 2},
        "Lido": {"modified": 1},
        "Ostia": {"modified": 1},
    }


def test_clusters_hold_what_the_filters_let_through(fleet: Fleet, router: Any) -> None:
    places = {name: fleet.place(name, ROME, devices=2) for name in ("a", "b", "c")}
    fleet.place("d", ROME, is_mobile=True)
    agent = router(fleet.client.get(f"{DEVICES}{fleet.devices_at(places['a'])[0]}/"))
    agent.poll()
    agent.download()
    agent.report("error")

    def counted(query: str) -> list[tuple[int, int]]:
        found = (each["properties"] for each in fleet.ask(f"zoom=3&{query}")["features"])
        return [(each.get("point_count", 1), each["device_count"]) for each in found]

    everything = f"organization={fleet.organization}&type=outdoor"
    assert counted("") == counted(everything) == [(4, 7)]
    assert counted("is_mobile=false") == [(3, 6)]
    assert counted("is_mobile=true") == [(1, 1)]
    assert counted("config__status=error") == [(1, 2)]
    assert counted("config__status=modified&is_mobile=false") == [(3, 6)]
    with writing(fleet.runtime.session_factory) as session:
        session.get_one(Location, UUID(places["b"])).type = "indoor"
    assert counted(everything) == [(3, 5)]
    assert counted("type=indoor") == [(1, 2)]


def test_a_cursor_tells_of_what_moved_changed_its_status_or_went(fleet: Fleet, router: Any) -> None:
    rome, milan, sydney = (fleet.place(n, at) for n, at in (("Rome", ROME), ("Milan", MILAN), ("Sydney", SYDNEY)))
    body = fleet.ask("since=&device_status=true")
    assert (body["complete"], len(body["features"]), body["removed"]) == (True, 3, [])

    def changed(query: str = "device_status=true") -> tuple[dict[str, Any], set[str]]:
        nonlocal body
        body = fleet.ask(f"since={body['cursor']}&{query}")
        assert body["complete"] is False
        return {each["id"]: each for each in body["features"]}, set(body["removed"])

    assert changed() == ({}, set())
    fleet.move(rome, MILAN)
    features, removed = changed()
    assert features[rome]["geometry"]["coordinates"] == list(MILAN)
    assert not removed
    agent = router(fleet.client.get(f"{DEVICES}{fleet.devices_at(milan)[0]}/"))
    agent.poll()
    agent.download()
    agent.report("error")
    features, removed = changed()
    assert (features[milan]["properties"]["device_status"], removed) == ({"error": 1}, set())
    fleet.client.delete(f"{DEVICES}{fleet.devices_at(sydney)[0]}/?force=true")
    features, removed = changed()
    assert (sydney in features, removed) == (False, {sydney})
    assert body["count"] == 2
    fleet.move(rome, SYDNEY)
    features, removed = changed("bbox=5,40,15,50")
    assert rome in removed, "it left the part of the world that somebody looks at"
    # While statuses are not certain, all is told, and once more afterwards.
    with writing(fleet.runtime.session_factory) as session:
        raise_inputs_version(session, sa.select(ConfigState.config_id))
    stale = fleet.ask(f"since={body['cursor']}&device_status=true")
    assert stale["complete"]
    assert stale["cursor"].endswith("s")
    assert fleet.ask(f"since={body['cursor']}&zoom=2")["complete"]


def test_clusters_are_sent_again_only_when_something_changed(fleet: Fleet) -> None:
    rome = fleet.place("Rome", ROME, devices=2)
    first = fleet.ask("zoom=3&since=")
    same = fleet.ask(f"zoom=3&since={first['cursor']}")
    assert (same["complete"], same["features"], same["count"]) == (False, [], 1)
    fleet.move(rome, SYDNEY)
    again = fleet.ask(f"zoom=3&since={first['cursor']}")
    assert again["complete"]
    assert again["features"][0]["geometry"]["coordinates"] == list(SYDNEY)


def test_nobody_sees_or_counts_what_belongs_to_others(
    fleet: Fleet, admin: Client, runtime: Runtime, other_organization: str
) -> None:
    fleet.place("Rome", ROME)
    cursor = fleet.ask("since=")["cursor"]
    theirs = Fleet(admin, runtime, other_organization)
    hidden = theirs.place("Secret", ROME)
    theirs.move(hidden, MILAN)
    body = fleet.ask(f"since={cursor}")
    assert (body["features"], body["removed"], body["count"]) == ([], [], 1)
    assert fleet.names() == fleet.names("bbox=0,0,90,90") == fleet.names("zoom=3") == {"Rome"}
    fleet.client.get(f"{GEOJSON}?organization={other_organization}", status=400)
    assert theirs.names("organization_slug=org2") == {"Secret"}
    assert theirs.ask("zoom=1")["count"] == 2


def test_what_went_past_everything_is_put_right(fleet: Fleet, worker: Any) -> None:
    fleet.place("Rome", ROME)
    cursor = fleet.ask("since=")["cursor"]
    with writing(fleet.runtime.session_factory) as session:
        session.execute(sa.update(Location).values(device_count=0, cell=None))
        session.execute(sa.update(DeviceLocation).values(status="applied"))
    assert fleet.ask()["count"] == 0
    with writing(fleet.runtime.session_factory) as session:
        assert points.repair(session) == 3
        assert points.repair(session) == 0
    assert fleet.ask("zoom=2")["features"][0]["properties"]["name"] == "Rome"
    assert fleet.names("config__status=modified") == {"Rome"}
    assert fleet.names("config__status=applied") == set()
    assert fleet.ask(f"since={cursor}")["complete"]


def test_devices_of_a_deleted_organization_leave_nothing_behind(fleet: Fleet, admin: Client, runtime: Runtime) -> None:
    fleet.place("Rome", ROME)
    everybody = Fleet(admin, runtime, fleet.organization)
    cursor = everybody.ask("since=")["cursor"]
    admin.delete(f"/api/v1/users/organization/{fleet.organization}/")
    body = everybody.ask(f"since={cursor}")
    assert (body["complete"], body["features"], body["count"]) == (True, [], 0)
    with writing(runtime.session_factory) as session:
        assert session.scalar(sa.select(sa.func.count(Device.id))) == 0
        assert session.scalar(sa.select(sa.func.count(Organization.id))) == 0
