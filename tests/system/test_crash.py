"""``guywire serve`` is killed in the middle of a template edit: afterwards no device is left with a stale checksum."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import ConfigArchive, ConfigState, Device, Template
from guywire.runtime import Runtime
from guywire.services import devices, status
from guywire.services.rendering import read_inputs
from guywire.testing.clients import API, OPENWRT
from guywire.testing.databases import data_dir
from processes import INI, Instance, descendants, eventually, web_processes, workers

pytestmark = pytest.mark.system

DEVICES = 500
PATIENCE = 120


class Server(Instance):
    """``guywire serve`` on a database of ours, which can be killed and started again."""

    process: subprocess.Popen[bytes]

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(folder)
        self.environ |= {"GUYWIRE_SQLALCHEMY_URL": url, "GUYWIRE_DATA_DIR": str(data_dir())}

    def start(self) -> None:
        command = [sys.executable, "-m", "guywire.cli", "serve", str(INI), "--workers", "2"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        eventually(self.answers, "the first answer", PATIENCE)
        eventually(lambda: workers(self.process.pid), "the worker", PATIENCE)

    def kill(self) -> None:
        """kill -9 of everything. The parent first, or it would start others in place of its children."""
        children = descendants(self.process.pid)
        self.process.kill()
        kill(children)
        self.process.wait()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE, **options)


def kill(processes: Any) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Fleet:
    """Five hundred devices that share a template, which are five batches for the worker; and what is known of them
    without asking the server."""

    def __init__(self, runtime: Runtime, server: Server, token: str, template: UUID) -> None:
        self.runtime, self.server, self.token, self.template = runtime, server, token, template
        self.edits = 0
        with reading(runtime.session_factory) as session:
            self.keys = {str(row.id): row.key for row in session.execute(sa.select(Device.id, Device.key))}

        self.some = list(self.keys)[:: DEVICES // 20]

    def edit(self) -> requests.Response | None:
        """Edit the template; None if nobody lived to answer."""
        self.edits += 1
        body = {"config": {"interfaces": [{"name": f"eth{self.edits}", "type": "ethernet"}]}}
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            return self.server.request("PATCH", f"{API}template/{self.template}/", json=body, headers=headers)
        except requests.RequestException:
            return None

    def poll(self) -> dict[str, str]:
        """The checksums of some devices, as they are told."""
        checksums = {}
        for device in self.some:
            url = f"/controller/checksum/{device}/"
            response = self.server.request("GET", url, params={"key": self.keys[device]})
            assert response.status_code == 200, response.text
            checksums[device] = response.text
        return checksums

    def wait_for_rendering(self, left: int) -> None:
        """Until at most so many devices are stale."""
        stale = sa.select(sa.func.count()).where(ConfigState.inputs_version != ConfigState.rendered_version)

        def is_done() -> bool:
            with reading(self.runtime.session_factory) as session:
                count: int = session.execute(stale).scalar_one()
                return count <= left

        eventually(is_done, f"at most {left} stale devices", PATIENCE)

    def interface(self) -> str:
        """The name that the template gives to an interface now."""
        with reading(self.runtime.session_factory) as session:
            name: str = session.get_one(Template, self.template).config["interfaces"][0]["name"]
            return name

    def check_everything_is_right(self) -> None:
        """Every device has what would be rendered for it now."""
        self.wait_for_rendering(left=0)
        with reading(self.runtime.session_factory) as session:
            states = {state.config_id: state for state in session.scalars(sa.select(ConfigState))}
            assert len(states) == DEVICES
            for inputs in read_inputs(session, self.runtime.renderer, list(states)):
                state = states[inputs.config_id]
                assert not status.is_stale(state)
                assert self.runtime.renderer.render(inputs).digest == state.digest
                assert state.status == status.status_of(state)
            archives = {archive.config_id: archive for archive in session.scalars(sa.select(ConfigArchive))}
            assert set(archives) == set(states)
            for config_id, archive in archives.items():
                checksum = hashlib.md5(archive.archive).hexdigest()
                assert checksum == archive.checksum == states[config_id].checksum


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(database_url, tmp_path)
    yield made
    if made.process.poll() is None:
        made.kill()


@pytest.fixture
def fleet(runtime: Runtime, server: Server, admin: Any, organization: str) -> Fleet:
    template = UUID(admin.make_template(organization, "eth0")["id"])
    now = runtime.clock()
    with writing(runtime.session_factory) as session:
        for number in range(DEVICES):
            device = Device(
                name=f"router-{number}",
                organization_id=UUID(organization),
                mac_address=":".join(f"{byte:02X}" for byte in number.to_bytes(6)),
                key=f"{number:032x}",
                created=now,
                modified=now,
            )
            session.add(device)
            devices.create_config(session, runtime.renderer, device, now, backend=OPENWRT, templates=[template])
    return Fleet(runtime, server, admin.token, template)


def test_no_device_is_left_with_a_stale_checksum_when_everything_is_killed(server: Server, fleet: Fleet) -> None:
    server.start()
    before = fleet.poll()
    # The edit is on its way: whether it counts is decided by the database, and then it counts for all.
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fleet.edit)
        server.kill()
        answer.result()
    server.start()
    fleet.check_everything_is_right()
    # The edit is answered, so it counts; nothing, a part, or nearly all of it has been rendered.
    for left in (DEVICES, DEVICES * 3 // 4, DEVICES // 4):
        answered = fleet.edit()
        assert answered is not None
        assert answered.status_code == 200
        fleet.wait_for_rendering(left)
        server.kill()
        server.start()
        assert fleet.interface() == f"eth{fleet.edits}"
        # What has not been rendered yet is rendered at its next poll.
        after = fleet.poll()
        assert all(after[device] != before[device] for device in fleet.some)
        before = after
        fleet.check_everything_is_right()
        assert fleet.poll() == before


def test_who_is_killed_alone_is_replaced_and_the_work_goes_on(server: Server, fleet: Fleet) -> None:
    server.start()
    before = fleet.poll()
    # The worker first: it was started at the same time as the web processes.
    for victims in (workers, web_processes):
        assert fleet.edit() is not None
        fleet.wait_for_rendering(left=DEVICES * 3 // 4)
        kill(victims(server.process.pid))
        fleet.check_everything_is_right()
        eventually(server.answers, "an answer", PATIENCE)
        after = fleet.poll()
        assert all(after[device] != before[device] for device in fleet.some)
        before = after
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0
