"""Devices without SSH, for drills: a server that notes what they are told, and, as a plugin, the connector to it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

from guywire import hookimpl
from guywire.interfaces import CommandType, ConnectionFailed, ExecutionResult

CONNECTOR = "drill.Wire"
PATIENCE = 120
"""Seconds after which a device that says nothing is given up; none of them waits so long."""
PAUSE = 0.1
"""Seconds that a device takes for whatever it is told."""


class Devices:
    """All devices, at one port: whoever connects says which one he means. Threads serve them while it is open."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.occupied_twice: list[str] = []
        self.visits: Counter[str] = Counter()
        self._gates: dict[str, threading.Event] = {}
        self._busy: Counter[str] = Counter()
        self._guard = threading.Lock()

    @contextmanager
    def open(self) -> Iterator[int]:
        """Serve. Gives the port."""
        threads: list[threading.Thread] = []
        with closing(socket.create_server(("127.0.0.1", 0), backlog=256)) as listener:
            port = listener.getsockname()[1]

            def accept() -> None:
                while True:
                    stream, _ = listener.accept()
                    with self._guard:
                        if self._gates.get("closing"):
                            stream.close()
                            return
                    threads.append(threading.Thread(target=self._serve, args=(stream,)))
                    threads[-1].start()

            doorkeeper = threading.Thread(target=accept)
            doorkeeper.start()
            try:
                yield port
            finally:
                with self._guard:
                    self._gates["closing"] = threading.Event()
                socket.create_connection(("127.0.0.1", port)).close()
                for thread in (doorkeeper, *threads):
                    thread.join(10)

    def let_wait(self, device: str) -> threading.Event:
        """The next who connects to a device is not greeted before the event is set."""
        gate = threading.Event()
        with self._guard:
            self._gates[device] = gate
        return gate

    def _serve(self, stream: socket.socket) -> None:
        # Whoever is at the other end may be killed at any moment.
        with suppress(OSError, ValueError), stream, stream.makefile("rw", encoding="utf-8") as file:
            device = json.loads(file.readline())
            with self._guard:
                gate = self._gates.pop(device, None)
                self.visits[device] += 1
            try:
                if gate is not None:
                    gate.wait(PATIENCE)
                _say(file, "welcome")
                while (line := file.readline()) and self._obey(device, json.loads(line), file):
                    pass
            finally:
                with self._guard:
                    self.visits[device] -= 1

    def _obey(self, device: str, line: str, file: Any) -> bool:
        with self._guard:
            self.heard.append((device, line))
            self._busy[device] += 1
            if self._busy[device] > 1:
                self.occupied_twice.append(device)
        time.sleep(PAUSE)
        with self._guard:
            self._busy[device] -= 1
        if line == "reboot":
            return False
        _say(file, "openwisp-config 1.1.0" if "--version" in line else "done")
        return True


def _say(file: Any, what: Any) -> None:
    file.write(json.dumps(what) + "\n")
    file.flush()


class Wire:
    """A session."""

    host_key = None

    def __init__(self, stream: socket.socket, device: str) -> None:
        self.is_open = True
        self._stream = stream
        self._file = stream.makefile("rw", encoding="utf-8")
        if self._ask(device) is None:
            raise ConnectionFailed("The device does not greet.")

    def _ask(self, what: str) -> str | None:
        try:
            _say(self._file, what)
            answer: str = json.loads(self._file.readline())
        except (OSError, ValueError):
            self.is_open = False
            return None
        return answer

    def execute(
        self, command: str, *, timeout: float | None = None, on_output: Callable[[str], None] | None = None
    ) -> ExecutionResult:
        answer = self._ask(command)
        if answer is None:
            return ExecutionResult(None, "")
        if on_output is not None:
            on_output(answer)
        return ExecutionResult(0, answer)

    def close(self) -> None:
        with closing(self._stream), suppress(OSError):
            self._file.close()


class WireConnector:
    """The way to the devices."""

    id = CONNECTOR
    label = "Wire"
    schema: Mapping[str, Any] = {"type": "object", "properties": {"port": {"type": "integer"}}}
    secrets: frozenset[str] = frozenset()
    executes = True

    def validate(self, params: Any) -> None:
        pass

    def connect(self, address: str, params: Any, host_key: Any, limits: Any) -> Wire:
        try:
            stream = socket.create_connection(("127.0.0.1", params["port"]), limits.connect)
            stream.settimeout(PATIENCE)
            return Wire(stream, address)
        except OSError as error:
            raise ConnectionFailed(str(error)) from None


BLINK = CommandType(
    "drill_blink",
    "Blink",
    {"type": "object", "properties": {"times": {"type": "integer"}}, "required": ["times"]},
    lambda input: f"blink {(input or {})['times']}",
)


@hookimpl
def register_connectors() -> list[Any]:
    return [WireConnector()]


@hookimpl
def register_command_types() -> list[CommandType]:
    return [BLINK]
