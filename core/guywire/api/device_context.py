"""The variables of a device: ``/api/v1/controller/device/{id}/context/``."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request

from guywire.api.base import UUID_PATTERN
from guywire.api.device import PATH, DeviceResource
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.services.variables import variables_of

context = APIService(
    name="device_context",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/context/",
    title="Variables",
    description="The variables that a device's configuration is rendered with.",
)


@context.get(
    operation=Operation(
        answer=object_schema(system={"type": "object"}, own={"type": "object"}), permission="view_device"
    )
)
def show_context(request: Request) -> dict[str, Any]:
    """The device's own variables, and those that it has from elsewhere, of each the value that wins.

    From weak to strong: the default values of its templates, what is known of the device (name, mac_address, id,
    key), the global variables, those of its organization, of its group, its own.
    """
    resource = DeviceResource(request)
    return variables_of(resource.session, resource.runtime.renderer, resource.row())._asdict()
