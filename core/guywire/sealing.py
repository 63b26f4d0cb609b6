"""Sealing of secrets at rest: AES-256-GCM with a key ring, and keyed hashes for what must also be looked up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

_NONCE_BYTES = 12
_KEY_ID_BYTES = 4


class SealBroken(Exception):
    """A sealed value that none of the ring's keys opens."""


class KeyRingMissing(Exception):
    """There is no key ring where there must be one."""


class KeyRing:
    """The keys that seal secrets. The first one seals; all of them open.

    A sealed value is key id (4 bytes), nonce (12 bytes), ciphertext and tag. ``purpose`` (``table.column``) is its
    associated data: a value that was copied into another column does not open there.
    """

    def __init__(self, keys: list[bytes], lookup_key: bytes) -> None:
        self._hold(keys, lookup_key)

    def _hold(self, keys: list[bytes], lookup_key: bytes) -> None:
        if not keys:
            raise KeyRingMissing("the key ring holds no key")
        self._keys = keys
        self._lookup_key = lookup_key
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        # In one piece: another thread that seals meanwhile must not meet one ring's id and the other's cipher.
        self._primary = (_key_id(keys[0]), AESGCM(keys[0]))

    @staticmethod
    def generate() -> KeyRing:
        """A ring with one new key."""
        return KeyRing([secrets.token_bytes(32)], secrets.token_bytes(32))

    @staticmethod
    def from_json(text: str) -> KeyRing:
        """Read what ``to_json`` wrote. Raises KeyRingMissing when it is something else."""
        return KeyRing(*read_key_ring(text))

    def to_json(self) -> str:
        """The ring as text, for its file or for ``GUYWIRE_KEY_RING``."""
        encoded = [base64.b64encode(key).decode() for key in self._keys]
        return json.dumps({"keys": encoded, "lookup_key": base64.b64encode(self._lookup_key).decode()}, indent=1)

    @property
    def has_old_keys(self) -> bool:
        """Whether there are keys that only open: a rotation is not finished."""
        return len(self._keys) > 1

    def rotated(self) -> KeyRing:
        """This ring with a new first key. The key of the look-ups stays: their hashes are stored."""
        return KeyRing([secrets.token_bytes(32), *self._keys], self._lookup_key)

    def without_old_keys(self) -> KeyRing:
        """Only the first key, for when everything has been sealed anew."""
        return KeyRing(self._keys[:1], self._lookup_key)

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """``plain`` encrypted with the first key."""
        key_id, cipher = self._primary
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return key_id + nonce + cipher.encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """What ``seal`` was given. Raises SealBroken."""
        cipher = self._ciphers.get(sealed[:_KEY_ID_BYTES])
        if cipher is None:
            raise SealBroken(f"{purpose}: sealed with a key that the key ring does not hold")
        nonce = sealed[_KEY_ID_BYTES : _KEY_ID_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_KEY_ID_BYTES + _NONCE_BYTES :], purpose.encode())
        except InvalidTag:
            raise SealBroken(f"{purpose}: the sealed value was changed or belongs to another column") from None

    @property
    def prefix(self) -> bytes:
        """What the values begin with that the first key sealed."""
        return self._primary[0]

    def is_current(self, sealed: bytes) -> bool:
        """Whether the first key sealed this value."""
        return sealed.startswith(self.prefix)

    def knows_key_of(self, sealed: bytes) -> bool:
        """Whether one of the keys sealed this value."""
        return sealed[:_KEY_ID_BYTES] in self._ciphers

    def lookup_hash(self, text: str, purpose: str) -> str:
        """A keyed hash (64 hex digits) by which a sealed secret can be found."""
        return hmac.new(self._lookup_key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"guywire key id" + key).digest()[:_KEY_ID_BYTES]


def read_key_ring(text: str) -> tuple[list[bytes], bytes]:
    """The keys and the key of the look-ups that ``KeyRing.to_json`` wrote. Raises KeyRingMissing."""
    try:
        document = json.loads(text)
        keys = [base64.b64decode(key) for key in document["keys"]]
        lookup_key = base64.b64decode(document["lookup_key"])
        if {len(key) for key in keys} - {32} or len(lookup_key) < 32:
            raise ValueError("the keys are not of 32 bytes")
    except (ValueError, KeyError, TypeError) as error:
        raise KeyRingMissing(f"this is not a key ring: {error!r}") from None
    return keys, lookup_key


def attach_key_ring(engine: Engine, ring: KeyRing) -> None:
    """Let the sealed columns of this engine use ``ring``. A column type sees nothing of the engine but its dialect."""
    engine.dialect.key_ring = ring  # type: ignore[attr-defined]


def key_ring_of(engine_or_dialect: Engine | Dialect) -> KeyRing:
    """The ring that was attached to this engine."""
    dialect = engine_or_dialect.dialect if isinstance(engine_or_dialect, Engine) else engine_or_dialect
    ring: KeyRing = dialect.key_ring  # type: ignore[attr-defined]
    return ring


class SealedBytes(TypeDecorator[bytes]):
    """A column of bytes that are sealed in the database. ``purpose`` is ``table.column``."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.purpose = purpose

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seal on the way into the database."""
        return None if value is None else key_ring_of(dialect).seal(value, self.purpose)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Open on the way out of it."""
        return None if value is None else key_ring_of(dialect).open(bytes(value), self.purpose)


class SealedText(SealedBytes):
    """A column of text that is sealed in the database."""

    cache_ok = True

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seal on the way into the database."""
        return super().process_bind_param(None if value is None else value.encode(), dialect)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Open on the way out of it."""
        plain = super().process_result_value(value, dialect)
        return None if plain is None else plain.decode()
