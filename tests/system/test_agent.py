"""An agent made of curl and md5sum, which decides as openwisp-config does, against a served guywire."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import SECRET, TOKEN, eventually, installed

pytestmark = pytest.mark.system

ORGANIZATION = "00000000-0000-4000-8000-000000000011"
AGENT = Path(__file__).parent / "agent.sh"
MAC_ADDRESSES = {"attic": "00:11:22:33:44:77", "cellar": "00:11:22:33:44:88", "garage": "00:11:22:33:44:99"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    instance = installed(tmp_path_factory.mktemp("guywire"))
    with instance.serve():
        eventually(instance.answers, "the first answer")
        yield f"http://127.0.0.1:{instance.port}"


@pytest.fixture
def agent(tmp_path: Path, url: str) -> Callable[..., tuple[int, list[str]]]:
    folder = tmp_path / "router"
    folder.mkdir()

    def cycle(name: str, secret: str = SECRET) -> tuple[int, list[str]]:
        command = [str(AGENT), str(folder), url, secret, name, MAC_ADDRESSES[name]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    return cycle


def api(url: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.request(method, f"{url}/api/v1/controller/{path}", json=body, headers=headers, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


def test_an_agent_registers_applies_what_it_gets_and_reports(url: str, agent: Callable[..., Any], tmp_path: Path):
    template = api(
        url,
        "POST",
        "template/",
        {
            "name": "wifi",
            "organization": ORGANIZATION,
            "backend": "netjsonconfig.OpenWrt",
            "default": True,
            "default_values": {"ssid": "Caffè"},
            "config": {
                "interfaces": [
                    {
                        "name": "wlan0",
                        "type": "wireless",
                        "wireless": {"radio": "radio0", "mode": "access_point", "ssid": "{{ ssid }}"},
                    }
                ]
            },
        },
    )
    assert agent("attic") == (0, ["registered attic new=1", "applied applied"])
    assert "option ssid 'Caffè'\n" in (tmp_path / "router/root/etc/config/wireless").read_text()
    assert agent("attic") == (0, ["unchanged"])

    api(url, "PATCH", f"template/{template['id']}/", {"default_values": {"ssid": "Garden"}})
    assert agent("attic") == (0, ["applied applied"])
    assert "option ssid 'Garden'\n" in (tmp_path / "router/root/etc/config/wireless").read_text()

    [device] = api(url, "GET", "device/?name=attic")["results"]
    assert device["config"]["status"] == "applied"
    assert device["model"] == "Test Router"
    api(url, "POST", f"device/{device['id']}/deactivate/")
    assert agent("attic") == (0, ["applied deactivated"])
    assert agent("attic") == (44, [])


def test_an_agent_with_a_wrong_secret_stops(agent: Callable[..., Any]):
    assert agent("garage", "wrong") == (5, [])


def test_an_agent_that_lost_its_identity_is_the_same_device_again(agent: Callable[..., Any], tmp_path: Path):
    assert agent("cellar") == (0, ["registered cellar new=1", "applied applied"])
    (tmp_path / "router/uuid").unlink()
    assert agent("cellar") == (0, ["registered cellar new=0", "unchanged"])
