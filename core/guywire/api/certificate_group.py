"""The group of the device that holds a certificate, for captive portals and firewalls."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request

from guywire.api import fields
from guywire.api.group import GroupResource
from guywire.api.service import APIService, Operation
from guywire.errors import NotFound
from guywire.interfaces import CertificateLookup
from guywire.models import Device

ORGANIZATIONS = fields.text(help="Slugs of organizations, separated by commas: only their certificates count.")

service = APIService(
    name="certificate_group",
    path="/api/v1/controller/cert/{common_name:[^/]+}/group/",
    title="Device group of a certificate",
    description="The group of the device that holds the certificate with this common name.",
)


@service.get(
    operation=Operation(
        answer=GroupResource, permission="view_devicegroup", parameters={"org": ORGANIZATIONS}, errors=(404,)
    )
)
def show_group_of_certificate(request: Request) -> dict[str, Any]:
    """The group with its meta data. 404 if there is none, for whichever reason."""
    resource = GroupResource(request)
    lookup = request.runtime.registry.services.get(CertificateLookup)
    if lookup is None:
        raise NotFound()
    slugs = request.GET.get("org")
    found = lookup.devices_of_certificate(
        resource.session, request.matchdict["common_name"], slugs.split(",") if slugs else None, resource.now
    )
    query = resource.query().join(Device, Device.group_id == GroupResource.model.id).add_columns(Device.id)
    groups = {id: group for group, id in resource.session.execute(query.where(Device.id.in_(found)))}
    for device_id in found:
        if device_id in groups:
            return resource.represent(groups[device_id])
    raise NotFound()
