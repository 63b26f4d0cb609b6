"""Where the key ring comes from: a file in the data directory, or an environment variable."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from guywire.sealing import KeyRing, KeyRingMissing, read_key_ring
from guywire.settings import Settings

log = logging.getLogger(__name__)

ENVIRONMENT = "GUYWIRE_KEY_RING"
"""The environment variable that may hold the whole ring, as its file would."""


class KeyRingFile(KeyRing):
    """A ring that follows its file, so that the keys can be rotated while servers and workers run.

    It looks before it seals and when it meets a key that it does not know: whatever is sealed after the file was
    replaced is sealed with the new first key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        super().__init__(*read_key_ring(path.read_text()))

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """``plain`` encrypted with the first key of the file as it is now."""
        self._follow()
        return super().seal(plain, purpose)

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """What ``seal`` was given. Raises SealBroken."""
        if not self.knows_key_of(sealed):
            self._follow()
        return super().open(sealed, purpose)

    def _follow(self) -> None:
        try:
            stamp = _stamp(self._path)
        except FileNotFoundError:
            # Somebody moved it away. The keys in memory are still those of the database.
            log.error("the key ring is gone: %s", self._path)
            return
        if stamp != self._stamp:
            # A ring that cannot be read must raise: what an old key seals now could be lost when that key is dropped.
            self._hold(*read_key_ring(self._path.read_text()))
            self._stamp = stamp
            log.info("key ring read again: %s", self._path)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def key_ring_path(settings: Settings) -> Path:
    """Where the key ring's file is, if the environment does not hold the ring."""
    return settings.data_dir / "key-ring.json"


def load_key_ring(settings: Settings, environ: Mapping[str, str] | None = None) -> KeyRing:
    """The ring from ``GUYWIRE_KEY_RING`` or from the data directory.

    On a first run the file is made, except in production (``guywire.production``), where a ring that was lost or
    forgotten must not be replaced silently: KeyRingMissing.
    """
    environ = os.environ if environ is None else environ
    if text := environ.get(ENVIRONMENT):
        return KeyRing.from_json(text)
    path = key_ring_path(settings)
    try:
        return KeyRingFile(path)
    except FileNotFoundError:
        if settings.production:
            raise KeyRingMissing(
                f"{path} does not exist and {ENVIRONMENT} is not set; "
                "make one with `guywire keys create` before the first start"
            ) from None
    return create_key_ring(path)


def create_key_ring(path: Path) -> KeyRing:
    """Make a ring in the file ``path``, unless another process made one meanwhile: then that one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, KeyRing.generate())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return KeyRingFile(path)


def replace_key_ring(path: Path, ring: KeyRing) -> None:
    """Put ``ring`` into the file ``path`` in one step, so that no reader ever sees half a ring."""
    draft = _draft(path, ring)
    status = path.stat()
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        # Root rotates the keys of a server that runs as somebody else.
        os.chown(draft, status.st_uid, status.st_gid)
    os.replace(draft, path)


def _draft(path: Path, ring: KeyRing) -> Path:
    """A file beside ``path`` with the ring in it, for its owner alone and safely on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(ring.to_json())
        file.flush()
        os.fsync(file.fileno())
    return draft
