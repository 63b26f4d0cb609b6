"""OpenVPN itself takes what guywire serves: the server's archive as it is, a router's files as it gets them, the CRL.

Server and router are network namespaces, joined by a cable.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import FIXTURE, TOKEN, Instance, eventually, installed

pytestmark = pytest.mark.system

OPENVPN = "openwisp_controller.vpn_backends.OpenVpn"
SERVER_HOST, ROUTER_HOST = "192.0.2.1", "192.0.2.2"
IN_TUNNEL = "10.8.0.1"
SERVER = {
    **{"name": "server", "mode": "server", "proto": "udp", "port": 1194, "dev": "tun0", "dev_type": "tun"},
    **{"tls_server": True, "server": "10.8.0.0 255.255.255.0", "topology": "subnet", "keepalive": "1 5"},
    **{"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "dh": "dh.pem", "cipher": "AES-256-GCM"},
    **{"remote_cert_tls": "client", "ns_cert_type": "", "persist_tun": True, "persist_key": True, "verb": 3},
}
FILES = [
    {"path": f"{name}.pem", "mode": "0600" if name == "key" else "0644", "contents": f"{{{{ {name} }}}}"}
    for name in ("ca", "cert", "key", "dh")
]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    mark = f"{os.getpid() % 0xFFFF:x}"
    names = f"gw-ovpn-server-{mark}", f"gw-ovpn-router-{mark}"
    ends = f"gos{mark}", f"gor{mark}"
    for name in names:
        run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, (SERVER_HOST, ROUTER_HOST), strict=True):
            run("ip", "link", "set", end, "netns", name)
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", end)
            for link in ("lo", end):
                run("ip", "-n", name, "link", "set", link, "up")
        yield names
    finally:
        for name in names:
            run("ip", "netns", "delete", name)


class Daemon:
    """An `openvpn` in a namespace."""

    def __init__(self, namespace: str, folder: Path, *arguments: str) -> None:
        self.log = folder / f"log-{time.monotonic_ns()}"
        command = ["ip", "netns", "exec", namespace, "openvpn", "--cd", str(folder), *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def says(self, text: str, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"no {text!r} in {self.log.read_text()}"
            time.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Controller:
    """A served guywire with one organization, and what its operator does."""

    def __init__(self, instance: Instance) -> None:
        self.url = f"http://127.0.0.1:{instance.port}"
        self.organization = json.loads(FIXTURE.read_text())["organizations"]["org1"]["id"]

    def request(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = requests.request(
            method, f"{self.url}/api/v1/controller/{path}", headers=headers, json=body, timeout=30
        )
        assert response.ok, response.text
        return response.json()

    def post(self, path: str, **body: Any) -> Any:
        return self.request("POST", path, {"organization": self.organization, **body})

    def unpack(self, kind: str, row: Any, target: Path) -> Path:
        """What the server's host or the agent on a router downloads."""
        path = f"{self.url}/controller/{kind}/download-config/{row['id']}/"
        response = requests.get(path, {"key": row["key"]}, timeout=30)
        assert response.ok, response.text
        with tarfile.open(fileobj=io.BytesIO(response.content)) as tar:
            tar.extractall(target, filter="data")
        return target

    def crl(self, ca: int, target: Path) -> None:
        """What a cron job on the server's host fetches, without any credentials."""
        response = requests.get(f"{self.url}/admin/pki/ca/{ca}.crl", timeout=30)
        assert response.ok, response.text
        target.write_bytes(response.content)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    instance = installed(tmp_path_factory.mktemp("guywire"))
    with instance.serve():
        eventually(instance.answers, "the first answer")
        yield Controller(instance)


def options_of(folder: Path) -> list[str]:
    """The daemon's arguments, from the UCI package, as OpenWrt's script of the service makes them."""
    found = []
    for line in (folder / "etc/config/openvpn").read_text().splitlines():
        words = re.fullmatch(r"\s*(option|list) (\S+) '(.*)'", line)
        if words is None or words[2] == "enabled":
            continue
        _, name, value = words.groups()
        if name in ("ca", "cert", "key"):
            value = str(folder / value.removeprefix("/"))
        is_switch = value == "1" and name != "verb"
        found += [f"--{name.replace('_', '-')}", *([] if is_switch else value.split())]
    return found


@pytest.mark.parametrize("key_length", ["256", "2048"])
def test_a_router_connects_until_its_certificate_is_revoked(
    controller: Controller, namespaces: tuple[str, str], tmp_path: Path, key_length: str
) -> None:
    name = f"vpn{key_length}"
    ca = controller.post("ca/", name=name, common_name=f"{name} ca", key_length=key_length)["id"]
    config = {"openvpn": [SERVER], "files": FILES}
    server = controller.post("vpn/", name=name, host=SERVER_HOST, backend=OPENVPN, ca=ca, config=config)
    client = {"type": "vpn", "vpn": server["id"], "backend": "netjsonconfig.OpenWrt", "config": {}}
    template = controller.post("template/", name=name, **client)
    assigned = {"backend": "netjsonconfig.OpenWrt", "config": {}, "context": {}, "templates": [template["id"]]}
    device = controller.post(
        "device/", name=f"router-{key_length}", mac_address=f"00:11:22:33:{key_length[:2]}:01", config=assigned
    )
    served = controller.unpack("vpn", server, tmp_path / "server")
    router = controller.unpack("device", device, tmp_path / "router")
    options = [*options_of(router), "--connect-retry", "1", "1", "--hand-window", "10"]
    crl = served / "crl.pem"
    controller.crl(ca, crl)

    on_server, on_router = namespaces
    with Daemon(on_server, served, "--config", "server.conf") as daemon:
        daemon.says("Initialization Sequence Completed")
        with Daemon(on_router, router, *options) as connecting:
            connecting.says("Initialization Sequence Completed")
            run("ip", "netns", "exec", on_router, "ping", "-n", "-c", "1", "-W", "5", IN_TUNNEL)

    with Daemon(on_server, served, "--config", "server.conf", "--crl-verify", str(crl)) as daemon:
        daemon.says("Initialization Sequence Completed")
        with Daemon(on_router, router, *options) as connecting:
            connecting.says("Initialization Sequence Completed")
        controller.request("PATCH", f"device/{device['id']}/", {"config": {"templates": []}})
        after = controller.unpack("device", device, tmp_path / "after")
        assert not (after / "etc/config/openvpn").exists()
        controller.crl(ca, crl)
        with Daemon(on_router, router, *options) as refused:
            daemon.says("certificate revoked")
            assert "Initialization Sequence Completed" not in refused.log.read_text()
