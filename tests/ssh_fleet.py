"""Devices without a network: a connector to hosts that are Python objects, and that note what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from guywire import hookimpl
from guywire.db import writing
from guywire.interfaces import ConnectionFailed, ExecutionResult, HostKeyChanged
from guywire.models import Device
from guywire_ssh_connection.models import Credentials, DeviceConnection, DeviceVisit
from guywire_ssh_connection.services import visits

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONNECTOR = "fleet.Wire"


@dataclass
class Host:
    """One device: whether it can be reached, what it was told, and what it says to that."""

    is_reachable: bool = True
    told: list[str] = field(default_factory=list)
    answer: Callable[[str, Callable[[str], None]], Any] = lambda line, say: 0
    connects: int = 0
    key: str | None = None
    params: Any = None


class Wire:
    """An open session."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.host_key = host.key
        self.is_open = True

    def execute(self, command: str, *, timeout: Any = None, on_output: Any = None) -> ExecutionResult:
        parts: list[str] = []

        def say(text: str) -> None:
            parts.append(text)
            if on_output is not None:
                on_output(text)

        self.host.told.append(command)
        status = self.host.answer(command, say)
        return ExecutionResult(status if status != "dropped" else None, "".join(parts))

    def close(self) -> None:
        self.is_open = False


class Unmoved:
    """A strategy that leaves the device alone."""

    id = label = "fleet.Unmoved"
    config_backends = ()

    @staticmethod
    def update(session: Any) -> None:
        pass


class Nudge:
    """Tells a device of its configuration with one word."""

    id = "fleet.Nudge"
    label = "Nudge"
    config_backends = ()

    def update(self, session: Any) -> None:
        if session.execute("nudge").exit_status != 0:
            raise ConnectionFailed("It does not react.")


class Fleet:
    """A plugin with the connector, and the hosts by their addresses. ``host(device)`` is that of a device's JSON."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.command_types: list[Any] = []

    id = CONNECTOR
    label = "Wire"
    schema: Mapping[str, Any] = {"type": "object"}
    secrets: frozenset[str] = frozenset()
    executes = True

    def validate(self, params: Any) -> None:
        pass

    def connect(self, address: str, params: Any, host_key: Any, limits: Any) -> Wire:
        host = self.hosts[address]
        host.connects += 1
        if not host.is_reachable:
            raise ConnectionFailed(f"no route to {address}")
        if host_key is not None and host.key != host_key:
            raise HostKeyChanged("The device shows another host key.", host.key or "")
        host.params = params
        return Wire(host)

    @hookimpl
    def register_connectors(self) -> list[Any]:
        return [self]

    @hookimpl
    def register_update_strategies(self) -> list[Any]:
        return [Unmoved, Nudge()]

    @hookimpl
    def register_command_types(self) -> list[Any]:
        return self.command_types

    def wire(self, runtime: Any, device_id: str, **fields: Any) -> tuple[Host, str]:
        """Give a device an address and a connection. Returns the host that it is, and the connection's id."""
        address = f"10.0.{len(self.hosts) // 250}.{len(self.hosts) % 250 + 1}"
        self.hosts[address] = host = Host()
        dates = {"created": NOW, "modified": NOW}
        with writing(runtime.session_factory) as session:
            device = session.get_one(Device, UUID(device_id))
            device.management_ip = address
            credentials = Credentials(
                name=uuid4().hex, organization_id=device.organization_id, connector=CONNECTOR, params={}, **dates
            )
            session.add(credentials)
            session.flush()
            fields = {"update_strategy": Unmoved.id, **fields, **dates}
            connection = DeviceConnection(device_id=device.id, credentials_id=credentials.id, **fields)
            session.add(connection)
            if session.get(DeviceVisit, device.id) is None:
                session.add(DeviceVisit(device_id=device.id))
            session.flush()
            return host, str(connection.id)

    @staticmethod
    def visit(runtime: Any, device_id: str) -> None:
        """Do what waits at a device."""
        visits.visit(runtime, device_id)
