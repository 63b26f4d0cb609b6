"""The files of images: written before the transaction that refers to them ends, removed after nobody does.

A file's name is the hash of its content and a random token. The hash tells caches what it is; for the token the file
is that of one row alone, so nobody has to count who else may be about to refer to it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from guywire.db import reading
from guywire.events import Event
from guywire.plugin import notify
from guywire.runtime import Runtime
from guywire.settings import Settings
from sqlalchemy import event as sqlalchemy_events
from sqlalchemy.orm import Session, SessionTransaction

from guywire_geo.images import Picture
from guywire_geo.models import FloorPlan

REMOVE = "geo.remove_images"
SWEEP = "geo.sweep_images"
SWEEP_INTERVAL = 24 * 3600.0
"""Seconds between two looks for files that nobody refers to."""

_GRACE = 3600
"""Seconds that a file may be there before the transaction that refers to it must have ended."""
_WRITTEN = "guywire_geo.written"
_TEMPORARY = ".writing-"


@dataclass(frozen=True, slots=True)
class ImagesDropped(Event):
    """Nobody refers to these files any more, once the transaction is committed."""

    names: tuple[str, ...]


def folder_of(settings: Settings) -> Path:
    """Where the images of floor plans are."""
    return settings.data_dir / "geo" / "floorplans"


def keep(session: Session, settings: Settings, picture: Picture) -> str:
    """Write a picture and return the name of its file, which is gone again unless the session is committed."""
    digest = hashlib.sha256(picture.content).hexdigest()
    name = f"{digest[:32]}-{secrets.token_hex(8)}.{picture.extension}"
    folder = folder_of(settings)
    folder.mkdir(parents=True, exist_ok=True)
    session.info.setdefault(_WRITTEN, []).append(folder / name)
    temporary = folder / f"{_TEMPORARY}{name}"
    try:
        with temporary.open("wb") as file:
            file.write(picture.content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name


def drop(session: Session, names: Iterable[str]) -> None:
    """Nobody refers to these files any more: they go after the commit."""
    if names := tuple(names):
        notify(session, ImagesDropped(names))


@sqlalchemy_events.listens_for(Session, "after_commit")
def _keep_written(session: Session) -> None:
    if session.get_nested_transaction() is None:
        session.info.pop(_WRITTEN, None)


@sqlalchemy_events.listens_for(Session, "after_transaction_end")
def _remove_written(session: Session, transaction: SessionTransaction) -> None:
    """What is still here now was written by a transaction that was not committed."""
    if transaction.parent is None:
        for path in session.info.pop(_WRITTEN, ()):
            path.unlink(missing_ok=True)


def remove(runtime: Runtime, names: Sequence[str]) -> None:
    """The job that removes files, as far as really nobody refers to them."""
    folder = folder_of(runtime.settings)
    for name in _unused(runtime, names):
        (folder / name).unlink(missing_ok=True)


def sweep(runtime: Runtime) -> None:
    """The job that removes what was left behind: by a process that was killed."""
    folder = folder_of(runtime.settings)
    old = runtime.clock().timestamp() - _GRACE
    names = [path.name for path in folder.iterdir() if path.stat().st_mtime < old] if folder.is_dir() else []
    remove(runtime, names)


def _unused(runtime: Runtime, names: Sequence[str]) -> set[str]:
    unused = set(names)
    with reading(runtime.session_factory) as session:
        for start in range(0, len(names), 500):
            some = names[start : start + 500]
            unused -= set(session.scalars(sa.select(FloorPlan.image).where(FloorPlan.image.in_(some))))
    return unused
