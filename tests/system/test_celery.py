"""Jobs by way of Celery: workers and brokers are killed, and every job is done and says so."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from guywire.builtin import BUILTIN
from guywire.cli.ini import Ini
from guywire.db import reading
from guywire.jobs import Priority
from guywire.models import JobRecord
from guywire.runtime import Runtime, create_runtime
from guywire.testing.databases import data_dir, fresh_database
from processes import descendants, eventually, free_port, is_alive
from redis import Redis

pytestmark = pytest.mark.system

JOBS = 200
PATIENCE = 180
NO_LIMIT = 1_000_000

DRILL = """
import os, time
from pathlib import Path
from guywire import hookimpl
from guywire.interfaces import Job

notes, limit = Path(os.environ["DRILL"]), Path(os.environ["DRILL_LIMIT"])

def note(runtime, n):
    while n != "tick" and len(notes.read_text().replace("tick", "").split()) >= int(limit.read_text()):
        time.sleep(0.05)
    with notes.open("a") as file:
        file.write(f"{n}\\n")

def count(runtime, progress):
    for done in range(4):
        progress.report(done, 3)

def fail(runtime):
    raise RuntimeError("as it has to")

ticks = Job("drill.tick", lambda runtime: note(runtime, "tick"), every=1.0)

@hookimpl
def register_jobs():
    return [Job("drill.note", note), Job("drill.count", count), Job("drill.fail", fail), ticks]
