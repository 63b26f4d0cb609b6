"""An open SSH connection: commands, one after the other, whose output is read while they run."""

from __future__ import annotations

import codecs
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import paramiko
from guywire.interfaces import CommandTimeout, ConnectionFailed, ConnectionLimits, ExecutionResult

_CHUNK = 32768
_GRACE = 1.0
"""Seconds that output may come after the exit status: a program that stays in the background never closes its own."""


@contextmanager
def cut_off_after(seconds: float, transport: paramiko.Transport) -> Iterator[threading.Event]:
    """Close ``transport`` unless the block ends in time, so that whatever waits in it fails; the event says so.

    Not everything in paramiko that waits for the other side knows a timeout.
    """
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        transport.close()

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()


def close(stream: socket.socket, transport: paramiko.Transport | None) -> None:
    """Give back the socket and the thread of a connection."""
    with suppress(OSError):
        # The thread that reads from it is awake at once, and so its end need not be waited for.
        stream.shutdown(socket.SHUT_RDWR)
    if transport is not None:
        transport.close()
        if transport.is_alive():
            transport.join(10)
    stream.close()


class SSHSession:
    """A connection that is logged in. See ``guywire.interfaces.DeviceSession``."""

    def __init__(
        self, stream: socket.socket, transport: paramiko.Transport, host_key: str, limits: ConnectionLimits
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._host_key = host_key
        self._limits = limits

    @property
    def host_key(self) -> str | None:
        """The key that the device showed."""
        return self._host_key

    @property
    def is_open(self) -> bool:
        """Whether it may serve for another command."""
        return bool(self._transport.is_active())

    def execute(
        self, command: str, *, timeout: float | None = None, on_output: Callable[[str], None] | None = None
    ) -> ExecutionResult:
        """Run one command line. Raises CommandTimeout, ConnectionFailed (the command was not begun)."""
        seconds = self._limits.command if timeout is None else timeout
        deadline = time.monotonic() + seconds
        with cut_off_after(seconds, self._transport) as expired:
            try:
                channel = self._transport.open_session(timeout=seconds)
            except (paramiko.SSHException, OSError, EOFError) as error:
                self.close()
                raise ConnectionFailed(str(error) or "The connection broke before the command began.") from None
            output = _Output(self._limits.output, on_output)
            with channel:
                try:
                    _begin(channel, command)
                    output.read(channel, deadline)
                except (paramiko.SSHException, OSError, EOFError):
                    if self.is_open:
                        raise ConnectionFailed("The device refuses to run commands.") from None
                status = channel.recv_exit_status() if channel.exit_status_ready() else -1
        if status == -1 and (expired.is_set() or time.monotonic() >= deadline):
            self.close()
            raise CommandTimeout(f"Command timed out after {seconds} seconds.")
        return ExecutionResult(None if status == -1 else status, output.text, output.errors, output.is_truncated)

    def close(self) -> None:
        """Give back the socket and the thread; safe to call twice."""
        close(self._stream, self._transport)


def _begin(channel: paramiko.Channel, command: str) -> None:
    try:
        channel.exec_command(command)
    except paramiko.SSHException:
        # A device that is very quick has said how the command ended before it said that it would run it.
        if channel.exit_status == -1:
            raise


class _Output:
    """What a command prints, up to a limit. The rest is read too, or the command would wait for somebody to do it."""

    def __init__(self, limit: int, on_output: Callable[[str], None] | None) -> None:
        self._rest = limit
        self._on_output = on_output
        self._parts: list[str] = []
        self._errors: list[str] = []
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in range(2)]
        self.is_truncated = False

    @property
    def text(self) -> str:
        """All of it, in the order of its arrival."""
        return "".join(self._parts)

    @property
    def errors(self) -> str:
        """What came from the standard error."""
        return "".join(self._errors)

    def read(self, channel: paramiko.Channel, deadline: float) -> None:
        """Read until the command has ended, or the deadline (of the monotonic clock) has passed."""
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        ended: float | None = None
        while True:
            now = time.monotonic()
            if ended is None and channel.exit_status_ready():
                ended = now
            until = deadline if ended is None else min(deadline, ended + _GRACE)
            # Asked before the output is taken: what came just before the end is in the buffer by then.
            is_over = channel.closed or (channel.eof_received and ended is not None) or now >= until
            if self._take(channel):
                continue
            if is_over:
                break
            if not poll.poll(max(1.0, min(until - now, 0.25) * 1000)) and self._on_output is not None:
                self._on_output("")
        self._add(b"", is_error=False, final=True)
        self._add(b"", is_error=True, final=True)

    def _take(self, channel: paramiko.Channel) -> bool:
        """Take what is there. Returns whether there was anything."""
        found = False
        if channel.recv_ready():
            self._add(channel.recv(_CHUNK), is_error=False)
            found = True
        if channel.recv_stderr_ready():
            self._add(channel.recv_stderr(_CHUNK), is_error=True)
            found = True
        return found

    def _add(self, data: bytes, *, is_error: bool, final: bool = False) -> None:
        kept = data[: self._rest]
        self.is_truncated = self.is_truncated or len(kept) < len(data)
        self._rest -= len(kept)
        # A database refuses the character 0 in a text.
        text = self._decoders[is_error].decode(kept, final).replace("\0", "\ufffd")
        if not text:
            return
        self._parts.append(text)
        if is_error:
            self._errors.append(text)
        if self._on_output is not None:
            self._on_output(text)
