"""Drills: processes are killed while devices are told things, and afterwards everything that is said of it is true."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import drill_devices
import pytest
import requests
import sqlalchemy as sa
from drill_devices import Devices
from guywire.db import reading, writing
from guywire.models import ConfigState, Device
from guywire.runtime import Runtime, utc_now
from guywire.services import devices
from guywire.testing.clients import API, OPENWRT
from guywire.testing.databases import data_dir
from guywire_ssh_connection.command_models import Command
from guywire_ssh_connection.models import Credentials, DeviceConnection, DeviceVisit
from guywire_ssh_connection.services import pushing
from guywire_ssh_connection.services.executing import UNKNOWN
from guywire_ssh_connection.strategies import OpenWrt
from processes import ROOT, Instance, descendants, eventually, free_port, web_processes, workers

pytestmark = pytest.mark.system

DEVICES = 40
PATIENCE = 180
WAKE_UP = "kill -USR1"
"""What the agent's update strategy tells a device in the end."""


@pytest.fixture
def clock() -> Any:
    """The clock that the killed processes have."""
    return utc_now


@pytest.fixture
def plugins() -> list[tuple[str, Any]]:
    return [("drill", drill_devices)]


class Site(Instance):
    """Everything that runs: ``guywire serve``, and perhaps Redis and a Celery worker. All of it can be killed."""

    def __init__(self, folder: Path, url: str, with_celery: bool) -> None:
        super().__init__(folder)
        self.ini = folder / "drill.ini"
        self.redis_port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.with_celery = with_celery
        settings = {"sqlalchemy.url": url.replace("%", "%%"), "guywire.data_dir": data_dir(), "guywire.job_lease": 1}
        settings |= {"guywire.http_host": "127.0.0.1", "guywire.http_port": self.port}
        if with_celery:
            broker = f"redis://127.0.0.1:{self.redis_port}/0"
            settings |= {"guywire.job_runner": "celery", "guywire.celery_broker": broker}
        lines = [f"{key} = {value}" for key, value in settings.items()]
        self.ini.write_text("\n".join(["[app:main]", "use = egg:guywire", *lines, ""]))
        package = folder / "plugins/drill-1.dist-info"
        package.mkdir(parents=True)
        (package / "METADATA").write_text("Name: drill\nVersion: 1\n")
        (package / "entry_points.txt").write_text("[guywire]\ndrill = drill_devices\n")
        self.environ |= {"GUYWIRE_INI": str(self.ini), "PYTHONPATH": f"{folder / 'plugins'}:{ROOT / 'tests'}"}
        del self.environ["GUYWIRE_DATA_DIR"], self.environ["GUYWIRE_HTTP_PORT"]

    @contextmanager
    def open(self) -> Iterator[None]:
        """Start it; end what is left of it."""
        try:
            if self.with_celery:
                self.start("redis")
                self.start("celery")
            self.start("serve")
            eventually(self.answers, "the first answer", PATIENCE)
            yield
            self.running["serve"].terminate()
            assert self.running["serve"].wait(PATIENCE) == 0
        finally:
            for name in list(self.running):
                self.kill(name)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        guywire = [sys.executable, "-m", "guywire.cli"]
        celery = [sys.executable, "-m", "celery", "-A", "guywire.celery", "worker", "-P", "threads", "-c", "16"]
        redis = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""]
        command = {
            "serve": [*guywire, "serve", str(self.ini), "--workers", "2"],
            "second worker": [*guywire, "worker", str(self.ini)],
            "celery": [*celery, "--without-mingle"],
            "redis": [*redis, "--dir", str(self.folder)],
        }[name]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
            )
        self.running[name] = process
        return process

    def kill(self, name: str) -> None:
        """kill -9. Parents first, where they would start others in place of their children."""
        serve = self.running.get("serve")
        if name == "worker":
            victims = workers(serve.pid) if serve else []
        elif name == "web":
            victims = web_processes(serve.pid) if serve else []
        else:
            process = self.running.pop(name)
            victims = [process.pid, *descendants(process.pid)]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if name not in ("worker", "web"):
            process.wait()

    def kill_and_replace(self, name: str) -> None:
        self.kill(name)
        if name not in ("worker", "web"):
            self.start(name)


