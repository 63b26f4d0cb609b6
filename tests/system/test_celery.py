"""Jobs by way of Celery: workers and brokers are killed, and every job is done and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

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

pytestmark = pytest.mark.system

JOBS = 200
PATIENCE = 60

DRILL = """
import os, time
from guywire import hookimpl
from guywire.interfaces import Job

def note(runtime, n, pause=0.02):
    time.sleep(pause)
    with open(os.environ["DRILL"], "a") as file:
        file.write(f"{n}\\n")

def count(runtime, progress):
    for done in range(4):
        progress.report(done, 3)

def fail(runtime):
    raise RuntimeError("as it has to")

ticks = Job("drill.tick", lambda runtime: note(runtime, "tick", 0), every=1.0)

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
        self.notes = folder / "notes"
        self.notes.touch()
        self.log = folder / "log"
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GUYWIRE_", "PYTHONWARN"))}
        self.environ = clean | {
            "GUYWIRE_INI": str(self.ini),
            "DRILL": str(self.notes),
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

    def done(self) -> list[str]:
        return [line for line in self.notes.read_text().split() if line != "tick"]

    def unfinished(self) -> int:
        with reading(self.runtime.session_factory) as session:
            counted = sa.select(sa.func.count()).where(JobRecord.name == "drill.note")
            return session.scalar(counted) or 0

    def states(self) -> dict[str, str]:
        with reading(self.runtime.session_factory) as session:
            return {row.name: row.state for row in session.execute(sa.select(JobRecord.name, JobRecord.state))}


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
        queue.enqueue_many("drill.note", [{"n": n} for n in range(JOBS)], priority=Priority.BULK)
        with drill.celery() as first:
            eventually(lambda: len(drill.done()) > 30, "the first jobs", PATIENCE)
            kill({first.pid, *descendants(first.pid)})
            first.wait()
            assert drill.unfinished() > 50
        with drill.celery():
            seen = len(drill.done())
            eventually(lambda: len(drill.done()) > seen + 30, "more jobs", PATIENCE)
            first_redis.kill()
            first_redis.wait()
            queue.enqueue("drill.note", n="while Redis is away")
            queue.enqueue("drill.fail")
            assert drill.unfinished() > 1
            with redis(tmp_path, port):
                eventually(lambda: not drill.unfinished(), "all jobs", PATIENCE)
                queue.enqueue("drill.count")
                eventually(lambda: drill.states().get("drill.count") == "succeeded", "a job with progress", PATIENCE)
    assert set(drill.done()) == {*map(str, range(JOBS)), "while", "Redis", "is", "away"}
    # Only what ran when somebody was killed may have been done twice.
    assert len(drill.done()) <= JOBS + 4 + 4
    assert drill.states()["drill.fail"] == "waiting"
    assert "tick" in drill.notes.read_text()


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
