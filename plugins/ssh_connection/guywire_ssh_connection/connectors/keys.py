"""Private keys that log in, and what people compare of the keys of hosts."""

from __future__ import annotations

import base64
import hashlib
from io import StringIO

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

UNSUPPORTED = "Unrecognized or unsupported SSH key algorithm, only RSA and ED25519 are currently supported."


def private_key(text: str) -> paramiko.PKey:
    """An RSA or Ed25519 key without passphrase, as OpenSSH or OpenSSL write it (PEM). Raises ValueError."""
    data = text.strip().encode() + b"\n"
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(UNSUPPORTED) from None
    if isinstance(key, RSAPrivateKey):
        return paramiko.RSAKey(key=key)
    if isinstance(key, Ed25519PrivateKey):
        written = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        return paramiko.Ed25519Key.from_private_key(StringIO(written.decode()))
    raise ValueError(UNSUPPORTED)


def fingerprint(host_key: str) -> str:
    """What OpenSSH shows of a key (``<type> <base64>``): ``SHA256:`` and the hash in base64."""
    blob = base64.b64decode(host_key.partition(" ")[2])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
