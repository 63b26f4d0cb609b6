"""What ``guywire check`` looks at, one function for each subject."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import Session

from guywire import migration
from guywire.builtin import BUILTIN
from guywire.cli.failures import sentence_for
from guywire.cli.finding import NOTE, RIGHT, WRONG, Finding
from guywire.cli.key_checks import examine_key_ring, examine_secrets
from guywire.db import create_engine
from guywire.models import ConfigState, JobRecord, VpnState
from guywire.models.job import FAILED, RUNNING, WAITING
from guywire.plugin import load_plugins
from guywire.registry import Registry
from guywire.sealing import KeyRing
from guywire.services.heartbeat import INTERVAL, worker_seen
from guywire.services.rendering import count_stale
from guywire.services.vpn_webhooks import silent
from guywire.settings import Settings

_SILENCE = timedelta(seconds=10 * INTERVAL)
"""A worker that has given no sign of life for so long is not there. (One long job may delay it.)"""

_CLOCK_TOLERANCE = timedelta(seconds=5)
_NAMED = 5


def examine(settings: Settings, ini: str) -> Iterator[Finding]:
    """All findings; what depends on something that is wrong is left out."""
    host = load_plugins(BUILTIN, settings.plugins_blocked)
    registry = Registry(host)
    yield Finding(RIGHT, "plugins", ", ".join(host.names()))
    ring, finding = examine_key_ring(settings, ini)
    yield finding
    engine = create_engine(settings)
    try:
        yield from _database(settings, engine, registry, ring, ini)
    finally:
        engine.dispose()


def _database(
    settings: Settings, engine: Engine, registry: Registry, ring: KeyRing | None, ini: str
) -> Iterator[Finding]:
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
        yield from examine_secrets(engine, registry, ring)
    with Session(engine) as session:
        now = datetime.now(UTC)
        yield _clock(session, now)
        yield from _work(session, now, ini)


def _shown(settings: Settings) -> str:
    return make_url(settings.sqlalchemy_url).render_as_string(hide_password=True)


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
    stale = count_stale(session)
    jobs = session.scalar(sa.select(sa.func.count(JobRecord.id)).where(JobRecord.state.in_((WAITING, RUNNING))))
    given_up = session.scalar(sa.select(sa.func.count(JobRecord.id)).where(JobRecord.state == FAILED))
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
    if given_up:
        yield Finding(NOTE, "jobs", f"{given_up} were given up", f"guywire jobs list {ini} --state failed names them")
    servers = session.scalar(sa.select(sa.func.count()).where(VpnState.render_error.is_not(None)))
    if servers:
        yield Finding(
            NOTE,
            "VPN servers",
            f"the files of {servers} cannot be rendered; they keep the last good ones",
            "The log names them when they are rendered.",
        )
    if unheard := silent(session):
        yield Finding(
            NOTE,
            "VPN webhooks",
            f"{len(unheard)} did not answer and are tried again: {', '.join(unheard[:_NAMED])}",
            "The log says what went wrong first.",
        )
    if failed:
        yield Finding(
            NOTE,
            "failed",
            f"{failed} configurations cannot be rendered; their devices keep the last good one",
            "GET /api/v1/controller/device/{id}/state/ says why, and so does the log.",
        )
