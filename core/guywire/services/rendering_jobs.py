"""Rendering as background work: what is stale is found, and where there is much of it, it is a job with progress."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import reading
from guywire.interfaces import Job
from guywire.jobs import UNWATCHED, Priority, Progress, Wanted
from guywire.models import ConfigState, Device, JobRecord
from guywire.models.job import RUNNING, WAITING
from guywire.services.rendering import BATCH, refresh

RENDER = "render"
"""The job that looks for what is stale. It renders what is little, and has the rest rendered by organization."""
RENDER_ORGANIZATION = "render_organization"
"""The job that renders the many stale configurations of one organization, and says how far it has got."""

_STALE = ConfigState.inputs_version != ConfigState.rendered_version


def sweep(runtime: Any) -> None:
    """Render what is stale, or see to it that somebody does.

    An organization's thousands hold up nobody else's few.
    """
    with reading(runtime.session_factory) as session:
        waiting = _stale_by_organization(session)
        many = {id for id, count in waiting.items() if count > BATCH}
        at_it = _organizations_being_rendered(session) if many else set()
    runtime.queue.put(
        [
            Wanted(RENDER_ORGANIZATION, {"organization": str(id)}, Priority.BULK, organization_id=id)
            for id in sorted(many - at_it)
        ]
    )
    few = waiting.keys() - many
    while few:
        with reading(runtime.session_factory) as session:
            config_ids = _stale_ids(session, Device.organization_id.in_(few))
        if not config_ids or not refresh(runtime.session_factory, runtime.renderer, config_ids, runtime.clock()):
            return


def render_organization(runtime: Any, organization: str, progress: Progress = UNWATCHED) -> None:
    """Render until nothing of an organization is stale; what becomes stale meanwhile is done, too."""
    mine = Device.organization_id == uuid.UUID(organization)
    done = 0
    while True:
        with reading(runtime.session_factory) as session:
            config_ids = _stale_ids(session, mine)
            waiting = session.scalar(_stale(sa.func.count()).where(mine)) or 0
        if done or waiting:
            progress.report(done, done + waiting)
        if not config_ids:
            return
        rendered = refresh(runtime.session_factory, runtime.renderer, config_ids, runtime.clock())
        if not rendered:
            return
        done += rendered


def _stale(*columns: Any) -> Any:
    query = sa.select(*columns).select_from(ConfigState).join(Device, Device.id == ConfigState.device_id)
    return query.where(_STALE)


def _stale_ids(session: Session, condition: Any) -> list[uuid.UUID]:
    return list(session.scalars(_stale(ConfigState.config_id).where(condition).limit(BATCH)))


def _stale_by_organization(session: Session) -> dict[uuid.UUID, int]:
    counted = _stale(Device.organization_id, sa.func.count()).group_by(Device.organization_id)
    return {row[0]: row[1] for row in session.execute(counted)}


def _organizations_being_rendered(session: Session) -> set[uuid.UUID]:
    jobs = sa.select(JobRecord.organization_id).where(
        JobRecord.name == RENDER_ORGANIZATION, JobRecord.state.in_((WAITING, RUNNING))
    )
    return {id for id in session.scalars(jobs) if id is not None}


JOBS = (
    Job(RENDER, sweep, every=1.0, label="Look for configurations to render"),
    Job(RENDER_ORGANIZATION, render_organization, parallel=2, label="Render configurations"),
)
