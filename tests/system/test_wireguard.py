"""WireGuard itself takes what guywire serves: servers and routers in network namespaces shake hands, ping, and bridge
layer 2 with VXLAN.

Where the kernel knows WireGuard, `wg-quick` uses that; otherwise it starts `wireguard-go`.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import FIXTURE, TOKEN, Instance, eventually, installed

pytestmark = pytest.mark.system

WIREGUARD = "openwisp_controller.vpn_backends.Wireguard"
VXLAN = "openwisp_controller.vpn_backends.VxlanWireguard"

# wireguard-go keeps one socket for each name of an interface, whatever the namespace.
SERVER_INTERFACE, ROUTER_INTERFACE = "gwsrv0", "gwcli0"


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Host:
    """A network namespace with one end of a cable."""

    name: str
    address: str

    def run(self, *command: str) -> str:
        return run("ip", "netns", "exec", self.name, *command)

    def processes(self) -> list[str]:
        return run("ip", "netns", "pids", self.name).split()

    def reaches(self, address: str) -> bool:
        ping = ["ip", "netns", "exec", self.name, "ping", "-n", "-c", "1", "-W", "2", address]
        return subprocess.run(ping, capture_output=True, timeout=60).returncode == 0


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Host, Host]]:
    """The host of a VPN server and a router, joined by a cable."""
    monkeypatch.setenv("WG_QUICK_USERSPACE_IMPLEMENTATION", "wireguard-go")
    mark = f"{os.getpid() % 0xFFFF:x}"
    pair = Host(f"gw-server-{mark}", "192.0.2.1"), Host(f"gw-router-{mark}", "192.0.2.2")
    ends = [f"gws{mark}", f"gwr{mark}"]
    for host in pair:
        run("ip", "netns", "add", host.name)
    try:
        run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for host, end in zip(pair, ends, strict=True):
            run("ip", "link", "set", end, "netns", host.name)
            host.run("ip", "address", "add", f"{host.address}/24", "dev", end)
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "link", "set", end, "up")
        yield pair
    finally:
        for host in pair:
            for pid in host.processes():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
        for host in pair:
            # With the last one its socket goes, which would be in the way of the next.
            eventually(lambda host=host: not host.processes(), f"the end of {host.name}")
            run("ip", "netns", "delete", host.name)


class Controller:
    """A served guywire with one organization, and what its operator does."""

    def __init__(self, instance: Instance) -> None:
        self.url = f"http://127.0.0.1:{instance.port}"
        self.organization = json.loads(FIXTURE.read_text())["organizations"]["org1"]["id"]

        self.numbers = count(1)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        path = path if path.startswith("/") else f"/api/v1/controller/{path}"
        response = requests.request(method, self.url + path, headers=headers, timeout=30, **options)
        assert response.ok, response.text
        return response

    def post(self, path: str, **body: Any) -> Any:
        return self.request("POST", path, json={"organization": self.organization, **body}).json()

    def tunnel(self, backend: str, subnet: str, host: str) -> tuple[Any, Any, Any]:
        """A server, a template that makes clients of it, and a device that has the template."""
        number = next(self.numbers)
        made = self.post("/api/v1/ipam/subnet/", name=subnet, subnet=subnet)
        config = {"wireguard": [{"name": SERVER_INTERFACE, "port": 51820}]}
        server = self.post("vpn/", name=f"vpn {number}", host=host, backend=backend, subnet=made["id"], config=config)
        client = {"type": "vpn", "vpn": server["id"], "backend": "netjsonconfig.OpenWrt", "config": {}}
        template = self.post("template/", name=f"client {number}", **client)
        config = {"backend": "netjsonconfig.OpenWrt", "config": {}, "context": {}, "templates": [template["id"]]}
        device = self.post(
            "device/", name=f"router-{number}", mac_address=f"00:11:22:33:44:{number:02x}", config=config
        )
        return server, template, device

    def download(self, kind: str, row: Any, folder: Path) -> Path:
        """What the script on a server's host, or the agent on a router, downloads and unpacks."""
        path = {"vpn": "vpn/download-config", "device": "device/download-config"}[kind]
        response = requests.get(f"{self.url}/controller/{path}/{row['id']}/", {"key": row["key"]}, timeout=30)
        assert response.ok, response.text
        target = folder / kind
        with tarfile.open(fileobj=io.BytesIO(response.content)) as tar:
            tar.extractall(target, filter="data")
        for file in target.glob("*.conf"):
            file.chmod(0o600)
        return target


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    instance = installed(tmp_path_factory.mktemp("guywire"))
    with instance.serve():
        eventually(instance.answers, "the first answer")
        yield Controller(instance)


def sections(network: str) -> dict[str, dict[str, Any]]:
    """The sections of a UCI package by name: options as text, lists as lists."""
    found: dict[str, dict[str, Any]] = {}
    for line in network.splitlines():
        words = re.fullmatch(r"\s*(config|option|list) (\S+) '(.*)'", line)
        if words is None:
            continue
        kind, name, value = words.groups()
        if kind == "config":
            section = found[value] = {"type": name}
        elif kind == "option":
            section[name] = value
        else:
            section.setdefault(name, []).append(value)
    return found


