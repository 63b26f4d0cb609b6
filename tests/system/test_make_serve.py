"""From a fresh clone to the first answer by one command, as the README promises."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from processes import ROOT, free_port

pytestmark = pytest.mark.system

PATIENCE = 300


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The tree as it would be cloned: what git knows, and what it would be told of next."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@contextmanager
def make_serve(clone: Path, port: int) -> Iterator[Path]:
    """``make serve`` for a while; the file that it prints into."""
    kept = ("PATH", "HOME", "LANG", "PIP_", "SSL_")
    environ = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    environ |= {"GUYWIRE_HTTP_PORT": str(port)}
    # The Python below our own environment: a machine that has nothing but that.
    python = Path(sys.base_prefix) / "bin/python3"
    printed = clone / "printed"
    with printed.open("ab") as stream:
        # A session of its own: make, the shell and the server get the signal together, as from a terminal.
        process = subprocess.Popen(
            ["make", "serve", f"PYTHON={python}"],
            cwd=clone,
            env=environ,
            stdout=stream,
            stderr=stream,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            assert process.poll() is None, printed.read_text()
            assert time.monotonic() < deadline, printed.read_text()
            time.sleep(0.2)
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/api/v1/controller/device/", timeout=10).status_code == 401
    except (requests.ConnectionError, requests.Timeout):
        return False


def test_a_fresh_clone_serves(clone: Path) -> None:
    port = free_port()
    with make_serve(clone, port) as printed:
        text = printed.read_text()
        [password] = re.findall(r"^  password +(\S+)$", text, re.MULTILINE)
        [shared_secret] = re.findall(r"^  shared secret +(\S+)$", text, re.MULTILINE)
        url = f"http://127.0.0.1:{port}"
        token = requests.post(
            f"{url}/api/v1/users/token/", json={"username": "admin", "password": password}, timeout=30
        ).json()["token"]
        registered = requests.post(
            f"{url}/controller/register/",
            {
                "secret": shared_secret,
                "name": "router",
                "mac_address": "00:11:22:33:44:55",
                "backend": "netjsonconfig.OpenWrt",
            },
            timeout=30,
        )
        assert registered.status_code == 201, registered.text
        devices = requests.get(
            f"{url}/api/v1/controller/device/", headers={"Authorization": f"Bearer {token}"}, timeout=30
        ).json()
        assert [device["name"] for device in devices["results"]] == ["router"]
    with make_serve(clone, port) as printed:
        assert len(re.findall(r"^  password ", printed.read_text(), re.MULTILINE)) == 1, "shown only once"
    assert sorted(path.name for path in (clone / "var").iterdir() if not path.name.startswith("guywire.sqlite-")) == [
        "guywire.sqlite",
        "key-ring.json",
        "venv",
    ]
