"""What ``guywire check`` looks at, one function for each subject."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import Session

from guywire import migration
from guywire.builtin import BUILTIN
from guywire.cli.failures import sentence_for
from guywire.db import create_engine
from guywire.keyring_file import ENVIRONMENT, key_ring_path, load_key_ring
from guywire.models import ConfigState, JobRecord
from guywire.plugin import load_plugins
from guywire.registry import Registry
from guywire.sealing import KeyRing, KeyRingMissing, SealBroken
from guywire.services.heartbeat import INTERVAL, worker_seen
from guywire.services.resealing import sealed_columns
from guywire.settings import Settings

RIGHT, NOTE, WRONG = "ok", "note", "WRONG"

_SILENCE = timedelta(seconds=10 * INTERVAL)
"""A worker that has given no sign of life for so long is not there. (One long job may delay it.)"""

_CLOCK_TOLERANCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one subject, and what to do about it."""

    level: str
    subject: str
    text: str
    advice: str = ""


def examine(settings: Settings, ini: str) -> Iterator[Finding]:
    """All findings; what depends on something that is wrong is left out."""
    host = load_plugins(BUILTIN, settings.plugins_blocked)
    registry = Registry(host)
    yield Finding(RIGHT, "plugins", ", ".join(host.names()))
    ring, finding = _key_ring(settings, ini)
    yield finding
    engine = create_engine(settings)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError as error:
        yield Finding(
            WRONG,
            "database",
            f"{_shown(settings)}: {sentence_for(error) or error}",
            "Does it run, and do host, name, user and password in sqlalchemy.url fit?",
        )
        return
    yield Finding(RIGHT, "database", _shown(settings))
    waiting = migration.pending(engine, registry)
    if waiting:
        yield Finding(WRONG, "migrations", f"waiting: {', '.join(waiting)}", f"Run: guywire migrate {ini}")
        return
    yield Finding(RIGHT, "migrations", "nothing waits")
    if ring is not None:
        yield from _secrets(engine, registry, ring, ini)
    with Session(engine) as session:
        now = datetime.now(UTC)
        yield _clock(session, now)
        yield from _work(session, now, ini)
    engine.dispose()


def _shown(settings: Settings) -> str:
    return make_url(settings.sqlalchemy_url).render_as_string(hide_password=True)


def _key_ring(settings: Settings, ini: str) -> tuple[KeyRing | None, Finding]:
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


def _secrets(engine: Engine, registry: Registry, ring: KeyRing, ini: str) -> Iterator[Finding]:
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


def _clock(session: Session, now: datetime) -> Finding:
    if session.get_bind().dialect.name == "sqlite":
        # The database has the same clock. A sign of life from the future tells of a clock that was set back.
        there = worker_seen(session) or now
        difference = max(there - now, timedelta(0))
    else:
        there = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        difference = abs(there - datetime.now(UTC))
    if difference > _CLOCK_TOLERANCE:
        return Finding(
            WRONG,
            "clock",
            f"{now:%Y-%m-%d %H:%M:%S} UTC here, {there:%Y-%m-%d %H:%M:%S} UTC in the database",
            "Let both hosts take their time from the network (NTP).",
        )
    return Finding(RIGHT, "clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _work(session: Session, now: datetime, ini: str) -> Iterator[Finding]:
    seen = worker_seen(session)
    is_there = seen is not None and now - seen < _SILENCE
    stale = session.scalar(sa.select(sa.func.count()).where(ConfigState.inputs_version != ConfigState.rendered_version))
    jobs = session.scalar(sa.select(sa.func.count(JobRecord.id)))
    failed = session.scalar(sa.select(sa.func.count()).where(ConfigState.render_error.is_not(None)))
    if is_there:
        yield Finding(RIGHT, "worker", f"seen {seen:%Y-%m-%d %H:%M:%S} UTC")
    else:
        yield Finding(
            WRONG if stale or jobs else NOTE,
            "worker",
            f"last seen {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "none has been seen yet",
            f"guywire serve {ini} starts one by itself; with --no-worker run guywire worker {ini}",
        )
    yield Finding(RIGHT, "waiting", f"{stale} configurations to render, {jobs} jobs")
    if failed:
        yield Finding(
            NOTE,
            "failed",
            f"{failed} configurations cannot be rendered; their devices keep the last good one",
            "GET /api/v1/controller/device/{id}/state/ says why, and so does the log.",
        )
