"""How an organization's devices register, its variables and limits: ``…/organization/{id}/settings/``."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pyramid.request import Request
from typing_extensions import override

from guywire.api import fields
from guywire.api.base import UUID_PATTERN, Resource, register_single
from guywire.api.fields import matching
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.errors import FieldErrors, Invalid, NotFound
from guywire.models import Device, Organization, OrganizationConfigSettings
from guywire.models.organization import generate_shared_secret
from guywire.security import Identity, require, visible_to
from guywire.services.accounts import is_secret_taken, rotate_shared_secret
from guywire.services.status import dependents_of_organization, mark_stale

PATH = f"/api/v1/controller/organization/{{id:{UUID_PATTERN}}}/settings/"

SECRET = re.compile(r"[^\s./]+")
"""What a shared secret may be: agents' configurations hold it unquoted."""

NOT_YOUR_LIMIT = "Only superusers may change the limit."
LIMIT_TOO_LOW = (
    "The specified limit is lower than the amount of devices currently held by this organization. "
    "Please remove some devices or consider increasing the device limit."
)


class SettingsBody(Schema):
    """An organization's settings."""

    registration_enabled: Annotated[bool, fields.boolean(help="Whether devices may register.")] = True
    shared_secret: Annotated[
        str,
        fields.text(
            32,
            rules=(matching(SECRET, "This value must not contain spaces, dots or slashes."),),
            help="What devices register with. The one of before serves for a while longer.",
        ),
    ] = ""
    context: Annotated[dict[str, Any], fields.json_object(empty=True, help="Configuration variables.")] = {}  # noqa: RUF012
    device_limit: Annotated[
        int | None,
        fields.integer(minimum=0, maximum=2**63 - 1, null=True, help="0: any number of devices; empty: no more."),
    ] = 0


@register_single(PATH)
class OrganizationSettingsResource(Resource):
    """How devices of an organization register, its configuration variables, and how many devices it may have."""

    model = OrganizationConfigSettings
    schema = SettingsBody
    kind = "organizationconfigsettings"
    label = "OrganizationConfigSettings"
    shown = {  # noqa: RUF012
        "organization": OrganizationConfigSettings.organization_id,
        "registration_enabled": OrganizationConfigSettings.registration_enabled,
        "shared_secret": OrganizationConfigSettings.shared_secret,
        "previous_secret_until": OrganizationConfigSettings.previous_secret_until,
        "context": OrganizationConfigSettings.context,
        "device_limit": OrganizationConfigSettings.device_limit,
    }

    @override
    def row(self) -> OrganizationConfigSettings:
        visible = visible_to(self.identity, OrganizationConfigSettings.organization_id, shared=False)
        query = sa.select(OrganizationConfigSettings).where(
            OrganizationConfigSettings.organization_id == UUID(self.request.matchdict["id"]), visible
        )
        if self.request.method not in ("GET", "HEAD"):
            query = query.with_for_update()
        row = self.session.scalars(query).first()
        if row is None:
            raise NotFound.of(Organization.__name__)
        return row

    @override
    def update(self, row: OrganizationConfigSettings, fields: dict[str, Any]) -> None:
        secret = fields.get("shared_secret", row.shared_secret)
        limit = fields.get("device_limit", row.device_limit)
        errors: FieldErrors = {}
        if secret != row.shared_secret and is_secret_taken(
            self.session, self.runtime.key_ring, secret, self.now, row.organization_id
        ):
            errors["shared_secret"] = ["Organization config settings with this Shared secret already exists."]
        if limit != row.device_limit:
            errors |= self._limit_errors(row, limit)
        if errors:
            raise Invalid(errors)
        row.registration_enabled = fields.get("registration_enabled", row.registration_enabled)
        row.device_limit = limit
        if secret != row.shared_secret:
            self.rotate(row, secret)
        if "context" in fields:
            row.context = fields["context"]
            if sa.inspect(row).attrs.context.history.has_changes():
                self.session.flush()
                mark_stale(self.session, dependents_of_organization(row.organization_id))

    def rotate(self, row: OrganizationConfigSettings, secret: str) -> None:
        """Put another secret in the place of the one that there is."""
        grace = self.runtime.settings.secret_grace_period
        rotate_shared_secret(self.session, row, self.runtime.key_ring, secret, self.now, grace)

    def _limit_errors(self, row: OrganizationConfigSettings, limit: int | None) -> FieldErrors:
        if not self.identity.is_superuser:
            # A limit that the limited can lift is none.
            return {"device_limit": [NOT_YOUR_LIMIT]}
        held = sa.select(sa.func.count()).select_from(Device).where(Device.organization_id == row.organization_id)
        count = self.session.scalar(held) or 0
        return {"device_limit": [LIMIT_TOO_LOW]} if limit and limit < count else {}


rotation = APIService(
    name="organizationconfigsettings_rotation",
    path=f"{PATH}rotate-secret/",
    title="Rotate the shared secret",
    description="Puts a new shared secret in the place of the one that there is, which serves for a while longer.",
)


class _Rotation(OrganizationSettingsResource):
    """The settings, for whoever may change them: POST alone would ask whether they may add some."""

    @override
    def authorized(self) -> Identity:
        return require(self.request.identity, "PATCH", self.kind)


@rotation.post(
    operation=Operation(
        answer=OrganizationSettingsResource, permission="change_organizationconfigsettings", errors=(404,)
    )
)
def rotate_secret(request: Request) -> dict[str, Any]:
    """A new random shared secret. Devices may register with the one of before until ``previous_secret_until``."""
    resource = _Rotation(request)
    row = resource.row()
    resource.rotate(row, generate_shared_secret())
    return resource.represent(row)
