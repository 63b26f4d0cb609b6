"""Background jobs: ``/api/v1/controller/job/``."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from pyramid.request import Request
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire.api import filters
from guywire.api.base import UUID_PATTERN, Resource, register
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shown import Grouped
from guywire.jobs import Priority
from guywire.models import JobRecord
from guywire.models.job import JOB_STATES, WAITING
from guywire.queue.care import cancel
from guywire.queue.progress import estimated_end, rate_of
from guywire.security import Identity, require

PATH = "/api/v1/controller/job/"

_PRIORITIES = {int(each): each.name.lower() for each in Priority}
_MEASURED = (JobRecord.id, JobRecord.priority, JobRecord.state, JobRecord.total, JobRecord.done)
_MOMENTS = (JobRecord.started, JobRecord.reported)


def _measures(session: Session, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Mapping[str, Any]]:
    """What is told of jobs beside their columns."""
    rows = session.execute(sa.select(*_MEASURED, *_MOMENTS).where(JobRecord.id.in_(ids)))
    return {
        row.id: {
            "priority": _PRIORITIES.get(row.priority, str(row.priority)),
            "rate": rate_of(row),
            "estimate": estimated_end(row),
        }
        for row in rows
    }


def _states(registry: Any) -> Mapping[str, str]:
    return {state: state for state in JOB_STATES}


@register(PATH, methods=frozenset({"LIST", "GET"}))
class JobResource(Resource):
    """Background jobs: those that wait, run, failed, or have shown their progress and ended not long ago.

    ``done`` of ``total`` is done, ``rate`` of them in a second; ``estimate`` is when a running job will probably end. A
    job of an organization is shown to its managers, any other only to superusers.
    """

    model = JobRecord
    schema = Schema
    kind = "job"
    label = "Job"
    shown = {  # noqa: RUF012
        "id": JobRecord.id,
        "name": JobRecord.name,
        "label": JobRecord.label,
        "organization": JobRecord.organization_id,
        "priority": Grouped(_measures, "priority", {"type": "string"}),
        "state": JobRecord.state,
        "total": JobRecord.total,
        "done": JobRecord.done,
        "rate": Grouped(_measures, "rate", {"type": ["number", "null"]}),
        "estimate": Grouped(_measures, "estimate", {"type": ["string", "null"], "format": "date-time"}),
        "attempts": JobRecord.attempts,
        "error": JobRecord.error,
        "created": JobRecord.created,
        "run_at": JobRecord.run_at,
        "started": JobRecord.started,
        "finished": JobRecord.finished,
    }
    filters = {  # noqa: RUF012
        "name": filters.exactly(JobRecord.name, "Only this kind of job."),
        "state": filters.choice(lambda state: JobRecord.state == state, _states),
        **filters.organization(JobRecord.organization_id),
        **filters.moments("created", JobRecord.created),
    }


class _Cancelling(JobResource):
    @override
    def authorized(self) -> Identity:
        return require(self.request.identity, "PATCH", self.kind)


cancellation = APIService(
    name="job_cancel",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/cancel/",
    title="Cancel a job",
    description="Gives up a job that waits.",
)


@cancellation.post(
    operation=Operation(
        answer=JobResource, permission="change_job", errors=(409,), applies=lambda job: bool(job["state"] == WAITING)
    )
)
def cancel_job(request: Request) -> dict[str, Any]:
    """The job is not going to be run. One that runs already cannot be cancelled."""
    resource = _Cancelling(request)
    job = resource.row()
    cancel(job, resource.now)
    resource.session.flush()
    return resource.represent(job)
