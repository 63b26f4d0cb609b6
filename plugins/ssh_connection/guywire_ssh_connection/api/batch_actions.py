"""What else there is to do with a command for many devices: try it, cancel it, read what came of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from guywire.api.base import UUID_PATTERN
from guywire.api.pages import page_of
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.models import Device
from pyramid.request import Request

from guywire_ssh_connection.api.batch_command import PATH, SKIPPED, BatchBody, BatchResource
from guywire_ssh_connection.api.command_body import allowed_type
from guywire_ssh_connection.command_models import IN_PROGRESS, STATUSES, Batch, Command
from guywire_ssh_connection.services import batches
from guywire_ssh_connection.services.command_input import validated

NAMED = 100
"""How many devices of a group of equal results are named."""

_NUMBER = {"type": "integer", "minimum": 0}
_URL = {"type": ["string", "null"], "format": "uri"}
_DEVICES = {
    "type": "array",
    "items": object_schema(id={"type": "string", "format": "uuid"}, name={"type": "string"}),
}
_GROUP = object_schema(
    status={"type": "string", "enum": list(STATUSES)}, output={"type": "string"}, count=_NUMBER, devices=_DEVICES
)

trial = APIService(
    name="batchcommand_dry_run",
    path=f"{PATH}dry-run/",
    title="Dry run of a batch command",
    description="Says which devices would get a command, and runs nothing.",
)
cancellation = APIService(
    name="batchcommand_cancel",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/cancel/",
    title="Cancel a batch command",
    description="Ends a command for many devices.",
)
results = APIService(
    name="batchcommand_results",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/results/",
    title="Results of a batch command",
    description="What came of a command, with the devices that said the same in one group.",
)


@trial.post(
    operation=Operation(
        body=BatchBody,
        answer=object_schema(count=_NUMBER, devices=_DEVICES, skipped=SKIPPED),
        permission="add_batchcommand",
    )
)
def try_batch(request: Request) -> dict[str, Any]:
    """Who would get the command, and who would not and why."""
    resource = BatchResource(request)
    given = resource.validated(partial=False)
    type = allowed_type(resource.session, resource.runtime, given["type"], given["organization"])
    validated(type, given["input"])
    planned = resource.plan(given)
    devices = [{"id": id, "name": name} for id, name in planned.devices]
    return {"count": len(devices), "devices": devices, "skipped": planned.skipped}


@cancellation.post(
    operation=Operation(
        answer=BatchResource,
        permission="add_batchcommand",
        applies=lambda batch: batch["status"] == IN_PROGRESS,
    )
)
def cancel_batch(request: Request) -> dict[str, Any]:
    """No more devices get the command. Those that are at it go on."""
    resource = BatchResource(request)
    batch = resource.row()
    batches.cancel(resource.session, batch, resource.now)
    resource.session.flush()
    return resource.represent(batch)


@results.get(
    operation=Operation(
        answer=object_schema(count=_NUMBER, next=_URL, previous=_URL, results={"type": "array", "items": _GROUP}),
        permission="view_batchcommand",
    )
)
def list_results(request: Request) -> dict[str, Any]:
    """Groups of equal output, the largest first."""
    resource = BatchResource(request)
    batch: Batch = resource.row()
    settings, session = resource.runtime.settings, resource.session
    ended = Command.batch_id == batch.id, Command.status != IN_PROGRESS
    groups = sa.select(sa.func.min(Command.number)).where(*ended).group_by(Command.status, Command.output)
    largest = groups.order_by(sa.func.count().desc(), sa.func.min(Command.number))
    page = page_of(session, request, largest, default_size=settings.page_size, max_size=settings.max_page_size)
    return page.wrap([_group(session, batch, ended, number) for number in page.ids])


def _group(session: Any, batch: Batch, ended: Any, number: int) -> dict[str, Any]:
    """The group that a command belongs to."""
    first = sa.select(Command.status, Command.output).where(Command.number == number)
    status, output = session.execute(first).one()
    equal = sa.and_(*ended, Command.status == status, Command.output == output)
    count = session.scalar(sa.select(sa.func.count()).select_from(Command).where(equal))
    ids = session.scalars(sa.select(Command.device_id).where(equal).order_by(Command.number).limit(NAMED)).all()
    named = sa.select(Device.id, Device.name).where(Device.id.in_(ids))
    # Those that have another organization now are counted, and no business of this one's managers.
    named = named.where(Device.organization_id == batch.organization_id).order_by(Device.name, Device.id)
    devices = session.execute(named)
    return {
        "status": status,
        "output": output,
        "count": count,
        "devices": [{"id": device.id, "name": device.name} for device in devices],
    }
