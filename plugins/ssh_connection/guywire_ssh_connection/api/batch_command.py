"""One command for many devices: ``/api/v1/controller/batch-command/``."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields, filters
from guywire.api.base import Resource, register
from guywire.api.device import DeviceResource
from guywire.api.field_groups import extended
from guywire.api.filters import Filter, conditions
from guywire.api.schema import Schema
from guywire.api.shown import Loaded, object_schema
from guywire.errors import NON_FIELD, Invalid
from guywire.interfaces import JSONObject
from guywire.models import Device, DeviceGroup, Organization
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire_ssh_connection.api.command_body import INPUT, TYPE, allowed_type, labels
from guywire_ssh_connection.command_models import BATCH_STATUSES, Batch
from guywire_ssh_connection.services import batches
from guywire_ssh_connection.services.command_input import validated

PATH = "/api/v1/controller/batch-command/"
NOBODY = "There is no device that could run it; dry-run/ says why."

_LIFETIME = timedelta(days=1)
_MOST = 10_000
_NUMBER = {"type": "integer", "minimum": 0}
SKIPPED = {
    "type": "array",
    "items": object_schema(id={"type": "string", "format": "uuid"}, name={"type": "string"}, reason={"type": "string"}),
}


class BatchBody(Schema):
    """A command, the devices that it is for, and how it gets to them.

    All of ``devices``, ``group`` and ``filters`` narrow the devices of the organization down.
    """

    organization: Annotated[uuid.UUID, fields.reference(Organization)]
    devices: Annotated[list[uuid.UUID], fields.references(Device, help="Only these. Empty: any.")] = []  # noqa: RUF012
    group: Annotated[uuid.UUID | None, fields.reference(DeviceGroup, null=True, help="Only of this group.")] = None
    filters: Annotated[
        JSONObject,
        fields.json_object(help="Only these: filters of the list of devices, with their values."),
    ] = {}  # noqa: RUF012
    input: Annotated[Any, INPUT]
    type: Annotated[str, TYPE]
    notes: Annotated[str, fields.text(blank=True)] = ""
    parallel: Annotated[int, fields.integer(minimum=1, maximum=_MOST, help="How many devices at once.")] = 10
    rate: Annotated[int, fields.integer(minimum=0, maximum=_MOST, help="How many devices a minute; 0: any number.")] = 0
    abort_percentage: Annotated[
        int | None,
        fields.integer(minimum=1, maximum=100, null=True, help="Stop when it failed on so many of all its devices."),
    ] = None
    expires: Annotated[
        datetime | None, fields.moment(null=True, help="Until then it waits for devices. Empty: for a day.")
    ] = None


def _skipped(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Any]:
    return {row.id: row.skipped for row in session.execute(sa.select(Batch.id, Batch.skipped).where(Batch.id.in_(ids)))}


def _progress(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, int]]:
    skipped = _skipped(session, ids)
    counts = batches.counts(session, ids)
    return {id: {"total": sum(count.values()), **count, "skipped": len(skipped[id])} for id, count in counts.items()}


_SHOWN = {
    "id": Batch.id,
    "organization": Batch.organization_id,
    "type": Batch.label,
    "input": Batch.input_text,
    "notes": Batch.notes,
    "status": Batch.status,
    "progress": Loaded(
        _progress, object_schema(total=_NUMBER, **dict.fromkeys(batches.STATES, _NUMBER), skipped=_NUMBER)
    ),
    "parallel": Batch.parallel,
    "rate": Batch.rate,
    "abort_percentage": Batch.abort_percentage,
    "expires": Batch.expires,
    "created": Batch.created,
    "modified": Batch.modified,
}


@register(PATH, methods=frozenset({"LIST", "POST", "GET"}))
class BatchResource(Resource):
    """Commands for many devices of an organization.

    The devices get it in the order of their names. One that cannot be reached gets it when it polls the next time.
    """

    model = Batch
    schema = BatchBody
    kind = "batchcommand"
    label = "BatchCommand"
    shown = _SHOWN
    shown_in_detail = _SHOWN | {"skipped": Loaded(_skipped, SKIPPED)}
    filters = {  # noqa: RUF012
        **filters.organization(Batch.organization_id),
        "status": filters.choice(Batch.status.__eq__, lambda registry: {each: each for each in BATCH_STATUSES}),
        "type": filters.choice(Batch.type.__eq__, labels),
    }

    @override
    def create(self, fields: dict[str, Any]) -> Batch:
        type = allowed_type(self.session, self.runtime, fields["type"], fields["organization"])
        input = validated(type, fields["input"])
        expires = fields.get("expires") or self.now + _LIFETIME
        if expires <= self.now:
            raise Invalid({"expires": ["This moment has passed."]})
        planned = self.plan(fields)
        if not planned.devices:
            raise Invalid({NON_FIELD: [NOBODY]})
        options = {
            "organization_id": fields["organization"],
            "notes": fields.get("notes", ""),
            "parallel": fields.get("parallel", 10),
            "rate": fields.get("rate", 0),
            "abort_percentage": fields.get("abort_percentage"),
            "expires": expires,
        }
        return batches.create(self.session, type, input, planned, options, self.now)

    def plan(self, fields: dict[str, Any]) -> batches.Plan:
        """Who gets the command. Raises Invalid."""
        wanted = [Device.organization_id == fields["organization"]]
        if fields.get("devices"):
            self._refuse_strangers(fields["devices"], fields["organization"])
            wanted.append(Device.id.in_(fields["devices"]))
        if fields.get("group") is not None:
            wanted.append(Device.group_id == fields["group"])
        wanted += self._filtered(fields.get("filters", {}))
        return batches.plan(self.session, sa.and_(*wanted), self.runtime.registry.connectors.values())

    def _refuse_strangers(self, ids: Sequence[uuid.UUID], organization_id: uuid.UUID) -> None:
        """Somebody who manages several organizations may have named a device of another one: it would be left out."""
        strangers = sa.select(Device.id).where(Device.id.in_(ids), Device.organization_id != organization_id)
        if (stranger := self.session.scalar(strangers.limit(1))) is not None:
            raise Invalid({"devices": [f'The device "{stranger}" belongs to another organization.']})

    def _filtered(self, given: Mapping[str, Any]) -> list[Any]:
        """The conditions of device filters.

        A list ignores filters that it does not know or understand. Here that would mean more devices than somebody
        wanted: it is refused.
        """
        known: Mapping[str, Filter] = extended(DeviceResource, self.runtime.registry.field_groups).filters
        found = []
        for name, value in given.items():
            text = str(value).lower() if isinstance(value, bool) else value
            if name not in known:
                raise Invalid({"filters": {name: ["There is no such filter."]}})
            if not isinstance(text, str) or not text:
                raise Invalid({"filters": {name: ["Not a valid string."]}})
            try:
                condition = conditions(known, {name: text}, self.validation(is_form=False))
            except Invalid as invalid:
                raise Invalid({"filters": invalid.body}) from None
            if not condition:
                raise Invalid({"filters": {name: [f'"{text}" is not a valid choice.']}})
            found += condition
        return found
