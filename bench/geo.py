"""The map: ``python bench/geo.py [--quick]``.

100,000 locations with a device each, all over the world and in a hundred cities: pages, bounds, clusters, cursors, and
a look at what changed. Answers per second of one client, processor time of the web process per answer, SQL statements.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from fleet import Fleet, make_fleet
from guywire.db import reading, writing
from guywire.models import ConfigState, Device, Organization
from guywire_geo.api.geojson import PATH
from guywire_geo.models import DeviceLocation, Location
from guywire_geo.services import points
from guywire_geo.services.grid import cell_of
from harness import DATABASES, Instance, arguments, controller, instance, milliseconds, print_table
from rest import Story, measure, statements

CHUNK = 10_000
WORLD = "-180,-85,180,85"


def place_devices(served: Instance) -> str:
    """Give each device a location: half of them anywhere, half in a hundred cities. Returns the organization's id."""
    chance, now = random.Random(1), served.runtime.clock()
    cities = [(chance.uniform(-170, 170), chance.uniform(-50, 65)) for _ in range(100)]
    with writing(served.runtime.session_factory) as session:
        organization = session.scalars(sa.select(Organization.id)).one()
        devices = session.scalars(sa.select(Device.id)).all()
        for start in range(0, len(devices), CHUNK):
            locations, places = [], []
            for number, device in enumerate(devices[start : start + CHUNK], start):
                x, y = _anywhere(chance) if number % 2 else _in_a_city(chance, cities)
                location = {"id": uuid.uuid4(), "organization_id": organization, "name": f"place-{number}"}
                position = {"longitude": x, "latitude": y, "cell": cell_of(x, y), "device_count": 1}
                geometry = {"type": "Point", "coordinates": [x, y]}
                kind = {"type": "outdoor", "address": "Some street 1", "created": now, "modified": now}
                locations.append(location | position | kind | {"geometry": geometry})
                place = {"device_id": device, "location_id": location["id"], "created": now, "modified": now}
                places.append(place)
            session.execute(sa.insert(Location), locations)
            session.execute(sa.insert(DeviceLocation), places)
        for status, first in (("applied", "8"), ("error", "c")):
            some = sa.cast(ConfigState.config_id, sa.String) < first if status == "applied" else _from(first)
            values = {"status": status, "rendered_version": ConfigState.inputs_version}
            session.execute(sa.update(ConfigState).where(some).values(values))
        session.execute(sa.update(ConfigState).values(rendered_version=ConfigState.inputs_version))
        points.repair(session)
    if served.kind == "postgresql":
        with served.runtime.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    return str(organization)


def _from(first: str) -> Any:
    return sa.cast(ConfigState.config_id, sa.String) >= first


def _anywhere(chance: random.Random) -> tuple[float, float]:
    return chance.uniform(-180, 180), chance.uniform(-60, 75)


def _in_a_city(chance: random.Random, cities: list[tuple[float, float]]) -> tuple[float, float]:
    x, y = chance.choice(cities)
    return x + chance.gauss(0, 0.05), y + chance.gauss(0, 0.04)


def stories(served: Instance, organization: str) -> list[Story]:
    """What is measured."""
    with reading(served.runtime.session_factory) as session:
        x, y = session.execute(sa.select(Location.longitude, Location.latitude).limit(1)).one()
    city = f"{x - 0.2:.3f},{y - 0.15:.3f},{x + 0.2:.3f},{y + 0.15:.3f}"
    queries = {
        "page of 1,000": "",
        "last page": "page=last",
        "bounds of a country": "bbox=5,40,12,50",
        "the same with statuses": "bbox=5,40,12,50&device_status=true",
        "half of the world, 1,000": "bbox=-90,-45,90,45",
        "the world in clusters": f"zoom=2&bbox={WORLD}&device_status=true",
        "closer": f"zoom=3&bbox={WORLD}&device_status=true",
        "an organization's": f"zoom=2&bbox={WORLD}&device_status=true&organization={organization}",
        "only outdoors": f"zoom=2&bbox={WORLD}&device_status=true&type=outdoor",
        "an organization's, outdoors": f"zoom=2&bbox={WORLD}&organization={organization}&type=outdoor",
        "only with an error": f"zoom=2&bbox={WORLD}&device_status=true&config__status=error",
        "half of the world, outdoors": "bbox=-90,-45,90,45&type=outdoor",
        "a city in clusters": f"zoom=11&bbox={city}&device_status=true",
        "nothing new in the world": f"zoom=2&bbox={WORLD}&since=CURSOR",
    }
    return [Story(name, "GET", f"{PATH}?{query}") for name, query in queries.items()]


def rows(served: Instance, quick: bool) -> Iterator[list[str]]:
    """The figures of one database."""
    fleet: Fleet = make_fleet(served.runtime, 10_000 if quick else 100_000, some=10, rendered=False)
    organization = place_devices(served)
    with reading(served.runtime.session_factory) as session:
        # A cursor of now: the log holds one line.
        cursor = "2" if served.kind == "sqlite" else str(session.scalar(sa.text(_XMIN)))
    for story in stories(served, organization):
        asked = Story(story.name, "GET", story.path.replace("CURSOR", cursor))
        sent = statements(served, fleet, asked)
        with controller(served) as process:
            rate, cpu, longest = measure(process, fleet, asked, 30 if quick else 100)
        name = f"{DATABASES[served.kind]}: {story.name}"
        yield [name, f"{rate:,.0f}", milliseconds(cpu), milliseconds(longest), str(sent)]


_XMIN = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"


def main() -> None:
    """Measure, print tables."""
    options = arguments(__doc__)
    for kind in DATABASES:
        with instance(kind) as served:
            columns = ["", "answers/s", "CPU each", "longest", "statements"]
            print_table("The map", columns, rows(served, options.quick))


if __name__ == "__main__":
    main()
