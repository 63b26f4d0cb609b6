"""The worker's sign of life, so that somebody who looks for trouble sees whether one runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from guywire.db import writing
from guywire.interfaces import Job
from guywire.models import Marker

_MARKER = "worker seen"
INTERVAL = 30.0
"""Seconds between two signs of life. A long job delays them."""


def _beat(runtime: Any) -> None:
    with writing(runtime.session_factory) as session:
        note_worker(session, runtime.clock())


HEARTBEAT = Job("heartbeat", _beat, every=INTERVAL)
"""What ``guywire worker`` does beside the registered jobs."""


def note_worker(session: Session, now: datetime) -> None:
    """A worker is at work."""
    session.merge(Marker(name=_MARKER, value=now.isoformat()))


def worker_seen(session: Session) -> datetime | None:
    """When a worker last gave a sign of life."""
    marker = session.get(Marker, _MARKER)
    return None if marker is None else datetime.fromisoformat(marker.value)
