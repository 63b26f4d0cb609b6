"""Reads what a poll needs with one prepared statement on a connection that each thread keeps."""

from __future__ import annotations

import threading
import uuid
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from guywire.models import ConfigArchive, ConfigState, Device, Organization
from guywire.sealing import key_ring_of


class ChecksumRow(NamedTuple):
    """What a checksum poll needs (see ``guywire.controller.poll.PollRow``)."""

    key: str
    last_ip: str | None
    management_ip: str | None
    is_active: bool
    checksum: str | None
    is_stale: bool
    lifecycle: str


class DownloadRow(NamedTuple):
    """What a download needs."""

    key: str
    last_ip: str | None
    management_ip: str | None
    is_active: bool
    checksum: str | None
    is_stale: bool
    lifecycle: str
    name: str
    served_checksum: str | None
    archive: bytes


_CHECKSUM = (
    sa.select(
        Device.key,
        Device.last_ip,
        Device.management_ip,
        Organization.is_active,
        ConfigState.checksum,
        (ConfigState.inputs_version != ConfigState.rendered_version).label("is_stale"),
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


class DatabaseReader:
    """Reads past SQLAlchemy, by the driver: the statement layers would cost more than the statement.

    The statements themselves are SQLAlchemy's, compiled once for the engine's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = threading.local()
        self._opened: list[Any] = []
        self._key_ring = key_ring_of(engine)
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._purpose = ConfigArchive.__table__.c.archive.type.purpose
        self._checksum = str(_CHECKSUM.compile(dialect=engine.dialect))
        self._download = str(_DOWNLOAD.compile(dialect=engine.dialect))

    def checksum(self, device_id: uuid.UUID) -> ChecksumRow | None:
        """What a checksum poll of this device needs; None for a device that is unknown or has no configuration."""
        row = self._fetch(self._checksum, device_id)
        return None if row is None else ChecksumRow(*row)

    def download(self, device_id: uuid.UUID) -> DownloadRow | None:
        """What a download by this device needs, the archive opened."""
        row = self._fetch(self._download, device_id)
        if row is None:
            return None
        *facts, sealed = row
        return DownloadRow(*facts, self._key_ring.open(bytes(sealed), self._purpose) if sealed is not None else b"")

    def _fetch(self, statement: str, device_id: uuid.UUID) -> Any:
        connection = getattr(self._local, "connection", None)
        is_new = connection is None
        if connection is None:
            connection = self._local.connection = self._connect()
        try:
            parameters: Any = (device_id.hex,) if self._is_sqlite else {"device_id": device_id}
            return connection.execute(statement, parameters).fetchone()
        except self._engine.dialect.loaded_dbapi.Error as error:
            # The database may have been restarted since the last poll.
            self._forget()
            if not is_new:
                return self._fetch(statement, device_id)
            raise sa.exc.DBAPIError.instance(statement, None, error, type(error)) from error

    def _connect(self) -> Any:
        try:
            pooled = self._engine.raw_connection()
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.DBAPIError.instance("connect", None, error, type(error)) from error
        pooled.detach()
        connection = pooled.dbapi_connection
        if not self._is_sqlite:
            connection.autocommit = True
            connection.prepare_threshold = 0
        self._opened.append(connection)
        return connection

    def _forget(self) -> None:
        """Close this thread's connection."""
        connection, self._local.connection = self._local.connection, None
        self._opened.remove(connection)
        connection.close()

    def close(self) -> None:
        """Close the connections of all threads. To be called when no request runs any more."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()
