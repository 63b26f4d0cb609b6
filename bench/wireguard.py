"""WireGuard: ``python bench/wireguard.py [--quick]``.

A template of type vpn for 1,000 devices: keys, addresses and rendered configurations. Then a server with 10,000 peers:
its file, and the request that makes one more device its client. All within this process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from fleet import BACKEND, Fleet, make_fleet
from guywire.app import create_router
from guywire.db import reading, writing
from guywire.models import Config, ConfigTemplate, Device, Vpn
from guywire.runtime import Runtime
from guywire.services import status, vpn_servers
from guywire.services.rendering import refresh_all
from harness import DATABASES, Instance, arguments, instance, milliseconds, print_table
from webtest import TestApp

FEW = 1_000
REQUESTS = 20


class Operator:
    """Who makes a server and a template, and talks to an application in this process."""

    def __init__(self, runtime: Runtime, fleet: Fleet) -> None:
        self.runtime = runtime
        self.app = TestApp(create_router(runtime))
        self.headers = {"Authorization": f"Bearer {fleet.token}"}
        with reading(runtime.session_factory) as session:
            self.organization = str(session.scalars(sa.select(Device.organization_id).limit(1)).one())
        subnet = self.post("/api/v1/ipam/subnet/", name="tunnel", subnet="10.0.0.0/16")["id"]
        self.server = self.post(
            "/api/v1/controller/vpn/",
            name="tunnel",
            host="vpn.example.org",
            backend="openwisp_controller.vpn_backends.Wireguard",
            subnet=subnet,
            config={"wireguard": [{"name": "wg0", "port": 51820}]},
        )
        fields = {"type": "vpn", "vpn": self.server["id"], "backend": BACKEND, "config": {}}
        self.template = self.post("/api/v1/controller/template/", name="tunnel", **fields)["id"]

    def post(self, path: str, **body: Any) -> Any:
        """Make something of the organization."""
        return self.app.post_json(path, {"organization": self.organization, **body}, headers=self.headers).json

    def add_device(self, number: int) -> None:
        """A device that is a client of the server at once."""
        config = {"backend": BACKEND, "config": {}, "context": {}, "templates": [self.template]}
        mac_address = f"06:00:00:00:00:{number:02x}"
        self.post("/api/v1/controller/device/", name=f"new-{number}", mac_address=mac_address, config=config)

    def assign(self, count: int) -> None:
        """Give the template to devices that lack it, and render what they have then, as the worker does."""
        factory = self.runtime.session_factory
        with writing(factory) as session:
            have = sa.select(ConfigTemplate.config_id).where(ConfigTemplate.template_id == uuid.UUID(self.template))
            lacking = sa.select(Config.id).where(Config.id.not_in(have)).order_by(Config.created).limit(count)
            rows = [
                {"config_id": id, "template_id": uuid.UUID(self.template), "position": 9}
                for id in session.scalars(lacking)
            ]
            session.execute(sa.insert(ConfigTemplate), rows)
            for start in range(0, len(rows), FEW):
                status.mark_stale(session, [row["config_id"] for row in rows[start : start + FEW]])
        refresh_all(factory, self.runtime.renderer, self.runtime.clock)


def seconds(action: Callable[[], Any]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(served: Instance, size: int) -> None:
    """Assign, render, add."""
    runtime = served.runtime
    operator = Operator(runtime, make_fleet(runtime, size, 0))
    rows = [[f"the template for {FEW:,} devices", f"{seconds(lambda: operator.assign(FEW)):.1f} s"]]
    if size > FEW:
        rows.append([f"for {size - FEW:,} more", f"{seconds(lambda: operator.assign(size - FEW)):.1f} s"])
    backend = runtime.registry.vpn_backends[operator.server["backend"]]
    with reading(runtime.session_factory) as session:
        vpn = session.get_one(Vpn, uuid.UUID(operator.server["id"]))
        rendering = min(seconds(lambda: backend.render(session, vpn, {})) for _ in range(3))
        [file] = backend.render(session, vpn, {})
    peers = file.content.count(b"[Peer]")
    rows.append([f"the file of {peers:,} peers ({len(file.content) // 1024} KiB)", milliseconds(rendering)])

    def refresh() -> None:
        vpn_servers.refresh(runtime.session_factory, runtime.registry, runtime.settings.context, [vpn.id])

    rows.append(["the same, packed and stored", milliseconds(seconds(refresh))])
    adding = sorted(seconds(lambda number=number: operator.add_device(number)) for number in range(REQUESTS))  # type: ignore[misc]
    rows.append(["one more device, the request", milliseconds(adding[REQUESTS // 2])])
    print_table(f"WireGuard, {DATABASES[served.kind]}", ["", "time"], rows)


def main() -> None:
    """Measure on both databases."""
    size = FEW if arguments(__doc__).quick else 10_000
    for kind in DATABASES:
        with instance(kind) as served:
            measure(served, size)


if __name__ == "__main__":
    main()
