"""Requests of operators: ``python bench/rest.py [--quick]``.

Lists of 10 and 100 devices, a device's detail, creation and change, with 1,000 and with 100,000 devices in the
database: answers per second of one client that waits for each, processor time of the web process per request, SQL
statements.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fleet import BACKEND, Fleet, make_fleet
from guywire.app import create_router
from guywire.db import reading
from guywire.models import Organization
from harness import DATABASES, Instance, Process, arguments, controller, instance, milliseconds, print_table
from webtest import TestApp

PATH = "/api/v1/controller/device/"
REFERENCE = {"list of 10": 15, "list of 100": 24, "detail": 5.2, "create": 106, "PATCH config": 75}
"""Milliseconds of processor time per request that the reference implementation needs on such a machine."""


@dataclass(frozen=True)
class Story:
    """A kind of request, again and again."""

    name: str
    method: str
    path: str
    bodies: Iterator[Any] | None = None

    def body(self) -> Any:
        """What the next request carries."""
        return next(self.bodies) if self.bodies is not None else None


def stories(fleet: Fleet, organization: str) -> list[Story]:
    """What is measured."""
    devices = f"{PATH}{fleet.devices[len(fleet.devices) // 2].id}/"
    return [
        Story("list of 10", "GET", PATH),
        Story("list of 100", "GET", f"{PATH}?page_size=100"),
        Story("last page of 100", "GET", f"{PATH}?page_size=100&page=last"),
        Story("filtered list", "GET", f"{PATH}?config__status=applied&organization={organization}&name=ap-000"),
        Story("detail", "GET", devices),
        Story("create", "POST", PATH, _new_devices(organization)),
        Story("PATCH config", "PATCH", devices, _changes()),
    ]


def _new_devices(organization: str) -> Iterator[Any]:
    number = 0
    while True:
        number += 1
        mac = f"06{time.time_ns() % 2**40:010X}"
        yield {
            "name": f"new-{time.time_ns()}",
            "organization": organization,
            "mac_address": ":".join(mac[i : i + 2] for i in range(0, 12, 2)),
            "config": {
                "backend": BACKEND,
                "templates": [],
                "context": {"number": str(number)},
                "config": {"general": {"timezone": "UTC"}},
            },
        }


def _changes() -> Iterator[Any]:
    while True:
        yield {"config": {"config": {"general": {"timezone": "UTC"}, "dns_search": [f"{time.time_ns()}.example.org"]}}}


def measure(process: Process, fleet: Fleet, story: Story, requests: int) -> tuple[float, float, float]:
    """Send requests one after the other. Returns answers per second, CPU seconds per request, the longest wait."""
    connection = http.client.HTTPConnection("127.0.0.1", process.port)
    headers = {"Authorization": f"Bearer {fleet.token}", "Content-Type": "application/json"}

    def send() -> None:
        body = story.body()
        connection.request(story.method, story.path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{story.name}: {answer.status} {content[:300]!r}")

    for _ in range(5):
        send()
    longest, cpu, start = 0.0, process.cpu_seconds(), time.perf_counter()
    for _ in range(requests):
        before = time.perf_counter()
        send()
        longest = max(longest, time.perf_counter() - before)
    seconds = time.perf_counter() - start
    return requests / seconds, (process.cpu_seconds() - cpu) / requests, longest


def statements(served: Instance, fleet: Fleet, story: Story) -> int:
    """How many SQL statements one such request sends."""
    app = TestApp(create_router(served.runtime))
    headers = {"Authorization": f"Bearer {fleet.token}"}
    count = 0

    def note(*arguments: Any) -> None:
        nonlocal count
        count += 1

    for attempt in range(2):  # the first one prepares things that stay
        if attempt:
            sa.event.listen(served.runtime.engine, "before_cursor_execute", note)
        if story.method == "GET":
            app.get(story.path, headers=headers)
        else:
            getattr(app, f"{story.method.lower()}_json")(story.path, story.body(), headers=headers)
    sa.event.remove(served.runtime.engine, "before_cursor_execute", note)
    return count


def rows(served: Instance, size: int, quick: bool) -> Iterator[list[str]]:
    """The figures of one database with so many devices."""
    fleet = make_fleet(served.runtime, size, some=10, rendered=size <= 1000)
    with reading(served.runtime.session_factory) as session:
        organization = str(session.scalars(sa.select(Organization.id)).one())
    for story in stories(fleet, organization):
        sent = statements(served, fleet, story)
        with controller(served) as process:
            rate, cpu, longest = measure(process, fleet, story, 200 if quick else 500)
        known = REFERENCE.get(story.name)
        ratio = f"{known / (cpu * 1000):.1f}x" if known else ""
        yield [
            f"{DATABASES[served.kind]}, {size:,}: {story.name}",
            f"{rate:,.0f}",
            milliseconds(cpu),
            ratio,
            milliseconds(longest),
            str(sent),
        ]


def main() -> None:
    """Measure, print tables."""
    options = arguments(__doc__)
    for size in (1_000, 100_000):
        for kind in DATABASES:
            with instance(kind) as served:
                print_table(
                    "Requests of operators",
                    ["", "answers/s", "CPU each", "reference / ours", "longest", "statements"],
                    rows(served, size, options.quick),
                )


if __name__ == "__main__":
    main()
