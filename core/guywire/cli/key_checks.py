"""What ``guywire check`` looks at first: whether the key ring is there, and whether it is the right one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from guywire.cli.finding import NOTE, RIGHT, WRONG, Finding
from guywire.keyring_file import ENVIRONMENT, key_ring_path, load_key_ring
from guywire.registry import Registry
from guywire.sealing import KeyRing, KeyRingMissing, SealBroken
from guywire.services.sealed_columns import sealed_columns
from guywire.settings import Settings


def examine_key_ring(settings: Settings, ini: str) -> tuple[KeyRing | None, Finding]:
    """The ring, if it can be used, and what is to be said about it. Makes none."""
    path = key_ring_path(settings)
    if not os.environ.get(ENVIRONMENT):
        if not path.exists():
            level = WRONG if settings.production else NOTE
            return None, Finding(
                level,
                "key ring",
                f"{path} does not exist yet",
                f"For a new installation: guywire keys create {ini}. For an old one: put its key ring back.",
            )
        if path.stat().st_mode & 0o077:
            return None, Finding(WRONG, "key ring", f"others may read {path}", f"Run: chmod 600 {path}")
    try:
        ring = load_key_ring(settings)
    except (KeyRingMissing, OSError) as error:
        return None, Finding(WRONG, "key ring", f"{path}: {error}", "Put the key ring of this database back.")
    source = ENVIRONMENT if os.environ.get(ENVIRONMENT) else str(path)
    if ring.has_old_keys:
        return ring, Finding(
            NOTE, "key ring", f"{source} holds keys of before a rotation", f"Finish it: guywire keys rotate {ini}"
        )
    return ring, Finding(RIGHT, "key ring", source)


def examine_secrets(engine: Engine, registry: Registry, ring: KeyRing) -> Iterator[Finding]:
    """Whether the ring opens what is stored: one value of each column."""
    for column in sealed_columns(registry):
        with engine.connect() as connection:
            sealed = connection.scalar(sa.select(column.raw).where(column.raw.is_not(None)).limit(1))
        try:
            if sealed is not None:
                ring.open(bytes(sealed), column.purpose)
        except SealBroken as error:
            yield Finding(WRONG, "secrets", str(error), "Put back the key ring that this database was written with.")
            return
    yield Finding(RIGHT, "secrets", "the key ring opens them")