"""


class Drill:
    """A database, a broker and Celery workers, all of which can be killed."""

    def __init__(self, folder: Path, url: str, broker: str) -> None:
        self.ini = folder / "drill.ini"
        self.ini.write_text(
            f"[app:main]\nuse = egg:guywire\nsqlalchemy.url = {url}\nguywire.data_dir = {data_dir()}\n"
            f"guywire.job_runner = celery\nguywire.celery_broker = {broker}\nguywire.job_lease = 3\n"
        )
        package = folder / "plugins/drill-1.dist-info"
        package.mkdir(parents=True)
        (package / "METADATA").write_text("Name: drill\nVersion: 1\n")
        (package / "entry_points.txt").write_text("[guywire]\ndrill = drill\n")
        (folder / "plugins/drill.py").write_text(DRILL)
        self.folder = folder
        self.notes = folder / "notes"
        self.notes.touch()
        self.let_do(NO_LIMIT)
        self.log = folder / "log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GUYWIRE_", "PYTHONWARN"))}
        self.environ = clean | {
            "GUYWIRE_INI": str(self.ini),
            "DRILL": str(self.notes),
            "DRILL_LIMIT": str(folder / "limit"),
            "PYTHONPATH": str(folder / "plugins"),
        }
        self.runtime: Runtime = create_runtime(Ini(str(self.ini)).settings(), BUILTIN)

    @contextmanager
    def celery(self) -> Iterator[subprocess.Popen[bytes]]:
        """A Celery worker, until it is killed or the block ends."""
        command = [sys.executable, "-m", "celery", "-A", "guywire.celery", "worker", "-c", "2", "--without-mingle"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log, cwd=self.folder)
        family: set[int] = set()
        try:
            yield process
            if process.poll() is None:
                family = set(descendants(process.pid))
                process.terminate()
                process.wait(PATIENCE)
                assert not [pid for pid in family if is_alive(pid)], "it takes its processes along"
        finally:
            kill({process.pid, *descendants(process.pid), *family})
            process.wait()

    def let_do(self, number: int) -> None:
        """Jobs beyond this number (give or take one for each process) have to wait."""
        (self.folder / "new").write_text(str(number))
        (self.folder / "new").replace(self.folder / "limit")

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()

    def done(self) -> list[str]:
        return [line for line in self.notes.read_text().split() if line != "tick"]

    def unfinished(self) -> int:
        with reading(self.runtime.session_factory) as session:
            counted = sa.select(sa.func.count()).where(JobRecord.name == "drill.note")
            return session.scalar(counted) or 0

    def job(self, name: str) -> Any:
        with reading(self.runtime.session_factory) as session:
            return session.scalars(sa.select(JobRecord).where(JobRecord.name == name)).first()


def kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def make_drill(tmp_path: Path) -> Iterator[Callable[[str], Drill]]:
    """A function that prepares everything but the broker, whose address it is given."""
    url, drop = fresh_database("postgresql", BUILTIN)
    made: list[Drill] = []

    def make(broker: str) -> Drill:
        made.append(Drill(tmp_path, url.replace("%", "%%"), broker))
        return made[-1]

    yield make
    for each in made:
        each.runtime.close()
    drop()


def waits_with_one_in_hand(port: int) -> bool:
    """Whether a worker has fetched a message that it cannot begin, and would take another one."""
    with Redis(port=port) as client:
        return client.hlen("unacked") == 1 and any("b" in each["flags"] for each in client.client_list())


@contextmanager
def redis(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis that keeps nothing on disk."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_no_job_is_lost_when_workers_and_redis_are_killed(make_drill, tmp_path):
    port = free_port()
    drill = make_drill(f"redis://127.0.0.1:{port}/0")
    queue = drill.runtime.queue
    with redis(tmp_path, port) as first_redis:
        drill.let_do(40)
        queue.enqueue_many("drill.note", [{"n": n} for n in range(JOBS)], priority=Priority.BULK)
        with drill.celery() as first:
            eventually(lambda: len(drill.done()) >= 40, "the first jobs", PATIENCE)
            kill({first.pid, *descendants(first.pid)})
            first.wait()
            assert drill.unfinished() > JOBS / 2
        drill.let_do(80)
        with drill.celery() as second:
            eventually(lambda: len(drill.done()) >= 80, "more jobs", PATIENCE)
            # By now it has fetched messages that it cannot begin.
            first_redis.kill()
            first_redis.wait()
            eventually(lambda: drill.logged("Connection to broker lost"), "that the worker notices", PATIENCE)
            queue.enqueue("drill.note", n="late")
            queue.enqueue("drill.fail")
            drill.let_do(NO_LIMIT)
            with redis(tmp_path, port):
                eventually(lambda: not drill.unfinished(), "all jobs", PATIENCE)
                queue.enqueue("drill.count")
                counted = eventually(lambda: (job := drill.job("drill.count")) and job.finished and job, "it", PATIENCE)
                eventually(lambda: drill.job("drill.fail").error, "the failure", PATIENCE)
                eventually(lambda: "tick" in drill.notes.read_text(), "what is periodic", PATIENCE)
            assert second.poll() is None, "the worker outlives its broker"
    assert (counted.state, counted.done) == ("succeeded", 3)
    assert drill.job("drill.fail").error == "RuntimeError (the log of the worker says more)"
    assert set(drill.done()) == {*map(str, range(JOBS)), "late"}
    # Only what ran when somebody was killed may have been done twice.
    assert len(drill.done()) <= JOBS + 4 + 4


def test_a_worker_outlives_redis_whatever_it_has_in_hand(make_drill, tmp_path):
    port = free_port()
    drill = make_drill(f"redis://127.0.0.1:{port}/0")
    drill.let_do(0)
    with drill.celery() as worker:
        with redis(tmp_path, port):
            # One more than it has processes.
            drill.runtime.queue.enqueue_many("drill.note", [{"n": n} for n in range(3)])
            eventually(lambda: waits_with_one_in_hand(port), "the messages", PATIENCE)
        eventually(lambda: drill.logged("Connection to broker lost"), "that the worker notices", PATIENCE)
        drill.let_do(NO_LIMIT)
        with redis(tmp_path, port):
            eventually(lambda: not drill.unfinished(), "all jobs", PATIENCE)
        assert worker.poll() is None
    assert sorted(drill.done()) == ["0", "1", "2"]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@pytest.fixture
def rabbitmq(tmp_path: Path) -> Iterator[str]:
    """The address of a RabbitMQ of our own."""
    port, distribution, epmd = free_port(), free_port(), free_port()
    name = f"guywire{port}@localhost"
    environ = os.environ | {
        "HOME": str(tmp_path),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": name,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "mnesia"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "plugins-enabled"),
        "RABBITMQ_PID_FILE": str(tmp_path / "pid"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    }
    # Left alone, the node would start a daemon that stays.
    names = subprocess.Popen(["epmd"], env=environ)
    eventually(lambda: _listens(epmd), "epmd", PATIENCE)
    process = subprocess.Popen(
        ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        names.kill()
        process.wait()
        names.wait()


def test_rabbitmq_serves_as_well(make_drill, rabbitmq):
    drill = make_drill(rabbitmq)
    queue = drill.runtime.queue
    eventually(lambda: queue.broker.is_empty(), "RabbitMQ", PATIENCE)
    queue.enqueue_many("drill.note", [{"n": n} for n in range(20)])
    with drill.celery():
        eventually(lambda: not drill.unfinished(), "all jobs", PATIENCE)
    assert sorted(map(int, drill.done())) == list(range(20))
    assert queue.clock() <= datetime.now(UTC)
