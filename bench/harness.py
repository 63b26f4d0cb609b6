"""Databases, server processes and tables for the benchmarks."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg
from guywire.builtin import BUILTIN
from guywire.cli import web
from guywire.cli.ini import Ini
from guywire.cli.wsgi import INI_VARIABLE, create_for_parent
from guywire.runtime import Runtime, create_runtime
from guywire.testing.databases import data_dir, fresh_database

HERE = Path(__file__).parent
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
THREADS = web._THREADS
"""How many threads a web process of ``guywire serve`` has."""

_INI = """\
[app:main]
use = egg:guywire
sqlalchemy.url = {url}
guywire.data_dir = {data_dir}
guywire.trusted_proxies = 127.0.0.1
guywire.log_level = WARNING
"""


def arguments(description: str | None) -> argparse.Namespace:
    """The command line that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer devices and shorter runs, for figures to smile at")
    return parser.parse_args()


# Databases


@dataclass(frozen=True)
class Instance:
    """A fresh database, this process's runtime on it, and the ini file for other processes."""

    kind: str
    ini: Path
    runtime: Runtime


@contextmanager
def instance(kind: str) -> Iterator[Instance]:
    """A fresh database of a kind, migrated and empty."""
    url, drop = fresh_database(kind, BUILTIN)
    if kind == "postgresql" and not os.environ.get("GUYWIRE_TEST_POSTGRESQL_URL"):
        _make_durable(url)
    with TemporaryDirectory() as folder:
        ini = Path(folder) / "bench.ini"
        ini.write_text(_INI.format(url=url.replace("%", "%%"), data_dir=data_dir()))
        runtime = create_runtime(Ini(str(ini)).settings(), BUILTIN)
        try:
            yield Instance(kind, ini, runtime)
        finally:
            runtime.close()
            drop()


def _make_durable(url: str) -> None:
    """Undo what the tests' server leaves out: here, it has to do all that it would do for an operator."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


# Processes


@dataclass(frozen=True)
class Process:
    """A process of ours and those that it started."""

    pid: int
    port: int = 0

    def cpu_seconds(self) -> float:
        """The time of all processors that they have used so far."""
        parent = psutil.Process(self.pid)
        return sum(sum(each.cpu_times()[:2]) for each in (parent, *parent.children(recursive=True)))


@contextmanager
def controller(served: Instance, threads: int = THREADS) -> Iterator[Process]:
    """One web process as ``guywire serve`` has it, and no worker."""
    with _web("controller", served.ini, threads) as process:
        yield process


@contextmanager
def hello(served: Instance, threads: int = THREADS) -> Iterator[Process]:
    """A web process with the same options and the least application that there can be."""
    with _web("hello", served.ini, threads) as process:
        yield process


@contextmanager
def worker(served: Instance) -> Iterator[Process]:
    """One worker process."""
    with _process([sys.executable, "-m", "guywire.cli", "worker", str(served.ini)], {}) as pid:
        yield Process(pid)


@contextmanager
def _web(application: str, ini: Path, threads: int) -> Iterator[Process]:
    port = _free_port()
    command = [sys.executable, "-c", f"import harness; harness.serve('{application}', {port}, {threads})"]
    with _process(command, {INI_VARIABLE: str(ini)}) as pid:
        _wait_until_it_listens(port)
        yield Process(pid, port)


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(command, env={**os.environ, **environment, "PYTHONPATH": path})
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server does not listen")


# What the web processes run


def serve(application: str, port: int, threads: int) -> None:
    """Serve with Granian and the options of ``guywire serve``, but for the number of threads."""
    web._THREADS = threads
    settings = replace(Ini(os.environ[INI_VARIABLE]).settings(), http_port=port)
    target = {"controller": partial(create_for_parent, os.getpid()), "hello": _make_hello}[application]
    web._granian(settings, workers=1).serve(target_loader=target, wrap_loader=False)


def _make_hello() -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "32")])
        return [b"hello, this is as long as an md5"]

    return application


# Tables


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The first column is text; what follows is numbers, aligned to the right."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    print(f"\n{title}\n")
    for line in lines:
        numbers = [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(["", line[0].ljust(widths[0]), *numbers]).rstrip())
    sys.stdout.flush()


def milliseconds(seconds: float) -> str:
    """A duration for a table."""
    return f"{seconds * 1000:.1f} ms"
