"""Reaching a device: which connections and addresses are tried, in which order, and what is written down of it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.events import IsWorkingChanged
from guywire.interfaces import ConnectionFailed, Connector, DeviceSession, HostKeyChanged
from guywire.models import Config, ConfigState, Device, Organization
from guywire.plugin import notify
from guywire.runtime import Runtime
from guywire.services.status import DEACTIVATED
from guywire.settings import Settings
from guywire.tracebacks import traceback_of
from sqlalchemy.orm import Session

from guywire_ssh_connection.models import Credentials, DeviceConnection, HostKey
from guywire_ssh_connection.settings import SSHSettings

log = logging.getLogger(__name__)

NO_ADDRESS = "No valid IP addresses to initiate connections found"
NO_CONNECTION = "The device has no connection that could be used."
DEVICE_DEACTIVATED = "Device is deactivated."
ORGANIZATION_DISABLED = "The organization of the device is disabled."


class Unreachable(ConnectionFailed):
    """No connection of a device could be opened. ``connection_id`` is the one that the text is about, if any."""

    def __init__(self, reason: str, connection_id: uuid.UUID | None = None) -> None:
        super().__init__(reason)
        self.connection_id = connection_id


@dataclass(frozen=True, slots=True)
class Candidate:
    """A connection that may be tried, as it stands in the database."""

    id: uuid.UUID
    connector: str
    params: dict[str, Any]
    update_strategy: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A session to a device, and the connection that it was opened with."""

    session: DeviceSession
    connection_id: uuid.UUID
    update_strategy: str


Opener = Callable[[uuid.UUID | None], Opened]
"""Gives a session to the device that is being visited: through a certain connection, or (None) the first that works.

The one that is open serves as long as it can. Raises Unreachable with the reason that is shown.
"""


