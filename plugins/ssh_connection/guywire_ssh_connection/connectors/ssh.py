"""SSH, with a password or a key: connecting, making sure of the host, logging in."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Mapping
from typing import Any

import paramiko
from guywire.interfaces import ConnectionFailed, ConnectionLimits, Connector, DeviceSession, HostKeyChanged, JSONObject

from guywire_ssh_connection.connectors.keys import fingerprint, private_key
from guywire_ssh_connection.connectors.session import SSHSession, close, cut_off_after

# What goes wrong is raised and told; paramiko would also log it, with tracebacks of its threads.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

AUTHENTICATION_FAILED = "Authentication failed."

_SHA2 = {"pubkeys": ["rsa-sha2-512", "rsa-sha2-256"]}
_RSA = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")


def _login(kind: str, secret: str, minimum: int, port: str) -> JSONObject:
    return {
        "title": f"Credentials ({kind})",
        "additionalProperties": False,
        "required": ["username", secret],
        "properties": {
            "username": {"type": "string", "minLength": 2},
            secret: {"type": "string", "minLength": minimum},
            "port": {"type": port, "default": 22, "minimum": 1, "maximum": 65535},
        },
    }


class Ssh(Connector):
    """Logs in with a password or a key. Knows no agent and no keys but those of the credentials."""

    id = "openwisp_controller.connection.connectors.ssh.Ssh"
    label = "SSH"
    schema = {  # noqa: RUF012
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "oneOf": [_login("Password", "password", 4, "integer"), _login("SSH Key", "key", 64, "number")],
    }
    secrets = frozenset({"password", "key"})
    executes = True

    def validate(self, params: Mapping[str, Any]) -> None:
        """Whether the key is one that we can use. Raises ValueError."""
        if "key" in params:
            private_key(params["key"])

    def connect(
        self, address: str, params: Mapping[str, Any], host_key: str | None, limits: ConnectionLimits
    ) -> DeviceSession:
        """Open a connection. Raises ConnectionFailed, HostKeyChanged."""
        try:
            key = private_key(params["key"]) if "key" in params else None
        except ValueError as error:
            raise ConnectionFailed(str(error)) from None
        try:
            return _connect(address, params, key, host_key, limits, None)
        except _AuthenticationFailed:
            # Dropbear before 2020.79 does not know the newer signatures of RSA keys, and some of it does not say so.
            if not isinstance(key, paramiko.RSAKey):
                raise
        return _connect(address, params, key, host_key, limits, _SHA2)


class _AuthenticationFailed(ConnectionFailed):
    pass


def _connect(
    address: str,
    params: Mapping[str, Any],
    key: paramiko.PKey | None,
    host_key: str | None,
    limits: ConnectionLimits,
    disabled: Mapping[str, list[str]] | None,
) -> DeviceSession:
    port = int(params.get("port", 22))
    stream = _reach(address, port, limits.connect)
    transport: paramiko.Transport | None = None
    try:
        transport = paramiko.Transport(stream, disabled_algorithms=disabled)
        _prefer(transport, host_key)
        with cut_off_after(limits.banner + limits.authentication + 1, transport):
            _negotiate(transport, limits.banner)
            shown = _check(transport, host_key)
            _authenticate(transport, params, key, limits.authentication)
    except ConnectionFailed:
        close(stream, transport)
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        close(stream, transport)
        raise ConnectionFailed(str(error) or "The connection broke while it was being established.") from None
    except BaseException:
        close(stream, transport)
        raise
    return SSHSession(stream, transport, shown, limits)


def _reach(address: str, port: int, timeout: float) -> socket.socket:
    try:
        return socket.create_connection((address, port), timeout)
    except TimeoutError:
        raise ConnectionFailed(f"{address}, port {port}, does not answer.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConnectionFailed(f"Unable to connect to {address}, port {port}: {reason}") from None


def _prefer(transport: paramiko.Transport, host_key: str | None) -> None:
    """Ask a host that has several keys for the one that is pinned."""
    if host_key is None:
        return
    kind = host_key.partition(" ")[0]
    wanted = _RSA if kind == "ssh-rsa" else (kind,)
    options = transport.get_security_options()
    known = options.key_types
    options.key_types = (*(each for each in wanted if each in known), *(each for each in known if each not in wanted))


def _negotiate(transport: paramiko.Transport, timeout: float) -> None:
    transport.banner_timeout = transport.handshake_timeout = timeout
    done = threading.Event()
    transport.start_client(event=done)
    if not done.wait(timeout):
        raise ConnectionFailed(f"The device has not shown who it is within {timeout:g} seconds.")
    if not transport.is_active():
        raise transport.get_exception() or EOFError()


def _check(transport: paramiko.Transport, pinned: str | None) -> str:
    """The key of the host. Raises HostKeyChanged if it is not the pinned one."""
    key = transport.get_remote_server_key()
    shown = f"{key.get_name()} {key.get_base64()}"
    if pinned is not None and shown != pinned:
        raise HostKeyChanged(
            f"The device shows another host key ({fingerprint(shown)}) than the one that is known "
            f"({fingerprint(pinned)}). Nothing was sent to it.",
            shown,
        )
    return shown


def _authenticate(
    transport: paramiko.Transport, params: Mapping[str, Any], key: paramiko.PKey | None, timeout: float
) -> None:
    transport.auth_timeout = timeout
    try:
        if key is not None:
            lacking = transport.auth_publickey(params["username"], key)
        else:
            lacking = transport.auth_password(params["username"], params["password"])
    except paramiko.BadAuthenticationType as error:
        raise ConnectionFailed(
            f"The device accepts none of what the credentials hold, only: {', '.join(error.allowed_types)}."
        ) from None
    except paramiko.AuthenticationException as error:
        raise _AuthenticationFailed(str(error) or AUTHENTICATION_FAILED) from None
    if lacking:
        raise ConnectionFailed(f"The device asks for more than the credentials hold: {', '.join(lacking)}.")
