"""How devices are reached: connectors, what they open, and the strategies by which a configuration is pushed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from guywire.interfaces.configurations import JSONObject


class ConnectionFailed(Exception):
    """A device could not be reached, or the connection broke; the text is for operators and names no secret."""


class CommandTimeout(ConnectionFailed):
    """A command did not end in its time."""


class HostKeyChanged(ConnectionFailed):
    """A device showed another key than the one that was pinned. ``offered`` is what it showed."""

    def __init__(self, message: str, offered: str) -> None:
        super().__init__(message)
        self.offered = offered


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long (seconds) and how much a connection may take, as the settings of who connects say."""

    connect: float = 5.0
    """for the TCP connection"""
    banner: float = 60.0
    """until the device has said who it is and proved it"""
    authentication: float = 2.0
    command: float = 30.0
    """for a command that brings no limit of its own"""
    output: int = 1024 * 1024
    """bytes that are kept of what a command prints"""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What a command left: its exit status (None: the device never told) and its output.

    ``output`` is all that ``on_output`` heard, in the order of its arrival; ``errors`` the part of it that came from
    the standard error. ``is_truncated``: it printed more than is kept.
    """

    exit_status: int | None
    output: str
    errors: str = ""
    is_truncated: bool = False


class DeviceSession(Protocol):
    """An open connection to one device. Used by one thread at a time."""

    @property
    def host_key(self) -> str | None:
        """The key that the device showed, as ``<type> <base64>``; None for connectors that know no such thing."""

    @property
    def is_open(self) -> bool:
        """Whether it may serve for another command."""

    def execute(
        self, command: str, *, timeout: float | None = None, on_output: Callable[[str], None] | None = None
    ) -> ExecutionResult:
        """Run one command line and wait for its end, at most ``timeout`` seconds (None: the connector's default).

        ``on_output`` hears the output as it comes, up to the limit, and "" a few times a second while there is none, so
        that it can show in time what it heard before. Raises CommandTimeout; ConnectionFailed where the
        command has not begun. One that has, and whose end the device never told, is a result without exit status.
        """

    def close(self) -> None:
        """Give back sockets and threads; safe to call twice."""


class Connector(Protocol):
    """One way to reach devices. Registered, as an object, with ``register_connectors``."""

    id: ClassVar[str]
    label: ClassVar[str]
    schema: ClassVar[JSONObject]
    """JSON Schema (draft 4) of the parameters of its credentials."""
    secrets: ClassVar[frozenset[str]]
    """Those parameters that are shown only to who may change them."""
    executes: ClassVar[bool]
    """Whether its sessions run commands, and so serve for pushes and for commands of operators."""

    def validate(self, params: Mapping[str, Any]) -> None:
        """What the schema cannot say, such as a key of an unknown kind. Raises ValueError with the message."""

    def connect(
        self, address: str, params: Mapping[str, Any], host_key: str | None, limits: ConnectionLimits
    ) -> DeviceSession:
        """Open a connection to ``address``. ``host_key`` is the pinned key, None before the first connection.

        Raises ConnectionFailed, HostKeyChanged; never later than ``limits`` allow.
        """


class UpdateStrategy(Protocol):
    """How a device is told of its new configuration. Registered, as an object, with ``register_update_strategies``."""

    id: ClassVar[str]
    label: ClassVar[str]
    config_backends: ClassVar[tuple[str, ...]]
    """The configuration backends for which it is taken when the operator names none."""

    def update(self, session: DeviceSession) -> None:
        """Have the device fetch its configuration. Raises ConnectionFailed."""
