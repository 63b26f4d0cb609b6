"""Tunnels: ``python bench/tunnels.py [--quick]``.

A template of type vpn for 1,000 devices, of WireGuard and of OpenVPN with certificates of elliptic curves: keys,
addresses or certificates, and rendered configurations. Then a WireGuard server with 10,000 peers: its file, and the
request that makes one more device its client. All within this process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
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
OPENVPN = {"name": "server", "mode": "server", "proto": "udp", "dev": "tun0", "dev_type": "tun", "tls_server": True}
OPENVPN |= {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "dh": "dh.pem"}


@dataclass(frozen=True)
class Tunnel:
    """A server, and the template that makes devices its clients."""

    backend: str
    server: str
    template: str


class Operator:
    """Who makes servers and templates, and talks to an application in this process."""

    def __init__(self, runtime: Runtime, fleet: Fleet) -> None:
        self.runtime = runtime
        self.app = TestApp(create_router(runtime))
        self.headers = {"Authorization": f"Bearer {fleet.token}"}
        with reading(runtime.session_factory) as session:
            self.organization = str(session.scalars(sa.select(Device.organization_id).limit(1)).one())

    def wireguard(self) -> Tunnel:
        """A WireGuard server and its template."""
        subnet = self.post("/api/v1/ipam/subnet/", name="tunnel", subnet="10.0.0.0/16")["id"]
        return self._tunnel("Wireguard", subnet=subnet, config={"wireguard": [{"name": "wg0", "port": 51820}]})

    def openvpn(self) -> Tunnel:
        """An OpenVPN server and its template."""
        ca = self.post("/api/v1/controller/ca/", name="tunnel", common_name="tunnel", key_length="256")["id"]
        return self._tunnel("OpenVpn", ca=ca, config={"openvpn": [OPENVPN]})

    def _tunnel(self, kind: str, **fields: Any) -> Tunnel:
        path, backend = "/api/v1/controller/vpn/", f"openwisp_controller.vpn_backends.{kind}"
        server = self.post(path, name=kind, host="vpn.example.org", backend=backend, **fields)["id"]
        fields = {"type": "vpn", "vpn": server, "backend": BACKEND, "config": {}}
        return Tunnel(backend, server, self.post("/api/v1/controller/template/", name=kind, **fields)["id"])

    def post(self, path: str, **body: Any) -> Any:
        """Make something of the organization."""
        return self.app.post_json(path, {"organization": self.organization, **body}, headers=self.headers).json

    def add_device(self, tunnel: Tunnel, number: int) -> None:
        """A device that is a client of the server at once."""
        config = {"backend": BACKEND, "config": {}, "context": {}, "templates": [tunnel.template]}
        mac_address = f"06:00:00:00:00:{number:02x}"
        self.post("/api/v1/controller/device/", name=f"new-{number}", mac_address=mac_address, config=config)

    def assign(self, tunnel: Tunnel, count: int) -> None:
        """Give the template to devices that lack it, and render what they have then, as the worker does."""
        factory, template_id = self.runtime.session_factory, uuid.UUID(tunnel.template)
        with writing(factory) as session:
            have = sa.select(ConfigTemplate.config_id).where(ConfigTemplate.template_id == template_id)
            lacking = sa.select(Config.id).where(Config.id.not_in(have)).order_by(Config.created).limit(count)
            rows = [{"config_id": id, "template_id": template_id, "position": 9} for id in session.scalars(lacking)]
            session.execute(sa.insert(ConfigTemplate), rows)
            for start in range(0, len(rows), FEW):
                status.mark_stale(session, [row["config_id"] for row in rows[start : start + FEW]])
        refresh_all(factory, self.runtime.renderer, self.runtime.clock)


def seconds(action: Callable[[], Any]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def assignment(operator: Operator, tunnel: Tunnel, what: str, count: int) -> list[str]:
    """A row: how long it takes until so many more devices have the template and are rendered."""
    busy = time.process_time()
    taken = seconds(lambda: operator.assign(tunnel, count))
    return [what, f"{taken:.1f} s", f"{time.process_time() - busy:.1f} s"]


def measure_openvpn(served: Instance) -> list[str]:
    """Assign."""
    operator = Operator(served.runtime, make_fleet(served.runtime, FEW, 0))
    return assignment(operator, operator.openvpn(), f"the template of OpenVPN for {FEW:,} devices", FEW)


def measure(served: Instance, size: int) -> list[list[str]]:
    """Assign, render, add."""
    runtime = served.runtime
    operator = Operator(runtime, make_fleet(runtime, size, 0))
    tunnel = operator.wireguard()
    rows = [assignment(operator, tunnel, f"the template of WireGuard for {FEW:,} devices", FEW)]
    if size > FEW:
        rows.append(assignment(operator, tunnel, f"for {size - FEW:,} more", size - FEW))
    backend = runtime.registry.vpn_backends[tunnel.backend]
    with reading(runtime.session_factory) as session:
        vpn = session.get_one(Vpn, uuid.UUID(tunnel.server))
        rendering = min(seconds(lambda: backend.render(session, vpn, {})) for _ in range(3))
        [file] = backend.render(session, vpn, {})
    peers = file.content.count(b"[Peer]")
    rows.append([f"the file of {peers:,} peers ({len(file.content) // 1024} KiB)", milliseconds(rendering), ""])

    def refresh() -> None:
        vpn_servers.refresh(runtime.session_factory, runtime.registry, runtime.settings.context, [vpn.id])

    rows.append(["the same, packed and stored", milliseconds(seconds(refresh)), ""])
    adding = sorted(seconds(lambda number=number: operator.add_device(tunnel, number)) for number in range(REQUESTS))  # type: ignore[misc]
    rows.append(["one more device, the request", milliseconds(adding[REQUESTS // 2]), ""])
    return rows


def main() -> None:
    """Measure on both databases."""
    size = FEW if arguments(__doc__).quick else 10_000
    for kind in DATABASES:
        with instance(kind) as served:
            rows = [measure_openvpn(served)]
        with instance(kind) as served:
            rows += measure(served, size)
        print_table(f"Tunnels, {DATABASES[kind]}", ["", "time", "processor time"], rows)


if __name__ == "__main__":
    main()
