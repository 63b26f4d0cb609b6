"""What an organization wants of geography: ``/api/v1/controller/organization/{id}/geo-settings/``."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.base import UUID_PATTERN, Resource, register_single
from guywire.api.schema import Schema
from guywire.errors import Invalid, NotFound
from guywire.models import Organization
from typing_extensions import override

from guywire_geo.models import OrganizationGeoSettings

PATH = f"/api/v1/controller/organization/{{id:{UUID_PATTERN}}}/geo-settings/"
NOT_AVAILABLE = "Locations cannot be estimated: there is no service that knows where addresses are."


class GeoSettingsBody(Schema):
    """An organization's geographic settings."""

    estimated_location_enabled: Annotated[
        bool, fields.boolean(help="Whether devices without location get an estimated one. Not available.")
    ] = False


@register_single(PATH)
class OrganizationGeoSettingsResource(Resource):
    """What an organization wants of geography."""

    model = OrganizationGeoSettings
    schema = GeoSettingsBody
    kind = "organizationgeosettings"
    label = "OrganizationGeoSettings"
    shown = {  # noqa: RUF012
        "organization": OrganizationGeoSettings.organization_id,
        "estimated_location_enabled": OrganizationGeoSettings.estimated_location_enabled,
    }

    @override
    def row(self) -> OrganizationGeoSettings:
        """The organization's settings; those of one that never said anything are made when it does."""
        id = UUID(self.request.matchdict["id"])
        query = sa.select(Organization.id).where(Organization.id == id, self.visible(Organization.id))
        changes = self.request.method not in ("GET", "HEAD")
        if self.session.scalar(query.with_for_update(key_share=True) if changes else query) is None:
            raise NotFound.of(Organization.__name__)
        row = self.session.get(OrganizationGeoSettings, id)
        return row or OrganizationGeoSettings(organization_id=id, estimated_location_enabled=False)

    @override
    def update(self, row: OrganizationGeoSettings, fields: dict[str, Any]) -> None:
        if fields.get("estimated_location_enabled"):
            raise Invalid({"estimated_location_enabled": [NOT_AVAILABLE]})
        row.estimated_location_enabled = False
        self.session.add(row)
