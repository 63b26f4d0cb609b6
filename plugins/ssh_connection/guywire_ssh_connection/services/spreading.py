"""Credentials that devices get by themselves: new ones with their configuration, the others by a job."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.events import ConfigsCreated, DeviceMoved, Event
from guywire.interfaces import Job, UpdateStrategy
from guywire.jobs import UNWATCHED, JobQueue, Priority, Progress
from guywire.models import Config, Device
from guywire.plugin import contributed
from guywire.runtime import Runtime
from sqlalchemy.orm import Session

from guywire_ssh_connection.models import Credentials, DeviceConnection
from guywire_ssh_connection.services import pushing

log = logging.getLogger(__name__)

SPREAD = "ssh_spread_credentials"
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class CredentialsSpreading(Event):
    """Credentials are to be added to the devices that there are already."""

    credentials_id: uuid.UUID


def tell(event: Event, jobs: JobQueue) -> None:
    """Many devices may be concerned: that is work for the worker."""
    if isinstance(event, CredentialsSpreading):
        jobs.enqueue(SPREAD, priority=Priority.BULK)


def hear(session: Session, event: Event) -> None:
    """Give devices with a new configuration the credentials of their organization, and the shared ones.

    A device that moves leaves those of its former organization behind.
    """
    if isinstance(event, ConfigsCreated):
        _add_automatic(session, event.config_ids)
    elif isinstance(event, DeviceMoved):
        foreign = sa.select(Credentials.id).where(
            Credentials.organization_id.is_not(None), Credentials.organization_id != event.organization_id
        )
        session.execute(
            sa.delete(DeviceConnection).where(
                DeviceConnection.device_id == event.device_id, DeviceConnection.credentials_id.in_(foreign)
            )
        )
        mine = sa.select(Config.id).where(Config.device_id == event.device_id)
        _add_automatic(session, session.scalars(mine).all())


def _add_automatic(session: Session, config_ids: Sequence[uuid.UUID]) -> None:
    automatic = session.scalars(
        sa.select(Credentials).where(Credentials.auto_add).order_by(Credentials.created, Credentials.id)
    ).all()
    if not automatic:
        return
    strategies = strategies_by_backend(contributed(session, "register_update_strategies"))
    for start in range(0, len(config_ids), _CHUNK):
        chosen = Config.id.in_(config_ids[start : start + _CHUNK])
        for credentials in automatic:
            created = session.execute(_lacking(credentials).where(chosen)).all()
            for now in {row.created for row in created}:
                _add(session, credentials, [row for row in created if row.created == now], strategies, now)


def strategies_by_backend(strategies: Iterable[UpdateStrategy]) -> Mapping[str, str]:
    """The ids of the update strategies that are taken for configuration backends when nobody names one."""
    found: dict[str, str] = {}
    for strategy in strategies:
        for backend in strategy.config_backends:
            found.setdefault(backend, strategy.id)
    return found


def spread_all(runtime: Runtime, progress: Progress = UNWATCHED) -> None:
    """Add credentials to the devices that there are already, as far as that has not been done."""
    with reading(runtime.session_factory) as session:
        waiting = session.scalars(sa.select(Credentials).where(Credentials.is_spreading)).all()
        total = sum(
            session.scalar(sa.select(sa.func.count()).select_from(_lacking(each).subquery())) or 0 for each in waiting
        )
    done = 0
    for credentials in waiting:
        after: uuid.UUID | None = None
        while True:
            with writing(runtime.session_factory) as session:
                after, count = _spread(session, runtime, credentials.id, after)
            done += count
            progress.report(done, max(done, total))
            if after is None:
                break


def _spread(
    session: Session, runtime: Runtime, credentials_id: uuid.UUID, after: uuid.UUID | None
) -> tuple[uuid.UUID | None, int]:
    """Add credentials to some more devices. Returns the configuration of the last one (None: that was all), and to
    how many.
    """
    credentials = session.get(Credentials, credentials_id, with_for_update=True)
    if credentials is None:
        return None, 0
    query = _lacking(credentials).order_by(Config.id).limit(_CHUNK)
    rows = session.execute(query if after is None else query.where(Config.id > after)).all()
    if not rows or not credentials.auto_add:
        credentials.is_spreading = False
        return None, 0
    strategies = strategies_by_backend(runtime.registry.update_strategies.values())
    _add(session, credentials, rows, strategies, runtime.clock())
    return rows[-1].id, len(rows)


def _lacking(credentials: Credentials) -> Any:
    """The configurations whose devices may have the credentials and do not."""
    has_them = sa.exists().where(
        DeviceConnection.device_id == Config.device_id, DeviceConnection.credentials_id == credentials.id
    )
    query = sa.select(Config.id, Config.device_id, Config.backend, Config.created).where(~has_them)
    if credentials.organization_id is not None:
        query = query.join(Device, Device.id == Config.device_id)
        query = query.where(Device.organization_id == credentials.organization_id)
    return query


def _add(
    session: Session,
    credentials: Credentials,
    configurations: Sequence[Any],
    strategies: Mapping[str, str],
    now: datetime,
) -> None:
    """Add credentials to devices; one for which no update strategy is known is left out, and the log says so."""
    device_ids = []
    for row in configurations:
        strategy = strategies.get(row.backend)
        if strategy is None:
            log.warning("no update strategy for %s: the device %s gets no credentials", row.backend, row.device_id)
            continue
        device_ids.append(row.device_id)
        session.add(
            DeviceConnection(
                device_id=row.device_id,
                credentials_id=credentials.id,
                update_strategy=strategy,
                created=now,
                modified=now,
            )
        )
    pushing.begin(session, device_ids)
    session.flush()


JOBS = (Job(SPREAD, spread_all, every=300.0, label="Give credentials to devices"),)
