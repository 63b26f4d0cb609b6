"""Reads what a poll needs with one prepared statement, past the layers that would cost more than the statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, cast

import sqlalchemy as sa
from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import Engine

from guywire.models import ConfigArchive, ConfigState, Device, Organization
from guywire.sealing import SealedBytes, key_ring_of


class ChecksumRow(NamedTuple):
    """What a checksum poll needs (see ``guywire.controller.poll.PollRow``)."""

    key: str
    last_ip: str | None
    management_ip: str | None
    is_active: bool
    checksum: str | None
    look_closer: bool
    lifecycle: str


class DownloadRow(NamedTuple):
    """What a download needs."""

    key: str
    last_ip: str | None
    management_ip: str | None
    is_active: bool
    checksum: str | None
    look_closer: bool
    lifecycle: str
    name: str
    served_checksum: str | None
    archive: bytes


_SEALED = cast("SealedBytes", ConfigArchive.__table__.c.archive.type)

_CHECKSUM = (
    sa.select(
        Device.key,
        Device.last_ip,
        Device.management_ip,
        Organization.is_active,
        ConfigState.checksum,
        # One column for all reasons: the router that polls in vain, as nearly all do, pays for none of them.
        sa.or_(ConfigState.inputs_version != ConfigState.rendered_version, ConfigState.poll_awaited).label(
            "look_closer"
        ),
        ConfigState.lifecycle,
    )
    .select_from(Device)
    .join(ConfigState, ConfigState.device_id == Device.id)
    .join(Organization, Organization.id == Device.organization_id)
    .where(Device.id == sa.bindparam("device_id", type_=sa.Uuid()))
)
_DOWNLOAD = _CHECKSUM.add_columns(
    Device.name,
    ConfigState.served_checksum,
    sa.type_coerce(ConfigArchive.archive, sa.LargeBinary).label("archive"),
    # Joined by the checksum too: bytes and checksum are of one rendering, or there is no row.
).outerjoin(
    ConfigArchive,
    sa.and_(ConfigArchive.config_id == ConfigState.config_id, ConfigArchive.checksum == ConfigState.checksum),
)

_POLLS = {"checksum": _CHECKSUM, "download": _DOWNLOAD}
_FROM_BINARY: dict[type, Callable[[bytes], Any]] = {
    # PostgreSQL's binary forms of the types of the columns above
    str: bytes.decode,
    bool: b"\x01".__eq__,
    bytes: bytes,
}


class DatabaseReader:
    """Keeps connections of its own, as many as there were ever polls at the same time.

    The statements are SQLAlchemy's, compiled once, and so are the errors; what lies between them is the driver's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection = _SqliteConnection if engine.dialect.name == "sqlite" else _PostgresqlConnection
        self._idle: list[_SqliteConnection | _PostgresqlConnection] = []
        self._key_ring = key_ring_of(engine)

    def checksum(self, device_hex: str) -> ChecksumRow | None:
        """What a checksum poll of this device needs; None for a device that is unknown or has no configuration."""
        row = self._fetch("checksum", device_hex)
        return None if row is None else ChecksumRow._make(row)

    def download(self, device_hex: str) -> DownloadRow | None:
        """What a download by this device needs, the archive opened."""
        row = self._fetch("download", device_hex)
        if row is None:
            return None
        *facts, sealed = row
        return DownloadRow._make([*facts, b"" if sealed is None else self._key_ring.open(sealed, _SEALED.purpose)])

    def _fetch(self, name: str, device_hex: str) -> Sequence[Any] | None:
        is_new = False
        try:
            # The one that was used last, for its caches are warm. Threads come and go, so none of them owns one.
            connection = self._idle.pop()
        except IndexError:
            connection, is_new = self._connect(), True
        try:
            row = connection.fetch(name, device_hex)
        except self._engine.dialect.loaded_dbapi.Error as error:
            # What ended this connection has ended the idle ones too: the database may have been restarted.
            connection.close()
            self.close()
            if not is_new:
                return self._fetch(name, device_hex)
            raise sa.exc.DBAPIError.instance(name, None, error, type(error)) from error
        self._idle.append(connection)
        return row

    def _connect(self) -> _SqliteConnection | _PostgresqlConnection:
        try:
            pooled = self._engine.raw_connection()
            pooled.detach()
            return self._connection(pooled.dbapi_connection)
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.DBAPIError.instance("connect", None, error, type(error)) from error

    def close(self) -> None:
        """Close the connections, except those that are in use just now."""
        while self._idle:
            self._idle.pop().close()


class _SqliteConnection:
    """The statements on a connection to SQLite, which keeps them prepared by their text."""

    _texts: ClassVar = {name: str(statement.compile(dialect=sqlite.dialect())) for name, statement in _POLLS.items()}

    def __init__(self, connection: Any) -> None:
        # 16 MiB of pages: what polls read of a fleet of ten thousand stays in memory.
        connection.execute("PRAGMA cache_size = -16384").close()
        self._execute = connection.execute
        self.close = connection.close

    def fetch(self, name: str, device_hex: str) -> Sequence[Any] | None:
        row: Sequence[Any] | None = self._execute(self._texts[name], (device_hex,)).fetchone()
        return row


class _PostgresqlConnection:
    """The statements on a connection to PostgreSQL.

    They go to libpq directly: psycopg's cursors would take twice as long as the server. Values come in binary.
    """

    # psycopg has parameters by name, PostgreSQL itself by number; that is the dialect of asyncpg.
    _texts: ClassVar = {name: str(statement.compile(dialect=asyncpg.dialect())) for name, statement in _POLLS.items()}
    _readers: ClassVar = {
        name: [_FROM_BINARY[column.type.python_type] for column in statement.selected_columns]
        for name, statement in _POLLS.items()
    }

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.autocommit = True
        connection.execute("SET client_encoding TO 'UTF8'")
        for name, text in self._texts.items():
            _checked(connection.pgconn.prepare(name.encode(), text.encode()))

    def close(self) -> None:
        self._connection.close()

    def fetch(self, name: str, device_hex: str) -> Sequence[Any] | None:
        parameters = [device_hex.encode()]
        result = self._connection.pgconn.exec_prepared(name.encode(), parameters, result_format=Format.BINARY)
        if _checked(result).ntuples == 0:
            return None
        get = result.get_value
        return [
            None if (value := get(0, number)) is None else read(value)
            for number, read in enumerate(self._readers[name])
        ]


def _checked(result: PGresult) -> PGresult:
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        error = error_from_result(result)
        # Only the server's own errors have a code; this one is about the way there.
        raise error if error.sqlstate else OperationalError(str(error)) from error
    return result
