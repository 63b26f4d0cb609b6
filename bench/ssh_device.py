"""Routers that can be reached over SSH, all at one port: ``python bench/ssh_device.py``. Prints the port."""

from __future__ import annotations

import socket
import threading

import paramiko
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from typing_extensions import override


class Device(paramiko.ServerInterface):
    """Lets everybody in, tells the version of its agent, and does whatever it is told."""

    @override
    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL

    @override
    def get_allowed_auths(self, username: str) -> str:
        return "password"

    @override
    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    @override
    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        # Only when the request is answered may the command begin.
        threading.Timer(0.01, self._run, (channel, command)).start()
        return True

    def _run(self, channel: paramiko.Channel, command: bytes) -> None:
        if b"--version" in command:
            channel.sendall(b"openwisp-config 1.1.0\n")
        channel.send_exit_status(0)
        channel.close()


def main() -> None:
    """Serve until somebody ends the process."""
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        stream, _ = listener.accept()
        transport = paramiko.Transport(stream)
        transport.add_server_key(key)
        transport.start_server(event=threading.Event(), server=Device())


if __name__ == "__main__":
    main()
