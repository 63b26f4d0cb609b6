"""The key by which a device is known: ``/api/v1/controller/device/{id}/host-key/``."""

from __future__ import annotations

from typing import Annotated, Any

from guywire.api import fields
from guywire.api.base import UUID_PATTERN
from guywire.api.body import read_body
from guywire.api.device import PATH as DEVICES
from guywire.api.device import DeviceResource
from guywire.api.field import is_form
from guywire.api.schema import Schema, validate
from guywire.api.service import APIService, Operation
from guywire.api.shown import nullable, object_schema
from guywire.errors import Invalid, PermissionDenied
from guywire.models import Device
from guywire.security import require
from pyramid.request import Request
from typing_extensions import override

from guywire_ssh_connection.connectors.keys import fingerprint
from guywire_ssh_connection.models import HostKey
from guywire_ssh_connection.services import pushing

NOT_OFFERED = "The device has not shown a key with this fingerprint."

_KEY = nullable(
    object_schema(
        type={"type": "string"},
        fingerprint={"type": "string"},
        key={"type": "string"},
        since={"type": "string", "format": "date-time"},
    )
)
_KEYS = object_schema(pinned=_KEY, offered=_KEY)


class HostKeyBody(Schema):
    """Which key is accepted."""

    fingerprint: Annotated[
        str, fields.text(64, help="That of the key that the device offers, as it is shown there: SHA256:…")
    ]


class _Owner(DeviceResource):
    """The device, with the permissions of its connections."""

    @override
    def authorized(self) -> Any:
        return require(self.request.identity, self.request.method, "deviceconnection")


service = APIService(
    name="device_host_key",
    path=f"{DEVICES}{{id:{UUID_PATTERN}}}/host-key/",
    title="Host key",
    description="The key that a device proves its identity with. It is pinned when the device is first reached.",
)


@service.get(operation=Operation(answer=_KEYS, permission="view_deviceconnection"))
def show_host_key(request: Request) -> dict[str, Any]:
    """The key that is pinned, and another one that the device has shown since (nothing is sent to it then)."""
    resource = _Owner(request)
    return _shown(resource.session.get(HostKey, resource.row().id))


@service.put(operation=Operation(body=HostKeyBody, answer=_KEYS, permission="change_deviceconnection"))
def accept_host_key(request: Request) -> dict[str, Any]:
    """Pin the key that the device offers: it was given a new one, and that is known."""
    resource = _Owner(request)
    device = _changeable(resource)
    data = read_body(request)
    given = validate(HostKeyBody, data, resource.validation(is_form(data)), partial=False)
    row = resource.session.get(HostKey, device.id, with_for_update=True)
    if row is None or given["fingerprint"] not in _fingerprints(row):
        raise Invalid({"fingerprint": [NOT_OFFERED]})
    if row.offered is not None and given["fingerprint"] == fingerprint(row.offered):
        row.key, row.pinned_at = row.offered, resource.now
        row.offered = row.offered_at = None
        pushing.try_again(resource.session, [device.id])
    return _shown(row)


@service.delete(operation=Operation(status=204, permission="delete_deviceconnection"))
def forget_host_key(request: Request) -> None:
    """Forget the key: the next one that the device shows is pinned."""
    resource = _Owner(request)
    device = _changeable(resource)
    row = resource.session.get(HostKey, device.id)
    if row is not None:
        resource.session.delete(row)
        pushing.try_again(resource.session, [device.id])
    request.response.status = 204


def _changeable(resource: DeviceResource) -> Device:
    device: Device = resource.row()
    if device.is_deactivated:
        raise PermissionDenied()
    return device


def _fingerprints(row: HostKey) -> set[str]:
    return {fingerprint(key) for key in (row.key, row.offered) if key is not None}


def _shown(row: HostKey | None) -> dict[str, Any]:
    if row is None:
        return {"pinned": None, "offered": None}
    return {"pinned": _key(row.key, row.pinned_at), "offered": _key(row.offered, row.offered_at)}


def _key(key: str | None, since: Any) -> dict[str, Any] | None:
    if key is None:
        return None
    return {"type": key.partition(" ")[0], "fingerprint": fingerprint(key), "key": key, "since": since}
