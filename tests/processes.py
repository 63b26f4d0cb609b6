"""guywire as real processes: an installation in a folder, its server, and who is whose child."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent
INI = ROOT / "development.ini"
FIXTURE = ROOT / "tests/contract/fixture.json"
TOKEN = "1111bbbbccccddddeeeeffff0000111122223333"
SECRET = "SharedSecretOrg1234567890abcdef0"
PATIENCE = 120
"""Seconds after which something went wrong, on however busy a machine."""


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What ``condition`` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return result


class Instance:
    """An installation in a folder of its own, with a server that can be started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("GUYWIRE_", "PYTHONWARN"))
        } | {"GUYWIRE_DATA_DIR": str(folder), "GUYWIRE_HTTP_PORT": str(self.port)}
        self.log = folder / "log"

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "guywire.cli", *map(str, arguments)],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    @contextmanager
    def started(self, *command: object) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                list(map(str, command)), env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        family: set[int] = set()
        try:
            yield process
            family = set(descendants(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pid in family:
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)

    def serve(self, *options: str) -> Any:
        return self.started(sys.executable, "-m", "guywire.cli", "serve", INI, *options)

    def answers(self) -> bool:
        try:
            response = requests.get(f"http://127.0.0.1:{self.port}/api/v1/controller/device/", timeout=10)
        except (requests.ConnectionError, requests.Timeout):
            return False
        return response.status_code == 401

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()


def installed(folder: Path) -> Instance:
    """An installation in ``folder`` with a migrated database, in which the fixture's users are, and its key ring."""
    shutil.copytree(_installed_once(), folder, dirs_exist_ok=True)
    return Instance(folder)


@cache
def _installed_once() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="guywire-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    instance = Instance(folder)
    for arguments in (("migrate", INI), ("bootstrap", INI, FIXTURE)):
        result = instance.run(*arguments)
        assert result.returncode == 0, result.stderr
    return folder


def _ports() -> Iterator[int]:
    """Ports below those that the kernel hands out, which somebody else might be given before we listen.

    Each process of a parallel run has some of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(20000 + worker % 10 * 1000, 21000 + worker % 10 * 1000)
    while True:
        yield from random.sample(mine, len(mine))


_PORTS = _ports()


def free_port() -> int:
    """A port of this host on which nobody listens."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of all processes that are not zombies."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent), command
    return found


def descendants(ancestor: int) -> dict[int, str]:
    everybody = processes()
    found: dict[int, str] = {}
    waiting = [ancestor]
    while waiting:
        parent = waiting.pop()
        for pid, (its_parent, command) in everybody.items():
            if its_parent == parent:
                found[pid] = command
                waiting.append(pid)
    return found


def is_alive(pid: int) -> bool:
    return pid in processes()


def workers(server: int) -> list[int]:
    return [pid for pid, command in descendants(server).items() if " worker " in command]


def web_processes(server: int) -> list[int]:
    return [pid for pid, command in descendants(server).items() if " serve " in command]
