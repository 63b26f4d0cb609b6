"""What is not create, read, update, delete of a device: activate, deactivate, download, state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from guywire.api.archives import ARCHIVE, archive_response
from guywire.api.base import UUID_PATTERN
from guywire.api.device import PATH, DeviceResource
from guywire.api.service import APIService, Operation
from guywire.api.shown import nullable, object_schema
from guywire.errors import Invalid, NotFound
from guywire.interfaces import ConfigurationInvalid
from guywire.models import ConfigArchive, ConfigState
from guywire.services import devices
from guywire.services.status import STATUSES, explanation_of, status_of


def _service(name: str, description: str) -> APIService:
    path = f"{PATH}{{id:{UUID_PATTERN}}}/{name}/"
    return APIService(name=f"device_{name}", path=path, description=description, depth=2)


activation = _service("activate", "Takes a deactivated device back into service.")
deactivation = _service("deactivate", "Takes a device out of service.")
configuration = _service("configuration", "The archive that the device should have.")
state = _service("state", "How far the device's configuration has got, and why.")

_ACTIVATION = Operation(
    permission="add_device", answer=DeviceResource, applies=lambda device: bool(device["is_deactivated"])
)
_DEACTIVATION = replace(_ACTIVATION, applies=lambda device: not device["is_deactivated"])

_MOMENT = {"type": "string", "format": "date-time"}
_STAGE: dict[str, dict[str, Any]] = {
    "generation": {"type": ["integer", "null"]},
    "checksum": {"type": "string"},
    "time": {"type": ["string", "null"], "format": "date-time"},
}
_STATE = object_schema(
    status={"type": "string", "enum": list(STATUSES)},
    explanation={"type": "string"},
    desired=nullable(object_schema(**_STAGE)),
    served=nullable(object_schema(**_STAGE)),
    reported=nullable(object_schema(**_STAGE, status={"type": "string"}, error_reason={"type": "string"})),
    rendering_error=nullable(
        object_schema(message={"type": "string"}, template={"type": ["string", "null"], "format": "uuid"})
    ),
    last_poll=nullable(_MOMENT),
)


@activation.post(operation=_ACTIVATION)
def activate(request: Request) -> dict[str, Any]:
    """The device gets its automatic templates back; its former own configuration is gone."""
    resource = DeviceResource(request)
    device = resource.row()
    if not device.is_deactivated:
        raise NotFound.of(DeviceResource.label)
    try:
        runtime = resource.runtime
        backend = runtime.settings.default_backend
        devices.activate(resource.session, runtime.renderer, device, resource.now, default_backend=backend)
    except ConfigurationInvalid as invalid:
        raise Invalid({"config": [str(invalid)]}) from None
    resource.session.flush()
    return resource.represent(device)


@deactivation.post(operation=_DEACTIVATION)
def deactivate(request: Request) -> dict[str, Any]:
    """The device's configuration is emptied; it is deactivated once the device has reported that."""
    resource = DeviceResource(request)
    device = resource.row()
    if device.is_deactivated:
        raise NotFound.of(DeviceResource.label)
    try:
        devices.deactivate(resource.session, resource.runtime.renderer, device, resource.now)
    except ConfigurationInvalid as invalid:
        raise Invalid({"config": [str(invalid)]}) from None
    resource.session.flush()
    body = resource.represent(device)
    if device.config is None:
        # The reference says so here, and null from the next read on.
        body["management_ip"] = ""
    return body


@configuration.get(operation=Operation(permission="view_device", sends=ARCHIVE))
def download_configuration(request: Request) -> Response:
    """The very bytes that the device would download."""
    resource = DeviceResource(request)
    device = resource.row()
    archive = device.config and resource.session.get(ConfigArchive, device.config.id)
    if not archive:
        raise NotFound()
    return archive_response(device.name, archive.archive)


@state.get(operation=Operation(permission="view_device", answer=_STATE))
def show_state(request: Request) -> dict[str, Any]:
    """Desired, served and reported configuration, the status and a sentence that explains it."""
    resource = DeviceResource(request)
    device = resource.row()
    if device.config is None:
        raise NotFound()
    state: ConfigState = device.config.state
    reported = _stage(state.reported_generation, state.reported_checksum, state.reported_at)
    if reported is not None:
        reported |= {"status": state.reported_status, "error_reason": state.error_reason}
    return {
        "status": status_of(state),
        "explanation": explanation_of(state),
        "desired": _stage(state.generation, state.checksum, state.generated_at),
        "served": _stage(state.served_generation, state.served_checksum, state.served_at),
        "reported": reported,
        "rendering_error": None
        if state.render_error is None
        else {"message": state.render_error, "template": state.render_error_template_id},
        "last_poll": request.registry.poll_log.last_poll(device.id, state.last_poll),
    }


def _stage(generation: int | None, checksum: str | None, time: datetime | None) -> dict[str, Any] | None:
    if checksum is None:
        return None
    return {"generation": generation, "checksum": checksum, "time": time}
