"""Engine and sessions for SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from guywire.settings import Settings

SessionFactory = sessionmaker[Session]

WRITES = "guywire_writes"
"""Execution option: this transaction will write, so SQLite takes its write lock at once (see ``_begin``)."""


def create_engine(settings: Settings) -> Engine:
    """An engine for ``settings.sqlalchemy_url``. Nothing is connected yet."""
    url = make_url(settings.sqlalchemy_url)
    options: dict[str, Any] = {
        "json_serializer": _dumps,
        "json_deserializer": orjson.loads,
        # Statements are logged when they fail; what they carry are keys and passwords.
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        return _create_sqlite_engine(url, settings, options)
    milliseconds = int(settings.busy_timeout * 1000)
    engine = sa.create_engine(
        url,
        pool_size=10,
        max_overflow=20,
        pool_timeout=settings.busy_timeout,
        connect_args={"options": f"-c lock_timeout={milliseconds} -c timezone=UTC"},
        **options,
    )
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ping_idle, engine.dialect))
    return engine


_BELIEVED = 1.0
"""Seconds after its last use for which a connection is believed to be alive: asking takes a round trip. A request that
was wrong in that is repeated (see ``api.answers``)."""

_LAST_USE = "guywire_last_use"


def _note_use(connection: Any, record: Any) -> None:
    record.info[_LAST_USE] = time.monotonic()


def _ping_idle(dialect: Any, connection: Any, record: Any, proxy: Any) -> None:
    last_use = record.info.get(_LAST_USE)
    if last_use is None or time.monotonic() - last_use < _BELIEVED:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise sa.exc.InvalidatePoolError from error


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _create_sqlite_engine(url: sa.URL, settings: Settings, options: dict[str, Any]) -> Engine:
    connect_args: dict[str, Any] = {"timeout": settings.busy_timeout, "check_same_thread": False}
    if url.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    else:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        options |= {"pool_size": 20, "max_overflow": 40, "pool_timeout": settings.busy_timeout}
    engine = sa.create_engine(url, connect_args=connect_args, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin)
    _turns[engine] = RLock()
    return engine


_turns: WeakKeyDictionary[Engine, AbstractContextManager[Any]] = WeakKeyDictionary()
_no_turn = nullcontext()


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # We emit BEGIN ourselves: Python's sqlite3 would begin only at the first write, and then deferred.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sa.Connection) -> None:
    """Begin as the option ``WRITES`` says.

    A transaction that reads first and writes later cannot wait for another writer in SQLite (its snapshot is too old
    by then): it fails at once with "database is locked". One that announces itself waits its turn.
    """
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def create_session_factory(engine: Engine, **info: Any) -> SessionFactory:
    """Sessions on ``engine``; ``info`` is handed to each of them as ``session.info``."""
    return sessionmaker(engine, expire_on_commit=False, info=info)


def announce_writes(session: Session) -> None:
    """Begin the session's transaction as one that writes. To be called before its first statement."""
    session.connection(execution_options={WRITES: True})


def announce_reads(session: Session) -> None:
    """Let the session only read. To be called before its first statement.

    PostgreSQL needs no transaction for that: its statements see what is committed when each of them begins, with or
    without. It is spared two round trips. SQLite's transactions are snapshots, and cost next to nothing.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


@contextmanager
def reading(factory: SessionFactory) -> Iterator[Session]:
    """A session that only reads; nothing is kept."""
    with factory() as session:
        yield session


@contextmanager
def writing(factory: SessionFactory) -> Iterator[Session]:
    """A session that writes: committed at the end of the block, rolled back when the block raises.

    The threads of a process that does much at once take turns where the database has one writer: SQLite's own waiting
    is not fair, and some of many threads would starve. What is written after the commit belongs to the same turn.
    """
    with _turns.get(factory.kw["bind"], _no_turn), factory.begin() as session:
        announce_writes(session)
        yield session


def is_overload(error: BaseException) -> bool:
    """Whether ``error`` says that the database is busy or away for now, so that trying later may help."""
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    original = error.orig
    if getattr(original, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return True
    state = getattr(original, "sqlstate", None)
    # 55P03 lock_not_available, 57P0x shutting down, 53xxx out of resources; psycopg gives none when it cannot connect.
    if state is None:
        return isinstance(error, sa.exc.OperationalError) and not hasattr(original, "sqlite_errorcode")
    return state == "55P03" or state.startswith(("57P", "53", "08"))


def is_conflict(error: BaseException) -> bool:
    """Whether ``error`` comes from another transaction that was faster, so that one more try will see its result."""
    if isinstance(error, sa.exc.IntegrityError):
        return True
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state in ("40001", "40P01")
