"""``guywire serve``, ``guywire worker`` and ``pserve`` as processes: they answer, heal and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from guywire.cli import supervisor as supervisor_module
from guywire.cli import web
from guywire.cli.supervisor import Backoff, Supervisor
from guywire.settings import Settings
from processes import (
    INI,
    PATIENCE,
    TOKEN,
    Instance,
    descendants,
    eventually,
    installed,
    processes,
    web_processes,
    workers,
)

ORGANIZATION = "00000000-0000-4000-8000-000000000011"


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return installed(tmp_path)


def test_it_serves_and_heals_and_stops(instance: Instance) -> None:
    with instance.serve() as server:
        eventually(instance.answers, "the first answer")
        eventually(lambda: instance.logged("worker started"), "the worker")

        [web_process] = web_processes(server.pid)
        os.kill(web_process, signal.SIGKILL)
        eventually(lambda: web_processes(server.pid) not in ([], [web_process]), "another web process")
        eventually(instance.answers, "an answer of another web process")

        [worker] = workers(server.pid)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: workers(server.pid) not in ([], [worker]), "another worker")
        eventually(lambda: instance.log.read_text().count("worker started") == 2, "another worker at work")

        family = descendants(server.pid)
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    assert not family.keys() & processes().keys()
    assert instance.logged("worker stopped")


def test_nothing_survives_a_killed_parent(instance: Instance) -> None:
    with instance.serve() as server:
        eventually(instance.answers, "the first answer")
        eventually(lambda: instance.logged("worker started"), "the worker")
        family = descendants(server.pid)
        server.kill()
        eventually(lambda: not family.keys() & processes().keys(), "the end of all")
    with instance.serve() as server:
        eventually(instance.answers, "an answer of the next server")


def test_last_polls_are_written_down_at_the_end(instance: Instance) -> None:
    with instance.serve("--no-worker") as server:
        eventually(instance.answers, "the first answer")
        base = f"http://127.0.0.1:{instance.port}"
        device = requests.post(
            f"{base}/api/v1/controller/device/",
            headers={"Authorization": f"Bearer {TOKEN}"},
            json={
                "name": "router",
                "organization": ORGANIZATION,
                "mac_address": "00:11:22:33:44:55",
                "config": {
                    "backend": "netjsonconfig.OpenWrt",
                    "config": {"general": {"timezone": "UTC"}},
                    "context": {},
                    "templates": [],
                },
            },
            timeout=30,
        ).json()
        poll = f"{base}/controller/checksum/{device['id']}/?key={device['key']}"
        assert requests.get(poll, timeout=30).status_code == 200  # written down at once; the next one waits
        before_last = datetime.now(UTC)
        assert requests.get(poll, timeout=30).status_code == 200
        assert not workers(server.pid)
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
    connection = sqlite3.connect(instance.folder / "guywire.sqlite")
    [[written]] = connection.execute("SELECT last_poll FROM config_state")
    connection.close()
    assert datetime.fromisoformat(f"{written}+00:00") >= before_last


def test_ctrl_c_stops_all_in_order(instance: Instance) -> None:
    with instance.serve() as server:
        eventually(instance.answers, "the first answer")
        family = descendants(server.pid)
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0
    assert not family.keys() & processes().keys()
    assert not instance.logged("Unexpected exit")


def test_sighup_replaces_the_web_processes(instance: Instance) -> None:
    with instance.serve("--no-worker") as server:
        eventually(instance.answers, "the first answer")
        [before] = web_processes(server.pid)
        server.send_signal(signal.SIGHUP)
        eventually(lambda: before not in web_processes(server.pid), "the end of the old web process")
        eventually(instance.answers, "an answer of the new one")


def test_serve_refuses_a_database_that_is_not_up_to_date(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    result = instance.run("serve", INI)
    assert result.returncode == 1
    assert f"Run: guywire migrate {INI}" in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_refuses_a_port_that_is_taken(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", instance.port)):
        result = instance.run("serve", INI)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{instance.port}: Address already in use" in result.stderr


def test_a_worker_alone_stops_when_asked(instance: Instance) -> None:
    with instance.started(sys.executable, "-m", "guywire.cli", "worker", INI) as worker:
        eventually(lambda: instance.logged("worker started"), "the worker")
        # It says so a moment before it gives the first sign of life.
        seen = "worker          seen"
        result = eventually(lambda: seen in (done := instance.run("check", INI)).stdout and done, "a sign of life")
        assert result.returncode == 0, result.stdout
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0


def test_pserve_serves_and_says_what_is_missing(instance: Instance) -> None:
    with instance.started(Path(sys.executable).with_name("pserve"), INI):
        eventually(instance.answers, "the first answer")
        assert instance.log.read_text().count("jobs wait for a `guywire worker") == 1


class FakeGranian:
    """Ends like Granian does when a web process dies twice in a row, a given number of times; then like on a signal."""

    def __init__(self, crashes: int) -> None:
        self.crashes = crashes
        self.interrupt_signal = False
        self.served = 0

    def serve(self, **options: Any) -> None:
        self.served += 1
        if self.served <= self.crashes:
            raise SystemExit(1)
        self.interrupt_signal = True


@pytest.mark.parametrize(("settled_after", "served", "code"), [(0.0, 3, 0), (10.0, 1, 1)])
def test_web_processes_that_die_in_a_row_are_started_again_unless_they_never_started(
    monkeypatch: pytest.MonkeyPatch, settled_after: float, served: int, code: int
) -> None:
    granian = FakeGranian(crashes=2)
    monkeypatch.setattr(web, "_granian", lambda settings, workers: granian)
    monkeypatch.setattr(web, "_START_UP", settled_after)
    monkeypatch.setattr(Backoff, "after", lambda self, lifetime: 0.0)
    assert web.serve_web(Settings(), 1) == code
    assert granian.served == served


def test_pauses_grow_while_starts_fail_and_shrink_when_one_settles() -> None:
    backoff = Backoff()
    assert [backoff.after(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(3600) == 0.5


def test_a_start_does_not_wait_for_what_is_forked_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            time.sleep(2 * PATIENCE)
            os._exit(0)
        forked.append(pid)

    forking = threading.Thread(target=fork)
    start = subprocess._fork_exec  # type: ignore[attr-defined]

    def start_while_forking(*arguments: Any) -> Any:
        if not forking.ident:
            forking.start()
            forking.join(0.2)
        return start(*arguments)

    monkeypatch.setattr(subprocess, "_fork_exec", start_while_forking)
    monkeypatch.setattr(Backoff, "after", lambda self, lifetime: 0.0)
    started: list[int] = []
    supervisor = Supervisor(["true"])
    monkeypatch.setattr(supervisor_module.log, "error", lambda *arguments: started.append(1))
    supervisor.start()
    try:
        eventually(lambda: len(started) > 1, "another start")
        eventually(lambda: forked, "the fork")
    finally:
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        supervisor.stop()


def test_a_process_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    stubborn = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    )
    supervisor = Supervisor([sys.executable, "-c", stubborn, str(ready)], patience=0.2)
    supervisor.start()
    eventually(ready.exists, "the process")
    supervisor.stop()
    assert str(ready) not in " ".join(command for _, command in processes().values())