class Operator:
    """Asks for commands and edits configurations, and keeps in mind what was answered to that."""

    def __init__(self, site: Site, token: str, seed: int) -> None:
        self.site, self.random = site, random.Random(seed)
        self.headers = {"Authorization": f"Bearer {token}"}
        self.asked: dict[str, tuple[str, str]] = {}
        self.doubtful: set[tuple[str, str]] = set()
        self.numbers = iter(range(100_000, 200_000))
        self.error: BaseException | None = None

    def send(self, method: str, path: str, body: Any) -> Any | None:
        """The answer; None if nobody lived to give one."""
        try:
            response = requests.request(
                method, f"http://127.0.0.1:{self.site.port}{API}{path}", json=body, headers=self.headers, timeout=30
            )
        except requests.RequestException:
            return None
        # The database may be busy while a worker that was killed is still being cleaned up after.
        assert response.ok or response.status_code == 503, response.text
        return response.json() if response.ok else None

    def command(self, device: str, address: str, kind: str) -> None:
        """Ask for a command until that is answered; each time for another one, because nobody knows of the former."""
        while True:
            number = next(self.numbers)
            secret = f"secret-{number}"
            input: Any = {
                "custom": {"command": f"echo {number}"},
                "change_password": {"password": secret, "confirm_password": secret},
                "drill_blink": {"times": number},
                "reboot": None,
            }[kind]
            line = {
                "custom": f"echo {number}",
                "change_password": f"printf '%s\\n%s\\n' {secret} {secret} | passwd root",
                "drill_blink": f"blink {number}",
                "reboot": "reboot",
            }[kind]
            made = self.send("POST", f"device/{device}/command/", {"type": kind, "input": input})
            if made is not None:
                self.asked[made["id"]] = (address, line)
                return
            self.doubtful.add((address, line))
            eventually(self.site.answers, "an answer", PATIENCE)

    def edit(self, device: str) -> None:
        body = {"config": {"config": {"general": {"timezone": "Europe/Rome"}}}}
        while self.send("PATCH", f"device/{device}/", body) is None:
            eventually(self.site.answers, "an answer", PATIENCE)

    def work(self, fleet: dict[str, str]) -> None:
        """Two hundred jobs: for each device commands of four kinds, and an edit."""
        kinds = ("custom", "change_password", "drill_blink", "reboot", "edit")
        jobs = [(device, kind) for device in fleet for kind in kinds]
        self.random.shuffle(jobs)
        try:
            for device, kind in jobs:
                if kind == "edit":
                    self.edit(device)
                else:
                    self.command(device, fleet[device], kind)
        except BaseException as error:
            self.error = error
            raise


def make_fleet(runtime: Runtime, organization: str, port: int, size: int) -> dict[str, str]:
    """Devices that can be reached. Returns their ids, and their addresses."""
    now, owner = utc_now(), UUID(organization)
    dates = {"created": now, "modified": now}
    fleet = {}
    with writing(runtime.session_factory) as session:
        credentials = Credentials(
            name="drill", organization_id=owner, connector=drill_devices.CONNECTOR, params={"port": port}, **dates
        )
        session.add(credentials)
        session.flush()
        for number in range(1, size + 1):
            address = f"10.8.0.{number}"
            device = Device(
                name=f"r{number}",
                organization_id=owner,
                mac_address=f"00:00:00:00:00:{number:02X}",
                key=f"{number:032x}",
                management_ip=address,
                **dates,
            )
            session.add(device)
            devices.create_config(session, runtime.renderer, device, now, backend=OPENWRT, templates=[])
            session.flush()
            connection = {"device_id": device.id, "credentials_id": credentials.id, "update_strategy": OpenWrt.id}
            session.add(DeviceConnection(**connection, **dates))
            pushing.begin(session, [device.id])
            fleet[str(device.id)] = address
    return fleet


def commands(runtime: Runtime) -> dict[str, Command]:
    with reading(runtime.session_factory) as session:
        return {str(each.id): each for each in session.scalars(sa.select(Command).order_by(Command.number))}


def is_quiet(runtime: Runtime) -> bool:
    """Whether all commands have ended, and all devices have been told of their configuration."""
    told = DeviceVisit.pushed_generation == ConfigState.generation
    visits = sa.select(DeviceVisit.device_id).join(ConfigState, ConfigState.device_id == DeviceVisit.device_id)
    with reading(runtime.session_factory) as session:
        waits = session.scalar(sa.select(sa.exists().where(Command.status == "in-progress")))
        return not waits and session.scalar(visits.where(~told).limit(1)) is None


VICTIMS = {
    "worker": ("worker", "worker", "web", "serve"),
    "celery": ("celery", "redis", "web", "worker"),
}


