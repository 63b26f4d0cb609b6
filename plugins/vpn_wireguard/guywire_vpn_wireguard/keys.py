"""WireGuard's keys: X25519, 32 bytes each, as base64."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

_LENGTH = 32


class KeyPair(NamedTuple):
    """What `wg genkey` and `wg pubkey` print."""

    private: str
    public: str


def new_key_pair() -> KeyPair:
    """A pair of keys from the operating system's randomness."""
    private = X25519PrivateKey.generate()
    return KeyPair(_text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw()))


def is_key(text: str) -> bool:
    """Whether WireGuard takes a text for a key."""
    try:
        return len(base64.b64decode(text, validate=True)) == _LENGTH
    except (ValueError, binascii.Error):
        return False


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
