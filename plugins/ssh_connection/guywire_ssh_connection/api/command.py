"""Commands of a device: ``/api/v1/controller/device/{id}/command/``."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.base import UUID_PATTERN, Resource, register
from guywire.api.device import PATH as DEVICES
from guywire.api.field import Validation
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shown import nullable, object_schema
from guywire.errors import Invalid
from guywire.security import visible_to
from pyramid.request import Request
from typing_extensions import override

from guywire_ssh_connection.api.command_body import CONNECTION, INPUT, TYPE, allowed_type
from guywire_ssh_connection.api.parent import device_of_path
from guywire_ssh_connection.command_models import IN_PROGRESS, STATUSES, Command
from guywire_ssh_connection.models import DeviceConnection
from guywire_ssh_connection.services import commands
from guywire_ssh_connection.services.command_input import validated

PATH = f"{DEVICES}{{device_id:{UUID_PATTERN}}}/command/"
NO_CREDENTIALS = "Device has no credentials assigned."


class CommandBody(Schema):
    """A command's fields."""

    input: Annotated[Any, INPUT]
    connection: Annotated[uuid.UUID | None, CONNECTION] = None
    type: Annotated[str, TYPE]


@register(PATH, methods=frozenset({"LIST", "POST", "GET"}))
class CommandResource(Resource):
    """What a device is told to do. Its commands run one after the other, and each of them once."""

    model = Command
    schema = CommandBody
    kind = "command"
    label = "Command"
    shown = {  # noqa: RUF012
        "id": Command.id,
        "input": Command.input_text,
        "device": Command.device_id,
        "connection": Command.connection_id,
        "created": Command.created,
        "modified": Command.modified,
        "status": Command.status,
        "type": Command.label,
        "output": Command.output,
    }

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.device = device_of_path(request, self.identity)

    @override
    def query(self) -> Any:
        # The device may have been another organization's, and what it was told there is that one's business.
        mine = visible_to(self.identity, Command.organization_id, shared=False)
        return sa.select(Command).where(Command.device_id == self.device.id, mine)

    @override
    def order(self) -> tuple[Any, ...]:
        return (Command.number.desc(),)

    @override
    def validation(self, is_form: bool) -> Validation:
        return replace(super().validation(is_form), exists=self._connections)

    @override
    def create(self, fields: dict[str, Any]) -> Command:
        type = allowed_type(self.session, self.runtime, fields["type"], self.device.organization_id)
        input = validated(type, fields["input"])
        any_connection = sa.exists().where(DeviceConnection.device_id == self.device.id)
        if not self.session.scalar(sa.select(any_connection)):
            raise Invalid({"device": [NO_CREDENTIALS]})
        return commands.create(self.session, type, input, self.device, fields.get("connection"), self.now)

    def _connections(self, model: Any, ids: Iterable[Any]) -> set[Any]:
        """Those of the ids that are connections of this device."""
        mine = DeviceConnection.device_id == self.device.id, DeviceConnection.id.in_(list(ids))
        return set(self.session.scalars(sa.select(DeviceConnection.id).where(*mine)))


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}
_MOMENT = {"type": "string", "format": "date-time"}
_STATE = object_schema(
    type_id=_TEXT,
    input_data={"type": ["object", "null"], "additionalProperties": True},
    status={"type": "string", "enum": list(STATUSES)},
    batch=nullable({"type": "string", "format": "uuid"}),
    started=nullable(_MOMENT),
    ended=nullable(_MOMENT),
    output=_TEXT,
    next=_NUMBER,
)

state = APIService(
    name="command_state",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/state/",
    title="State of a command",
    description="How far a command has got, and what it has printed since one looked last.",
)


@state.get(
    operation=Operation(
        answer=_STATE,
        permission="view_command",
        parameters={
            "since": fields.integer(minimum=0, help="What `next` was the last time: only later output is shown.")
        },
    )
)
def show_state(request: Request) -> dict[str, Any]:
    """The output from a place on, while the command runs too; ``next`` is the place to ask from the next time."""
    command = CommandResource(request).row()
    since = _place(request.GET.get("since"))
    return {
        "type_id": command.type,
        "input_data": command.input,
        "status": command.status,
        "batch": command.batch_id,
        "started": command.started,
        "ended": None if command.status == IN_PROGRESS else command.modified,
        "output": command.output[since:],
        "next": max(since, len(command.output)),
    }


def _place(text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Invalid({"since": ["A valid integer is required."]})
    return int(text)
