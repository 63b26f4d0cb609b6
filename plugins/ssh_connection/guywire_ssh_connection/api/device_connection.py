"""Connections of a device: ``/api/v1/controller/device/{id}/connection/``."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.base import UUID_PATTERN, Resource, register
from guywire.api.device import PATH as DEVICES
from guywire.api.field import Field, context_of, fail
from guywire.api.fields import NULL
from guywire.api.schema import Schema
from guywire.errors import MODEL, Invalid
from guywire.models import Config
from guywire.registry import Registry
from pydantic import ValidationInfo
from pyramid.request import Request
from typing_extensions import override

from guywire_ssh_connection.api.parent import device_of_path
from guywire_ssh_connection.models import Credentials, DeviceConnection
from guywire_ssh_connection.services import pushing
from guywire_ssh_connection.services.spreading import strategies_by_backend

PATH = f"{DEVICES}{{device_id:{UUID_PATTERN}}}/connection/"

NO_CONFIGURATION = (
    "the update strategy can be determined automatically only if the device has a configuration specified, because it "
    "is inferred from the configuration backend. Please select the update strategy manually."
)
OTHER_ORGANIZATION = "The organization of these credentials doesn't match the organization of the device"
THERE_ALREADY = "Device connection with this Device and Credentials already exists."


def _labels(registry: Registry) -> dict[str, str]:
    return {each.id: each.label for each in registry.update_strategies.values()}


def _strategy(value: Any, info: ValidationInfo) -> str:
    if value is None:
        raise fail(NULL)
    if value == "":
        return ""
    if not isinstance(value, str) or value not in _labels(context_of(info).registry):
        raise fail(f'"{value}" is not a valid choice.')
    return value


class ConnectionBody(Schema):
    """The fields of a connection."""

    credentials: Annotated[uuid.UUID, fields.reference(Credentials)]
    update_strategy: Annotated[
        str,
        Field(
            _strategy,
            kind="choice",
            choices=_labels,
            blank=True,
            help="How the device is told of a new configuration. Empty: as fits its backend.",
        ),
    ] = ""
    enabled: Annotated[bool, fields.boolean()] = True


@register(PATH)
class ConnectionResource(Resource):
    """Credentials that serve for a device, and how the last attempt to use them went."""

    model = DeviceConnection
    schema = ConnectionBody
    kind = "deviceconnection"
    label = "DeviceConnection"
    shown = {  # noqa: RUF012
        "id": DeviceConnection.id,
        "credentials": DeviceConnection.credentials_id,
        "update_strategy": DeviceConnection.update_strategy,
        "enabled": DeviceConnection.enabled,
        "is_working": DeviceConnection.is_working,
        "failure_reason": DeviceConnection.failure_reason,
        "last_attempt": DeviceConnection.last_attempt,
        "created": DeviceConnection.created,
        "modified": DeviceConnection.modified,
    }

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.device = device_of_path(request, self.identity)

    @override
    def query(self) -> Any:
        return sa.select(DeviceConnection).where(DeviceConnection.device_id == self.device.id)

    @override
    def create(self, fields: dict[str, Any]) -> DeviceConnection:
        row = DeviceConnection(id=uuid.uuid4(), device_id=self.device.id, created=self.now, enabled=True, params={})
        self._apply(row, {"update_strategy": "", **fields})
        self.session.add(row)
        pushing.begin(self.session, [self.device.id])
        return row

    @override
    def update(self, row: DeviceConnection, fields: dict[str, Any]) -> None:
        if fields.get("credentials", row.credentials_id) != row.credentials_id:
            # What is known of the former ones says nothing of these.
            row.is_working, row.failure_reason, row.last_attempt = None, "", None
        self._apply(row, fields)
        pushing.try_again(self.session, [row.device_id])

    def _apply(self, row: DeviceConnection, given: dict[str, Any]) -> None:
        for name, value in given.items():
            setattr(row, "credentials_id" if name == "credentials" else name, value)
        row.modified = self.now
        with self.session.no_autoflush:
            # Locked: they may not be given to another organization, nor go, before this is committed.
            credentials = self.session.get(Credentials, row.credentials_id, with_for_update={"read": True})
            if credentials is None:
                raise Invalid({"credentials": [f'Invalid pk "{row.credentials_id}" - object does not exist.']})
            if credentials.organization_id not in (None, self.device.organization_id):
                raise Invalid({"credentials": [OTHER_ORGANIZATION]})
            row.update_strategy = row.update_strategy or self._inferred_strategy()
            same = sa.select(DeviceConnection.id).where(
                DeviceConnection.device_id == row.device_id,
                DeviceConnection.credentials_id == row.credentials_id,
                DeviceConnection.id != row.id,
            )
            if self.session.scalar(same) is not None:
                raise Invalid({MODEL: [THERE_ALREADY]})

    def _inferred_strategy(self) -> str:
        backend = self.session.scalar(sa.select(Config.backend).where(Config.device_id == self.device.id))
        if backend is None:
            raise Invalid({"update_strategy": [NO_CONFIGURATION]})
        strategy = strategies_by_backend(self.runtime.registry.update_strategies.values()).get(backend)
        if strategy is None:
            reason = f"could not determine update strategy automatically, exception: no strategy is for {backend}"
            raise Invalid({"update_strategy": [reason]})
        return strategy