@dataclass
class Line:
    """The connection of a visit: opened when somebody needs it, kept for the next, opened anew when it broke.

    ``hold`` is called before each attempt, which may take long.
    """

    runtime: Runtime
    device_id: uuid.UUID
    hold: Callable[[], None]
    opened: Opened | None = None
    _candidate: Candidate | None = None
    _address: str = ""

    def open(self, connection_id: uuid.UUID | None = None) -> Opened:
        """See ``Opener``."""
        with reading(self.runtime.session_factory) as session:
            addresses = addresses_of(session, self.runtime.settings, self.device_id)
            candidates = self._candidates(session, connection_id)
            pin = session.get(HostKey, self.device_id)
            pinned = pin.key if pin is not None else None
        if self.opened is not None:
            # What it was opened with may have been changed, switched off or taken away since.
            if self.opened.session.is_open and self._candidate in candidates and self._address in addresses:
                return self.opened
            self.close()
        failure = Unreachable(NO_CONNECTION)
        for candidate in candidates:
            try:
                self.opened = self._try(candidate, addresses, pinned)
            except ConnectionFailed as error:
                failure = Unreachable(str(error), candidate.id)
                self._record(candidate, str(error), None)
                if isinstance(error, HostKeyChanged):
                    self._remember_offer(error.offered)
            else:
                self._record(candidate, "", self.opened.session.host_key if pinned is None else None)
                return self.opened
        raise failure

    def close(self) -> None:
        """Hang up."""
        if self.opened is not None:
            self.opened.session.close()
            self.opened = None

    def _candidates(self, session: Session, connection_id: uuid.UUID | None) -> list[Candidate]:
        """The connections to try: those that worked last come first."""
        query = (
            sa.select(DeviceConnection, Credentials)
            .join(Credentials, Credentials.id == DeviceConnection.credentials_id)
            .where(DeviceConnection.device_id == self.device_id)
            .order_by(sa.func.coalesce(sa.cast(DeviceConnection.is_working, sa.Integer), 0.5).desc())
            .order_by(DeviceConnection.created, DeviceConnection.id)
        )
        if connection_id is not None:
            query = query.where(DeviceConnection.id == connection_id)
        else:
            query = query.where(is_usable(self.runtime.registry.connectors.values()))
        return [
            Candidate(
                connection.id,
                credentials.connector,
                {**credentials.params, **connection.params},
                connection.update_strategy,
            )
            for connection, credentials in session.execute(query)
        ]

    def _try(self, candidate: Candidate, addresses: list[str], pinned: str | None) -> Opened:
        connector = self.runtime.registry.connectors.get(candidate.connector)
        if connector is None:
            raise ConnectionFailed(f"The connector {candidate.connector} is not installed.")
        failure = ConnectionFailed(NO_ADDRESS)
        for address in addresses:
            self.hold()
            try:
                session = connector.connect(
                    address, candidate.params, pinned, SSHSettings.of(self.runtime.settings).limits
                )
            except ConnectionFailed as error:
                failure = error
            except Exception as error:  # noqa: BLE001 (whatever a stranger's connector raises)
                calls = traceback_of(error)
                log.error("the connector %s failed: device=%s\n%s", candidate.connector, self.device_id, calls)
                failure = ConnectionFailed(f"Internal error of the connector: {type(error).__name__}")
            else:
                self._candidate, self._address = candidate, address
                return Opened(session, candidate.id, candidate.update_strategy)
        raise failure

    def _record(self, candidate: Candidate, failure: str, host_key: str | None) -> None:
        """Write down how an attempt went, and pin the key of a host that was met for the first time."""
        now = self.runtime.clock()
        with writing(self.runtime.session_factory) as session:
            connection = session.get(DeviceConnection, candidate.id, with_for_update=True)
            if connection is None:
                return
            before = connection.is_working
            connection.is_working, connection.failure_reason, connection.last_attempt = not failure, failure, now
            if host_key is not None and session.get(HostKey, self.device_id) is None:
                session.add(HostKey(device_id=self.device_id, key=host_key, pinned_at=now))
            # The first success is what everybody expects.
            if before != connection.is_working and (before is not None or failure):
                notify(session, IsWorkingChanged(candidate.id, self.device_id, not failure, failure))

    def _remember_offer(self, offered: str) -> None:
        with writing(self.runtime.session_factory) as session:
            pin = session.get(HostKey, self.device_id, with_for_update=True)
            if pin is not None:
                pin.offered, pin.offered_at = offered, self.runtime.clock()


def is_usable(connectors: Iterable[Connector]) -> Any:
    """SQL: a ``DeviceConnection``, joined with its ``Credentials``, that may serve for commands and pushes."""
    return sa.and_(
        DeviceConnection.enabled, Credentials.connector.in_([each.id for each in connectors if each.executes])
    )


def has_usable_connection(device_id: Any, connectors: Iterable[Connector]) -> Any:
    """SQL: whether the device in the column ``device_id`` has such a connection."""
    return sa.exists().where(
        DeviceConnection.device_id == device_id,
        Credentials.id == DeviceConnection.credentials_id,
        is_usable(connectors),
    )


def addresses_of(session: Session, settings: Settings, device_id: uuid.UUID) -> list[str]:
    """Where a device may be reached, in the order in which it is tried.

    Raises Unreachable for a device that is out of service, or whose organization is. One that is on its way there
    is still told about it.
    """
    row = session.execute(
        sa.select(
            Device.management_ip, Device.last_ip, Device.is_deactivated, Organization.is_active, ConfigState.lifecycle
        )
        .join(Organization, Organization.id == Device.organization_id)
        .outerjoin(Config, Config.device_id == Device.id)
        .outerjoin(ConfigState, ConfigState.config_id == Config.id)
        .where(Device.id == device_id)
    ).first()
    if row is None:
        raise Unreachable("The device is gone.")
    if not row.is_active:
        raise Unreachable(ORGANIZATION_DISABLED)
    if row.is_deactivated and row.lifecycle in (None, DEACTIVATED):
        raise Unreachable(DEVICE_DEACTIVATED)
    wanted = [row.management_ip] if settings.management_ip_only else [row.management_ip, row.last_ip]
    return list(dict.fromkeys(address for address in wanted if address))