@pytest.mark.parametrize(
    ("database_url", "runner", "seed"),
    [("sqlite", "worker", 1), ("postgresql", "celery", 14)],
    indirect=["database_url"],
)
def test_whoever_is_killed_commands_run_once_and_what_is_said_of_them_is_true(
    database_url, runner, seed, runtime, admin, organization, tmp_path
):
    hosts, dice = Devices(), random.Random(seed)
    site = Site(tmp_path, database_url, with_celery=runner == "celery")
    with hosts.open() as port, site.open():
        fleet = make_fleet(runtime, organization, port, DEVICES)
        operator = Operator(site, admin.token, seed)
        victims = dice.sample(VICTIMS[runner], len(VICTIMS[runner]))
        points = sorted(dice.sample(range(5, 4 * DEVICES), len(victims)))
        asking = threading.Thread(target=operator.work, args=(fleet,))
        asking.start()
        for point, victim in zip(points, victims, strict=True):
            eventually(lambda n=point: len(hosts.heard) >= n or operator.error, f"{point} things", PATIENCE)
            site.kill_and_replace(victim)
        asking.join(PATIENCE)
        assert (operator.error, asking.is_alive()) == (None, False)
        eventually(lambda: is_quiet(runtime), "the end of all jobs", PATIENCE)
        assert runner != "celery" or site.running["celery"].poll() is None, "it outlives its broker"

    made, heard = commands(runtime), Counter(hosts.heard)
    assert set(operator.asked) <= set(made), "what was answered is there"
    assert len(operator.asked) == 4 * DEVICES
    for id, command in made.items():
        if command.status == "failed":
            assert command.output.endswith(UNKNOWN)
            assert command.started is not None
        else:
            assert command.status == "success"
        if id in operator.asked and operator.asked[id][1] != "reboot":
            assert heard[operator.asked[id]] == 1 or (command.status, heard[operator.asked[id]]) == ("failed", 0)
        assert command.secret is None
    for address in fleet.values():
        reboots = [each for each in made.values() if each.type == "reboot" and fleet[str(each.device_id)] == address]
        succeeded = sum(each.status == "success" for each in reboots)
        assert succeeded <= heard[address, "reboot"] <= len(reboots)
        mine = [operator.asked[id] for id in made if id in operator.asked]
        lines = [line for device, line in mine if device == address and line != "reboot"]
        told = [line for device, line in hosts.heard if device == address and line in lines]
        assert told == [line for line in lines if line in told], "in the order in which they were asked for"
        assert any(WAKE_UP in line for device, line in heard if device == address), "it was told of its configuration"
    assert all(heard[each] <= 1 for each in operator.doubtful if each[1] != "reboot")
    assert not hosts.occupied_twice
    unknown = sum(each.status == "failed" for each in made.values())
    print(f"{len(made)} commands, {unknown} with unknown outcome, {sum(heard.values())} things told")
    # No more than what ran when those were killed who run commands.
    assert unknown <= DEVICES * sum(each in ("serve", runner) for each in victims)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_that_was_stopped_for_long_runs_nothing_that_others_have_run(
    database_url, runtime, admin, organization, tmp_path
):
    hosts, site = Devices(), Site(tmp_path, database_url, with_celery=False)
    with hosts.open() as port, site.open():
        [(device, address)] = make_fleet(runtime, organization, port, 1).items()
        gate = hosts.let_wait(address)
        for number in range(3):
            path = f"device/{device}/command/"
            admin.post(path, {"type": "custom", "input": {"command": f"echo {number}"}})
        eventually(lambda: hosts.visits[address] == 1, "the visit", PATIENCE)
        stopped = eventually(lambda: workers(site.running["serve"].pid), "the worker", PATIENCE)[0]
        eventually(lambda: stop(stopped, runtime), "a worker that holds no lock", PATIENCE)
        site.start("second worker")
        eventually(lambda: is_quiet(runtime), "the end of the commands", PATIENCE)
        eventually(lambda: hosts.visits[address] == 1, "the end of the second visit", PATIENCE)
        gate.set()
        os.kill(stopped, signal.SIGCONT)
        eventually(lambda: hosts.visits[address] == 0, "the end of the first visit", PATIENCE)
        assert [each.status for each in commands(runtime).values()] == ["success"] * 3
        assert hosts.heard == [(address, f"echo {number}") for number in range(3)]
        eventually(lambda: site.logged("visit given up"), "the reason", PATIENCE)


def stop(pid: int, runtime: Runtime) -> bool:
    """Stop a process, unless it is in a transaction, in which it would hold up everybody."""
    os.kill(pid, signal.SIGSTOP)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with runtime.engine.connect() as connection:
        if not connection.scalar(sa.text(f"SELECT count(*) {others} AND state <> 'idle'")):
            return True
    os.kill(pid, signal.SIGCONT)
    return False
