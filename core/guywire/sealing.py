"""Sealing of secrets at rest: AES-256-GCM with a key ring, and keyed hashes for what must also be looked up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.types import TypeDecorator

from guywire.settings import Settings

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
        if not keys:
            raise KeyRingMissing("the key ring holds no key")
        self._keys = keys
        self._lookup_key = lookup_key
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._primary = _key_id(keys[0])

    @classmethod
    def generate(cls) -> KeyRing:
        """A ring with one new key."""
        return cls([secrets.token_bytes(32)], secrets.token_bytes(32))

    @classmethod
    def from_json(cls, text: str) -> KeyRing:
        """Read what ``to_json`` wrote. Raises KeyRingMissing when it is something else."""
        try:
            document = json.loads(text)
            keys = [base64.b64decode(key) for key in document["keys"]]
            ring = cls(keys, base64.b64decode(document["lookup_key"]))
        except (ValueError, KeyError, TypeError) as error:
            raise KeyRingMissing(f"this is not a key ring: {error!r}") from None
        return ring

    def to_json(self) -> str:
        """The ring as text, for its file or for ``GUYWIRE_KEY_RING``."""
        encoded = [base64.b64encode(key).decode() for key in self._keys]
        return json.dumps({"keys": encoded, "lookup_key": base64.b64encode(self._lookup_key).decode()}, indent=1)

    def rotated(self) -> KeyRing:
        """This ring with a new first key. The key of the look-ups stays: their hashes are stored."""
        return KeyRing([secrets.token_bytes(32), *self._keys], self._lookup_key)

    def without_old_keys(self) -> KeyRing:
        """Only the first key, for when everything has been sealed anew."""
        return KeyRing(self._keys[:1], self._lookup_key)

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """``plain`` encrypted with the first key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._primary + nonce + self._ciphers[self._primary].encrypt(nonce, plain, purpose.encode())

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

    def is_current(self, sealed: bytes) -> bool:
        """Whether the first key sealed this value."""
        return sealed[:_KEY_ID_BYTES] == self._primary

    def lookup_hash(self, text: str, purpose: str) -> str:
        """A keyed hash (64 hex digits) by which a sealed secret can be found."""
        return hmac.new(self._lookup_key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"guywire key id" + key).digest()[:_KEY_ID_BYTES]


def key_ring_path(settings: Settings) -> Path:
    """Where the key ring's file is, if the environment does not hold the ring."""
    return settings.data_dir / "key-ring.json"


def load_key_ring(settings: Settings, environ: Mapping[str, str] | None = None) -> KeyRing:
    """The ring from ``GUYWIRE_KEY_RING`` or from the data directory.

    On a first run the file is made, except in production (``guywire.production``), where a ring that was lost or
    forgotten must not be replaced silently: KeyRingMissing.
    """
    environ = os.environ if environ is None else environ
    if text := environ.get("GUYWIRE_KEY_RING"):
        return KeyRing.from_json(text)
    path = key_ring_path(settings)
    try:
        return KeyRing.from_json(path.read_text())
    except FileNotFoundError:
        if settings.production:
            raise KeyRingMissing(
                f"{path} does not exist and GUYWIRE_KEY_RING is not set; "
                "make one with `guywire keys create` before the first start"
            ) from None
    return create_key_ring(path)


def create_key_ring(path: Path) -> KeyRing:
    """Make a ring in the file ``path``, unless another process made one meanwhile: then that one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ring = KeyRing.generate()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write_private(draft, ring.to_json())
    try:
        os.link(draft, path)
    except FileExistsError:
        return KeyRing.from_json(path.read_text())
    finally:
        draft.unlink()
    return ring


def replace_key_ring(path: Path, ring: KeyRing) -> None:
    """Put ``ring`` into the file ``path`` in one step, so that no reader ever sees half a ring."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write_private(draft, ring.to_json())
    os.replace(draft, path)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def attach_key_ring(engine: Engine, ring: KeyRing) -> None:
    """Let the sealed columns of this engine use ``ring``. A column type sees nothing of the engine but its dialect."""
    engine.dialect.key_ring = ring  # type: ignore[attr-defined]


def key_ring_of(engine_or_dialect: Engine | Dialect) -> KeyRing:
    """The ring that was attached to this engine."""
    dialect = engine_or_dialect.dialect if isinstance(engine_or_dialect, Engine) else engine_or_dialect
    return dialect.key_ring  # type: ignore[union-attr]


class SealedBytes(TypeDecorator[bytes]):
    """A column of bytes that are sealed in the database. ``purpose`` is ``table.column``."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.purpose = purpose

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else key_ring_of(dialect).seal(value, self.purpose)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else key_ring_of(dialect).open(bytes(value), self.purpose)


class SealedText(SealedBytes):
    """A column of text that is sealed in the database."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return super().process_bind_param(None if value is None else value.encode(), dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        plain = super().process_result_value(value, dialect)
        return None if plain is None else plain.decode()
