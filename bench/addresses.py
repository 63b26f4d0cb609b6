"""Addresses: ``python bench/addresses.py [--quick]``.

The next free address of a subnet that is empty, and of one whose addresses are taken but for the last few; files of
10,000 addresses. The requests are answered within this process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_network
from itertools import islice
from statistics import median
from typing import Any

import sqlalchemy as sa
from guywire.app import create_router
from guywire.db import writing
from guywire.runtime import Runtime
from guywire.services.accounts import create_user, token_of
from guywire_ipam.addresses import Network, hosts_of
from guywire_ipam.models import IpAddress, Subnet
from guywire_ipam.services import pool, tree
from harness import DATABASES, Instance, arguments, instance, milliseconds, print_table
from webtest import TestApp

SUBNETS = "/api/v1/ipam/subnet/"
CHUNK = 20_000
FILE = 10_000


class Client:
    """A superuser who talks to an application in this process."""

    def __init__(self, runtime: Runtime) -> None:
        with writing(runtime.session_factory) as session:
            user = create_user(session, runtime.clock(), username="admin", password=None, is_superuser=True)
            token = token_of(session, runtime.key_ring, user, runtime.clock())
        self.headers = {"Authorization": f"Bearer {token}"}
        self.app = TestApp(create_router(runtime))

    def next_address(self, subnet: uuid.UUID) -> None:
        """Ask for the next address."""
        self.app.get(f"{SUBNETS}{subnet}/get-next-available-ip/", headers=self.headers)

    def take_next(self, subnet: uuid.UUID) -> None:
        """Take the next address."""
        self.app.post_json(f"{SUBNETS}{subnet}/request-ip/", {"description": "x"}, headers=self.headers, status=201)

    def import_file(self, text: str) -> None:
        """Import a file."""
        files = [("csvfile", "subnet.csv", text.encode())]
        self.app.post("/api/v1/ipam/import-subnet/", upload_files=files, headers=self.headers)

    def export_file(self, subnet: uuid.UUID) -> None:
        """Export a subnet."""
        self.app.post(f"{SUBNETS}{subnet}/export/", headers=self.headers)


def make_subnet(runtime: Runtime, network: Network, taken: int) -> uuid.UUID:
    """A subnet whose first ``taken`` addresses are taken."""
    with writing(runtime.session_factory) as session:
        fields = {"name": str(network), "subnet": network, "organization": None, "master_subnet": None}
        subnet = tree.create(session, fields, runtime.clock())
        for rows in _chunks(_rows(subnet, taken, runtime)):
            session.execute(sa.insert(IpAddress), rows)
        session.flush()
    if runtime.engine.dialect.name == "postgresql":
        with runtime.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    return subnet.id


def _rows(subnet: Subnet, taken: int, runtime: Runtime) -> Iterator[dict[str, Any]]:
    now = runtime.clock()
    first, _ = hosts_of(subnet.network)
    for number in range(taken):
        yield pool.new_row(subnet, first + number, "taken", now) | {"ends_run": number == taken - 1}


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def seconds_of(action: Callable[[], None]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure_next(served: Instance, times: int, many: int) -> None:
    """The next address of empty subnets and of full ones."""
    client, rows = Client(served.runtime), []
    for index, (size, taken) in enumerate([(16, 65_000), (8, many)]):
        base = 10 + 20 * index
        empty = make_subnet(served.runtime, ip_network(f"{base}.0.0.0/{size}"), 0)
        full = make_subnet(served.runtime, ip_network(f"{base + 1}.0.0.0/{size}"), taken)
        for name, ask in (("look", client.next_address), ("take", client.take_next)):
            # In turns, so that whatever else the machine does befalls both.
            turns = [(seconds_of(partial(ask, empty)), seconds_of(partial(ask, full))) for _ in range(times)]
            before, after = (median(each) for each in zip(*turns, strict=True))
            cells = (milliseconds(before), milliseconds(after), f"{after / before:.2f}")
            rows.append([f"{name}, /{size}, {taken:,} taken", *cells])
    print_table(f"The next free address, {DATABASES[served.kind]}", ["", "empty", "full", "ratio"], rows)


def measure_files(served: Instance) -> None:
    """Import and export of a file."""
    client = Client(served.runtime)
    first = ip_network("10.0.0.0/16").network_address + 1
    addresses = "".join(f"{first + number},host {number}\n" for number in range(FILE))
    text = f"file\n10.0.0.0/16\n\n\nip_address,description\n{addresses}"
    imported = seconds_of(lambda: client.import_file(text))
    with served.runtime.session_factory() as session:
        subnet = session.scalars(sa.select(Subnet.id)).one()
    exported = seconds_of(lambda: client.export_file(subnet))
    rows = [["import", milliseconds(imported)], ["export", milliseconds(exported)]]
    print_table(f"A file of {FILE:,} addresses, {DATABASES[served.kind]}", ["", "time"], rows)


def main() -> None:
    """Measure on both databases."""
    options = arguments(__doc__)
    for kind in DATABASES:
        with instance(kind) as served:
            measure_next(served, 50 if options.quick else 300, 100_000 if options.quick else 1_000_000)
        with instance(kind) as served:
            measure_files(served)


if __name__ == "__main__":
    main()
