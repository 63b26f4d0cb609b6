"""Parameters of one device's own: ``/api/v1/controller/device/{id}/connection/{id}/params/``."""

from __future__ import annotations

from typing import Annotated, Any

from guywire.api import fields
from guywire.api.base import UUID_PATTERN
from guywire.api.body import read_body
from guywire.api.field import is_form
from guywire.api.schema import Schema, validate
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.interfaces import Connector
from pyramid.request import Request

from guywire_ssh_connection.api.device_connection import PATH, ConnectionResource
from guywire_ssh_connection.models import Credentials, DeviceConnection
from guywire_ssh_connection.services import params

_SHOWN = object_schema(params={"type": "object", "additionalProperties": True})


class ParamsBody(Schema):
    """What is otherwise on this device."""

    params: Annotated[
        Any, fields.json_object(help="They override those of the credentials one by one, such as the port.")
    ]


service = APIService(
    name="deviceconnection_params",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/params/",
    title="Own parameters of a connection",
    description="Parameters that hold for one device, and override those of the credentials.",
)


@service.get(operation=Operation(answer=_SHOWN, permission="view_deviceconnection"))
def show_params(request: Request) -> dict[str, Any]:
    """The device's own parameters. Secrets are shown to those who may change them."""
    resource = ConnectionResource(request)
    row = resource.row()
    return _shown(resource, row, _credentials_and_connector(resource, row)[1])


@service.put(operation=Operation(body=ParamsBody, answer=_SHOWN, permission="change_deviceconnection"))
def replace_params(request: Request) -> dict[str, Any]:
    """Replace them. Together with those of the credentials they have to be what the connector needs."""
    resource = ConnectionResource(request)
    row: DeviceConnection = resource.row()
    credentials, connector = _credentials_and_connector(resource, row)
    data = read_body(request)
    given = validate(ParamsBody, data, resource.validation(is_form(data)), partial=False)["params"]
    own = params.unmasked(connector, given, row.params)
    if connector is not None:
        params.check(connector, {**credentials.params, **own}, inherited=credentials.params)
    row.params, row.modified = own, resource.now
    resource.session.flush()
    return _shown(resource, row, connector)


def _credentials_and_connector(
    resource: ConnectionResource, row: DeviceConnection
) -> tuple[Credentials, Connector | None]:
    credentials = resource.session.get_one(Credentials, row.credentials_id)
    return credentials, resource.runtime.registry.connectors.get(credentials.connector)


def _shown(resource: ConnectionResource, row: DeviceConnection, connector: Connector | None) -> dict[str, Any]:
    may_change = resource.identity.has_permission("change", resource.kind)
    return {"params": dict(row.params) if may_change else params.masked(connector, row.params)}