def router_file(uci: dict[str, dict[str, Any]], folder: Path) -> Path:
    """What netifd makes of the sections of UCI, as a file for `wg-quick`."""
    interface = uci[SERVER_INTERFACE]
    assert interface["proto"] == "wireguard"
    [peer] = [section for section in uci.values() if section["type"] == f"wireguard_{SERVER_INTERFACE}"]
    host = peer["endpoint_host"]
    lines = [
        "[Interface]",
        f"Address = {', '.join(interface['addresses'])}",
        f"ListenPort = {interface['listen_port']}",
        f"MTU = {interface['mtu']}",
        f"PrivateKey = {interface['private_key']}",
        "[Peer]",
        f"AllowedIPs = {', '.join(peer['allowed_ips'])}",
        f"Endpoint = {f'[{host}]' if ':' in host else host}:{peer['endpoint_port']}",
        f"PersistentKeepalive = {peer['persistent_keepalive']}",
        f"PublicKey = {peer['public_key']}",
    ]
    path = folder / f"{ROUTER_INTERFACE}.conf"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def up(controller: Controller, hosts: tuple[Host, Host], server: Any, device: Any, folder: Path) -> tuple[Path, Any]:
    """Both ends of a tunnel, from what both download. Returns the server's folder and the router's UCI."""
    host, router = hosts
    unpacked = controller.download("vpn", server, folder)
    host.run("wg-quick", "up", str(unpacked / f"{SERVER_INTERFACE}.conf"))
    uci = sections((controller.download("device", device, folder) / "etc/config/network").read_text())
    router.run("wg-quick", "up", str(router_file(uci, folder)))
    return unpacked, uci


@pytest.mark.parametrize(
    ("subnet", "server_address", "router_address"),
    [("10.8.0.0/24", "10.8.0.1", "10.8.0.2"), ("fd00:8::/64", "fd00:8::1", "fd00:8::2")],
)
def test_a_tunnel_comes_up_and_ends_with_the_template(
    controller: Controller,
    hosts: tuple[Host, Host],
    tmp_path: Path,
    subnet: str,
    server_address: str,
    router_address: str,
) -> None:
    host, router = hosts
    server, _, device = controller.tunnel(WIREGUARD, subnet, host.address)
    unpacked, _ = up(controller, hosts, server, device, tmp_path)
    eventually(lambda: router.reaches(server_address), "the server")
    eventually(lambda: host.reaches(router_address), "the router")
    [handshake] = host.run("wg", "show", SERVER_INTERFACE, "latest-handshakes").splitlines()
    assert int(handshake.split()[1]) > 0

    # The device loses the template; the script on the server's host takes the new file as it always does.
    controller.request("PATCH", f"device/{device['id']}/", json={"config": {"templates": []}})
    controller.download("vpn", server, tmp_path)
    stripped = tmp_path / "stripped"
    stripped.write_text(host.run("wg-quick", "strip", str(unpacked / f"{SERVER_INTERFACE}.conf")))
    host.run("wg", "syncconf", SERVER_INTERFACE, str(stripped))
    assert host.run("wg", "show", SERVER_INTERFACE, "peers") == ""
    assert not router.reaches(server_address)


def test_vxlan_bridges_layer_2_over_the_tunnel(
    controller: Controller, hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    host, router = hosts
    server, _, device = controller.tunnel(VXLAN, "10.9.0.0/24", host.address)
    unpacked, uci = up(controller, hosts, server, device, tmp_path)
    [tunnel] = json.loads((unpacked / "vxlan.json").read_text())
    [theirs] = [section for section in uci.values() if section.get("proto") == "vxlan"]
    assert theirs["tunlink"] == SERVER_INTERFACE
    ends = [
        (host, SERVER_INTERFACE, tunnel["vni"], tunnel["remote"], "172.31.0.1/30"),
        (router, ROUTER_INTERFACE, theirs["vid"], theirs["peeraddr"], "172.31.0.2/30"),
    ]
    for end, link, number, remote, address in ends:
        options = ["type", "vxlan", "id", str(number), "dstport", theirs["port"], "remote", remote, "dev", link]
        end.run("ip", "link", "add", "vx", *options)
        end.run("ip", "link", "set", "vx", "mtu", theirs["mtu"], "up")
        end.run("ip", "address", "add", address, "dev", "vx")
    eventually(lambda: router.reaches("172.31.0.1"), "the other end")
    # The answer to ARP came through the tunnel: both are in one layer 2.
    [link] = json.loads(host.run("ip", "-json", "link", "show", "vx"))
    [neighbour] = json.loads(router.run("ip", "-json", "neighbour", "show", "172.31.0.1", "dev", "vx"))
    assert neighbour["lladdr"] == link["address"]


def test_servers_take_what_operators_add(controller: Controller, hosts: tuple[Host, Host], tmp_path: Path) -> None:
    host, _ = hosts
    server, _, _ = controller.tunnel(WIREGUARD, "10.10.0.0/24", host.address)
    peer = {
        "public_key": "GA0p0dX3p8E+XxmZf6HtDYHpZ4sA+1BmtxQpW6kNo1I=",
        "preshared_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
        "allowed_ips": "192.168.7.0/24, fd00:7::/64",
        "endpoint_host": "192.0.2.2",
        "endpoint_port": 51820,
    }
    marks = {name: f"echo {name} >> {tmp_path}/marks" for name in ("pre_up", "post_up")}
    wireguard = {"name": SERVER_INTERFACE, "port": 51821, "mtu": 1400, "table": "off", "peers": [peer], **marks}
    controller.request("PATCH", f"vpn/{server['id']}/", json={"config": {"wireguard": [wireguard]}})
    unpacked = controller.download("vpn", server, tmp_path)
    host.run("wg-quick", "up", str(unpacked / f"{SERVER_INTERFACE}.conf"))
    assert (tmp_path / "marks").read_text().split() == ["pre_up", "post_up"]
    shown = host.run("wg", "show", SERVER_INTERFACE)
    assert "listening port: 51821" in shown
    assert "endpoint: 192.0.2.2:51820" in shown
    assert "allowed ips: 192.168.7.0/24, fd00:7::/64" in shown
    assert shown.count("peer: ") == 2
