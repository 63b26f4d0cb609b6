"""SSH: ``python bench/ssh.py [--quick]``.

Pushes to 500 devices on loopback by one worker, each over a session of its own, with a login and two commands; and what
is left afterwards. The devices are a process of their own on the same processors: about half of the work is theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from fleet import make_fleet
from guywire.db import reading, writing
from guywire.models import Device
from guywire.runtime import Runtime
from guywire_ssh_connection.connectors.ssh import Ssh
from guywire_ssh_connection.models import Credentials, DeviceConnection, DeviceVisit
from guywire_ssh_connection.services import visits
from guywire_ssh_connection.settings import SSHSettings
from guywire_ssh_connection.strategies import OpenWrt
from harness import DATABASES, Instance, arguments, instance, print_table


@contextmanager
def devices() -> Iterator[int]:
    """The port at which they listen."""
    command = [sys.executable, str(Path(__file__).with_name("ssh_device.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def connect(runtime: Runtime, port: int) -> list[uuid.UUID]:
    """Give all devices a connection, through which they have not been told of their configuration yet."""
    now = runtime.clock()
    dates = {"created": now, "modified": now}
    with writing(runtime.session_factory) as session:
        params = {"username": "root", "password": "password", "port": port}
        credentials = Credentials(id=uuid.uuid4(), name="all", connector=Ssh.id, params=params, **dates)
        session.add(credentials)
        session.flush()
        session.execute(sa.update(Device).values(management_ip="127.0.0.1"))
        ids = list(session.scalars(sa.select(Device.id)))
        for id in ids:
            session.add(
                DeviceConnection(device_id=id, credentials_id=credentials.id, update_strategy=OpenWrt.id, **dates)
            )
            session.add(DeviceVisit(device_id=id))
    return ids


def used(runtime: Runtime) -> tuple[int, int]:
    """The threads and the file descriptors of this process, but for the connections to the database."""
    runtime.engine.dispose()
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def measure(served: Instance, size: int, port: int) -> None:
    """Visit all devices, as many at once as a worker does."""
    runtime = served.runtime
    make_fleet(runtime, size, 0)
    ids = connect(runtime, port)
    visits.visit(runtime, str(ids[0]))
    before = used(runtime)
    begun, cpu = time.perf_counter(), time.process_time()
    at_once = SSHSettings().parallel_visits
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda id: visits.visit(runtime, str(id)), ids[1:]))
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    threads, files = (now - then for now, then in zip(used(runtime), before, strict=True))
    with reading(runtime.session_factory) as session:
        reached = sa.select(sa.func.count()).where(DeviceVisit.pushed_generation > 0)
        done = session.scalar(reached) or 0
    rows = [
        ["pushes", f"{done} of {size}"],
        ["time", f"{took:.1f} s, {(size - 1) / took:.0f} a second"],
        ["processor time of the worker for each", f"{cpu / (size - 1) * 1000:.0f} ms"],
        ["threads, file descriptors left over", f"{threads}, {files}"],
    ]
    print_table(f"{size} SSH sessions, {at_once} at once, {DATABASES[served.kind]}", ["", ""], rows)


def main() -> None:
    """Measure on both databases."""
    size = 100 if arguments(__doc__).quick else 500
    with devices() as port:
        for kind in DATABASES:
            with instance(kind) as served:
                measure(served, size, port)


if __name__ == "__main__":
    main()
