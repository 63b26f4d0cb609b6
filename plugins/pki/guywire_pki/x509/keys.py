"""Private keys: their kinds, making them, and their PEM text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from guywire.errors import Overloaded

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

LENGTHS = {
    "256": "256 (ECDSA)",
    "384": "384 (ECDSA)",
    "521": "521 (ECDSA)",
    "1024": "1024 (RSA)",
    "2048": "2048 (RSA)",
    "4096": "4096 (RSA)",
}
"""What people may ask for. Imported RSA keys may have other lengths."""

DEFAULT_LENGTH = "2048"

_CURVES: dict[str, type[ec.EllipticCurve]] = {"256": ec.SECP256R1, "384": ec.SECP384R1, "521": ec.SECP521R1}


_PROCESSORS = os.cpu_count() or 1
_processors = BoundedSemaphore(_PROCESSORS)

_PLACES = 5
"""How many requests may make RSA keys or wait for that: some threads of a web process have to be left for polls."""

_places = BoundedSemaphore(_PLACES)


class KeyInvalid(Exception):
    """A text that is no private key which we can use."""


class PassphraseWrong(Exception):
    """A private key that the passphrase does not open, or that needs one."""


def is_fast(length: str) -> bool:
    """Whether making such a key takes no time to speak of."""
    return length in _CURVES


def generate(length: str) -> PrivateKey:
    """A new key. An RSA key takes a good part of a second, in which no other thread has to wait."""
    if length in _CURVES:
        return ec.generate_private_key(_CURVES[length]())
    with _processors:
        return rsa.generate_private_key(65537, int(length))


def generate_many(lengths: Sequence[str]) -> list[PrivateKey]:
    """New keys, on all processors. Raises Overloaded when many others make or await some that take long."""
    if all(map(is_fast, lengths)):
        return [generate(length) for length in lengths]
    if not _places.acquire(blocking=False):
        raise Overloaded()
    try:
        with ThreadPoolExecutor(_PROCESSORS) as threads:
            return list(threads.map(generate, lengths))
    finally:
        _places.release()


def length_of(key: PrivateKey) -> str:
    """The length of a key as the API has it, which tells its kind too. Raises KeyInvalid."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        for length, curve in _CURVES.items():
            if isinstance(key.curve, curve):
                return length
        raise KeyInvalid("Unsupported private key algorithm")
    return str(key.key_size)


def to_pem(key: PrivateKey, passphrase: str) -> str:
    """The text of a key: in the format of its kind that OpenVPN and its like have always read."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:
        encryption = BestAvailableEncryption(passphrase.encode())
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    format = PrivateFormat.TraditionalOpenSSL if is_rsa else PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, format, encryption).decode()


def load(pem: str, passphrase: str, *, trusted: bool) -> PrivateKey:
    """The key of a text. ``trusted``: it was checked before, which takes long for RSA.

    Raises KeyInvalid, PassphraseWrong.
    """
    password = passphrase.encode() if passphrase and "ENCRYPTED" in pem else None
    try:
        key = load_pem_private_key(pem.encode(), password, unsafe_skip_rsa_key_validation=trusted)
    except UnsupportedAlgorithm:
        raise KeyInvalid("Unsupported private key algorithm") from None
    except (TypeError, ValueError):
        # The library says the same of a wrong passphrase and of nonsense.
        if "ENCRYPTED" in pem:
            raise PassphraseWrong from None
        raise KeyInvalid("Invalid private key") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise KeyInvalid("Unsupported private key algorithm")
    return key
