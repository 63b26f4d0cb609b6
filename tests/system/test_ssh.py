"""Devices over SSH, with the servers that devices have: Dropbear, and OpenSSH. And with some that misbehave."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest
import requests
from guywire.interfaces import CommandTimeout, ConnectionFailed, ConnectionLimits, HostKeyChanged
from guywire_ssh_connection.connectors.ssh import Ssh
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from processes import FIXTURE, TOKEN, eventually, installed
from ssh_daemons import Account, account, dropbear, open_folder, openssh

pytestmark = pytest.mark.system

LIMITS = ConnectionLimits(connect=30, banner=60, authentication=60, command=60, output=100_000)
"""Nothing below takes nearly so long, on however busy a machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def somebody() -> Iterator[Account]:
    with account() as made:
        yield made


@pytest.fixture(scope="module", params=[openssh, dropbear])
def port(request: pytest.FixtureRequest, folder: Path) -> Iterator[int]:
    """The port of a device, of each kind."""
    with request.param(folder) as (_, port):
        yield port


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Neither threads nor file descriptors."""

    def used() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    threads, files = used()
    yield
    eventually(lambda: used()[0] <= threads and used()[1] <= files, f"{threading.enumerate()}")


def connect(params: dict[str, Any], host_key: str | None = None, limits: ConnectionLimits = LIMITS) -> Any:
    return closing(Ssh().connect("127.0.0.1", params, host_key, limits))


@pytest.mark.parametrize("login", ["password", "rsa", "ed25519"])
def test_a_device_is_told_things_and_answers(somebody: Account, port: int, login: str) -> None:
    heard: list[str] = []
    with open_folder() as shared, connect(somebody.params(login, port)) as session:

        def hear(text: str) -> None:
            # It says more only when the first has been heard.
            heard.extend([text] if text else [])
            (shared / "go").touch()

        wait = f"until test -e {shared}/go; do sleep 0.05; done"
        result = session.execute(f"echo told; {wait}; echo ünd >&2; exit 3", on_output=hear)
        assert (result.exit_status, result.output, result.errors) == (3, "told\nünd\n", "ünd\n")
        assert (heard, session.execute("true").exit_status) == (["told\n", "ünd\n"], 0)
        known = session.host_key
    with connect(somebody.params(login, port), known) as session:
        assert session.host_key == known


def test_more_output_than_fits_stops_neither_the_command_nor_us(somebody: Account, port: int) -> None:
    with connect(somebody.params("ed25519", port)) as session:
        # More than the window of a channel, which is 2 MiB.
        result = session.execute("head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2")
        assert (result.exit_status, len(result.output), result.is_truncated) == (0, LIMITS.output, True)


def test_what_stays_in_the_background_is_not_waited_for(somebody: Account, port: int) -> None:
    with connect(somebody.params("ed25519", port)) as session:
        assert session.execute("sleep 100 & echo begun").output == "begun\n"


def test_a_command_that_takes_too_long_is_given_up(
    somebody: Account, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = 0.0

    def let_time_pass(text: str) -> None:
        nonlocal passed
        passed = LIMITS.command

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed)
    monkeypatch.setattr("guywire_ssh_connection.connectors.session.time", clock)
    with connect(somebody.params("ed25519", port)) as session:
        with pytest.raises(CommandTimeout, match=r"^Command timed out after 60 seconds\.$"):
            session.execute("echo begun; sleep 100", on_output=let_time_pass)
        assert not session.is_open


def test_who_does_not_know_the_secret_is_told_so(somebody: Account, port: int) -> None:
    with pytest.raises(ConnectionFailed, match=r"^Authentication failed\.$"):
        connect(somebody.params("password", port) | {"password": "wrong"})


def test_a_host_with_another_key_gets_nothing(somebody: Account, folder: Path) -> None:
    with openssh(folder) as (_, port), connect(somebody.params("password", port)) as session:
        known = session.host_key
    log = folder / "openssh.log"
    log.write_text("")
    with openssh(folder, "LogLevel=DEBUG1", host_key="other") as (_, port):
        with pytest.raises(HostKeyChanged, match="Nothing was sent to it") as changed:
            connect(somebody.params("password", port), known)
        assert changed.value.offered.startswith("ssh-ed25519 ")
    assert somebody.name not in log.read_text()


def test_of_several_keys_the_known_one_counts(somebody: Account, folder: Path) -> None:
    rsa = folder / "openssh-rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", rsa], check=True)
    kind, text, _ = rsa.with_suffix(".pub").read_text().split()
    known = f"{kind} {text}"
    with openssh(folder, f"HostKey={rsa}") as (_, port):
        with connect(somebody.params("ed25519", port)) as session:
            assert session.host_key.startswith("ssh-ed25519 ")
        with connect(somebody.params("ed25519", port), known) as session:
            assert session.host_key == known


def test_an_old_server_knows_only_the_old_signatures_of_rsa(somebody: Account, folder: Path) -> None:
    options = "PubkeyAcceptedAlgorithms=ssh-rsa"
    with openssh(folder, options) as (_, port), connect(somebody.params("rsa", port)) as session:
        assert session.execute("echo in").output == "in\n"


def test_a_device_that_goes_away_in_the_middle(somebody: Account, folder: Path) -> None:
    with openssh(folder) as (_, port), connect(somebody.params("ed25519", port)) as session:
        # The process of the session, not the one that listens, and not before it has passed on what was printed.
        result = session.execute(
            "echo $PPID; sleep 100", on_output=lambda process: process and os.kill(int(process), signal.SIGKILL)
        )
        assert (result.exit_status, result.output.strip().isdigit(), session.is_open) == (None, True, False)
        with pytest.raises(ConnectionFailed):
            session.execute("true")


def test_a_closed_port() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        refused = f"^Unable to connect to 127.0.0.1, port {port}: Connection refused$"
        with pytest.raises(ConnectionFailed, match=refused):
            connect({"username": "root", "password": "secret", "port": port})


@pytest.mark.parametrize("says", [b"", b"patience\r\n"])
def test_a_server_that_never_says_what_it_is(says: bytes) -> None:
    over = threading.Event()

    def keep_waiting(listener: socket.socket) -> None:
        with closing(listener.accept()[0]) as stream:
            while not over.wait(0.1):
                try:
                    stream.sendall(says)
                except OSError:
                    return

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=keep_waiting, args=(listener,))
        thread.start()
        begun = time.monotonic()
        params = {"username": "root", "password": "secret", "port": listener.getsockname()[1]}
        with pytest.raises(ConnectionFailed):
            connect(params, limits=ConnectionLimits(connect=30, banner=0.5, authentication=0))
        assert time.monotonic() - begun < 30, "it would wait for ever"
        over.set()
        thread.join()


class Hasty(paramiko.ServerInterface):
    """A device that has done what it is told before it says that it will."""

    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        channel.sendall(b"done\n")
        channel.send_exit_status(0)
        channel.close()
        return True


def test_what_a_device_has_done_is_not_taken_for_a_refusal() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(paramiko.ECDSAKey.generate())
            transport.start_server(event=threading.Event(), server=Hasty())

        thread = threading.Thread(target=serve)
        thread.start()
        with connect({"username": "root", "password": "secret", "port": port}) as session:
            result = session.execute("true")
            assert (result.exit_status, result.output, session.is_open) == (0, "done\n", True)
        thread.join()


class Agent:
    """openwisp-config as far as a push sees it: a version, and a process that notes each signal."""

    def __init__(self, user: Account) -> None:
        self.bin, self.noted, pid_file = user.home / "bin", user.home / "noted", user.home / "pid"
        self.bin.mkdir()
        self.noted.touch()
        loop = f"trap 'echo signal >> {self.noted}' USR1; while :; do sleep 0.1; done"
        self.process = subprocess.Popen(["su", user.name, "-s", "/bin/sh", "-c", f"echo $$ > {pid_file}; {loop}"])
        pid = eventually(lambda: pid_file.exists() and pid_file.read_text().strip(), "the agent")
        self._script("openwisp-config", "echo openwisp-config 1.1.0")
        self._script("ps", f"echo '{pid} root 1234 S /usr/sbin/openwisp-config --url http://controller'")
        self.noted.chmod(0o666)

    def _script(self, name: str, line: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.bin / name).chmod(0o755)

    def signals(self) -> int:
        return len(self.noted.read_text().splitlines())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def test_an_edit_wakes_the_agent_of_a_device_within_seconds(somebody: Account, folder: Path, tmp_path: Path) -> None:
    instance = installed(tmp_path)
    organization = json.loads(FIXTURE.read_text())["organizations"]["org1"]["id"]
    agent = Agent(somebody)
    path = f"SetEnv=PATH={agent.bin}:/usr/bin:/bin"
    try:
        with openssh(folder, path) as (_, port), instance.serve():
            eventually(instance.answers, "the first answer")

            def send(method: str, path: str, body: Any = None) -> Any:
                url = f"http://127.0.0.1:{instance.port}/api/v1/controller/{path}"
                headers = {"Authorization": f"Bearer {TOKEN}"}
                response = requests.request(method, url, json=body, headers=headers, timeout=30)
                assert response.ok, response.text
                return response.json()

            config = {"backend": "netjsonconfig.OpenWrt", "config": {}, "context": {}, "templates": []}
            config["config"] = {"general": {"timezone": "UTC"}}
            about = {"organization": organization, "name": "router", "mac_address": "00:11:22:33:44:55"}
            device = send("POST", "device/", {**about, "management_ip": "127.0.0.1", "config": config})
            ssh = {
                "organization": organization,
                "name": "key",
                "connector": Ssh.id,
                "params": somebody.params("ed25519", port),
            }
            below = f"device/{device['id']}/"
            send("POST", f"{below}connection/", {"credentials": send("POST", "credential/", ssh)["id"]})
            for timezone in ("Europe/Rome", "Europe/Oslo"):
                edit = {"config": {"config": {"general": {"timezone": timezone}}}}
                send("PATCH", below, edit)
            eventually(agent.signals, "the push")
            [connection] = send("GET", f"{below}connection/")["results"]
            assert (connection["is_working"], connection["failure_reason"]) == (True, "")
            assert send("GET", f"{below}host-key/")["pinned"]["type"] == "ssh-ed25519"
            assert not instance.logged("Traceback")
    finally:
        agent.stop()
