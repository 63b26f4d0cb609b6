"""Real SSH daemons on loopback that play devices, and a user of this host who may log in there."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from processes import eventually, free_port

PASSWORD = "router's $ecret"


@dataclass(frozen=True)
class Account:
    """Who may log in, with the password or with any of the private keys."""

    name: str
    home: Path
    keys: dict[str, str]

    def params(self, login: str, port: int) -> dict[str, Any]:
        """The parameters of credentials: ``login`` is password, rsa or ed25519."""
        secret = {"password": PASSWORD} if login == "password" else {"key": self.keys[login]}
        return {"username": self.name, "port": port, **secret}


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user of this host may enter. (pytest keeps its own to itself.)"""
    with tempfile.TemporaryDirectory(prefix="guywire-ssh-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def account() -> Iterator[Account]:
    """A user that exists for this time only."""
    with open_folder() as folder:
        yield from _made_account(f"gw{os.getpid()}", folder / "home")


def _made_account(name: str, home: Path) -> Iterator[Account]:
    _run("useradd", "--create-home", "--home-dir", home, "--shell", "/bin/sh", name)
    try:
        _run("chpasswd", input=f"{name}:{PASSWORD}\n")
        keys: dict[str, Any] = {
            "rsa": rsa.generate_private_key(65537, 2048),
            "ed25519": ed25519.Ed25519PrivateKey.generate(),
        }
        (home / ".ssh").mkdir(mode=0o700)
        public = [key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) for key in keys.values()]
        (home / ".ssh/authorized_keys").write_bytes(b"\n".join(public) + b"\n")
        _run("chown", "-R", name, home)
        home.chmod(0o700)
        private = {
            kind: key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
            for kind, key in keys.items()
        }
        yield Account(name, home, private)
    finally:
        subprocess.run(["pkill", "-KILL", "-u", name], check=False)
        _run("userdel", "--force", name)


@contextmanager
def openssh(folder: Path, *options: str, host_key: str = "host") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """OpenSSH's server. Gives the process and its port."""
    key = folder / f"openssh-{host_key}"
    if not key.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    given = [f"-o{each}" for each in (*options, "UsePAM=no", "PasswordAuthentication=yes", "MaxStartups=600")]
    command = [
        "/usr/sbin/sshd",
        "-D",
        "-e",
        "-f",
        "/dev/null",
        "-h",
        key,
        f"-oPort={port}",
        "-oListenAddress=127.0.0.1",
    ]
    with _served([*command, *given], port, folder / "openssh.log") as process:
        yield process, port


@contextmanager
def dropbear(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The server that routers have. Gives the process and its port."""
    key, port = folder / "dropbear-host", free_port()
    if not key.exists():
        _run("dropbearkey", "-t", "rsa", "-f", key)
    command = ["/usr/sbin/dropbear", "-F", "-E", "-r", key, "-p", f"127.0.0.1:{port}", "-P", folder / "dropbear.pid"]
    with _served(command, port, folder / "dropbear.log") as process:
        yield process, port


@contextmanager
def _served(command: Sequence[Any], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as stream:
        process = subprocess.Popen(list(map(str, command)), stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: _greets(port), f"{command[0]} on port {port}: {log.read_text()}")
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as probe:
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False


def _run(*command: Any, input: str | None = None) -> None:
    done = subprocess.run(list(map(str, command)), input=input, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
