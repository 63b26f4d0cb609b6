"""Commands to a real SSH daemon, by a real worker: what comes back while they run, and what the device is told."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from guywire_ssh_connection.connectors.ssh import Ssh
from processes import FIXTURE, TOKEN, eventually, installed
from ssh_daemons import account, open_folder, openssh

pytestmark = pytest.mark.system

PASSWORD = "it's $HOME \\n %s `id`"


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Requests to a server whose worker is running."""
    instance = installed(tmp_path)

    def send(method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{instance.port}/api/v1/controller/{path}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = requests.request(method, url, json=body, headers=headers, timeout=30)
        assert response.ok, response.text
        return response.json()

    with instance.serve():
        eventually(instance.answers, "the first answer")
        yield send
        assert not instance.logged("Traceback")
        assert not instance.logged(PASSWORD)


@pytest.fixture
def programs() -> Iterator[Path]:
    """The device's own programs: one that drops the connection, and one that notes what it reads."""
    with open_folder() as folder:
        yield _with_programs(folder)


def _with_programs(folder: Path) -> Path:
    noted = folder / "noted"
    noted.touch()
    noted.chmod(0o666)
    scripts = {
        # The shell's parent is the daemon's process of the session.
        "reboot": "kill -KILL $(ps -o ppid= -p $PPID); sleep 20",
        "passwd": f'echo "$@" >> {noted}; cat >> {noted}; echo changed',
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def test_commands_run_on_a_device_one_after_the_other(send: Callable[..., Any], programs: Path, tmp_path: Path) -> None:
    organization = json.loads(FIXTURE.read_text())["organizations"]["org1"]["id"]
    with account() as somebody, openssh(tmp_path, f"SetEnv=PATH={programs}:/usr/bin:/bin") as (_, port):
        config: dict[str, Any] = {"backend": "netjsonconfig.OpenWrt", "context": {}, "templates": []}
        config["config"] = {"general": {"timezone": "UTC"}}
        about = {"organization": organization, "name": "router", "mac_address": "00:11:22:33:44:55"}
        device = send("POST", "device/", {**about, "management_ip": "127.0.0.1", "config": config})["id"]
        credentials: dict[str, Any] = {"organization": organization, "name": "key", "connector": Ssh.id}
        credentials["params"] = somebody.params("ed25519", port)
        below = f"device/{device}/"
        send("POST", f"{below}connection/", {"credentials": send("POST", "credential/", credentials)["id"]})

        def command(kind: str, **input: str) -> str:
            made = send("POST", f"{below}command/", {"type": kind, "input": input or None})
            return f"{below}command/{made['id']}/"

        def ended(path: str) -> tuple[str, str]:
            shown = eventually(lambda: (got := send("GET", path))["status"] != "in-progress" and got, path)
            return shown["status"], shown["output"]

        wait = f"until test -e {programs}/go; do sleep 0.1; done"
        slow = command("custom", command=f"echo begun; {wait}; echo done; exit 4")
        after = command("custom", command=f"printf '%s\\n' {shlex.quote(PASSWORD)} >&2; false")
        change = command("change_password", password=PASSWORD, confirm_password=PASSWORD)
        reboot = command("reboot")
        last = command("custom", command="echo still there")
        early = eventually(lambda: send("GET", f"{slow}state/?since=0")["output"], "the first output")
        assert early == "begun\n"
        assert send("GET", after)["status"] == send("GET", slow)["status"] == "in-progress"
        (programs / "go").touch()
        report = f'Command "{send("GET", slow)["input"]}" returned non-zero exit code: 4\n'
        assert ended(slow) == ("failed", f"begun\ndone\n{report}")
        rest = send("GET", f"{slow}state/?since={len(early)}")["output"]
        assert early + rest == f"begun\ndone\n{report}"
        status, output = ended(after)
        assert status == "failed"
        assert output.startswith(f"{PASSWORD}\nCommand ")
        assert ended(change) == ("success", "changed\n")
        assert (programs / "noted").read_text() == f"root\n{PASSWORD}\n{PASSWORD}\n"
        assert ended(reboot) == ("success", "")
        assert ended(last) == ("success", "still there\n")
        batch = {"organization": organization, "type": "custom", "input": {"command": "hostname >/dev/null; echo same"}}
        path = f"batch-command/{send('POST', 'batch-command/', batch)['id']}/"
        eventually(lambda: send("GET", path)["status"] == "finished", "the batch")
        [group] = send("GET", f"{path}results/")["results"]
        assert (group["status"], group["output"], group["count"]) == ("success", "same\n", 1)
