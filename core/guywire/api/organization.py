"""Organizations: ``/api/v1/users/organization/``."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire.api import fields
from guywire.api.base import Resource, register
from guywire.api.schema import Schema
from guywire.api.shown import Loaded, nullable, object_schema
from guywire.errors import Invalid
from guywire.events import OrganizationDeleting
from guywire.models import Membership, Organization, OrganizationOwner, Vpn, VpnClient
from guywire.plugin import notify
from guywire.security import visible_to
from guywire.services import vpn_clients, vpn_servers
from guywire.services.accounts import create_organization
from guywire.services.status import dependents_of_organization

_IN_URLS = "%:/?#[]@!$&'()*+,;=~"

NOT_A_MEMBER = "The selected user is not member of this organization."


class OwnerBody(Schema):
    """Who owns an organization."""

    organization_user: Annotated[uuid.UUID | None, fields.reference(Membership, null=True)]


class OrganizationBody(Schema):
    """An organization's fields."""

    name: Annotated[str, fields.text(200)]
    is_active: fields.Boolean = True
    slug: Annotated[str, fields.slug(200)]
    description: Annotated[str, fields.text(blank=True)] = ""
    email: Annotated[str, fields.email(blank=True)] = ""
    url: Annotated[str, fields.url(blank=True)] = ""
    owner: OwnerBody | None = None


def _owners(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    owners = session.scalars(sa.select(OrganizationOwner).where(OrganizationOwner.organization_id.in_(ids)))
    return {owner.organization_id: {"organization_user": owner.organization_user_id} for owner in owners}


_OWNER = nullable(object_schema(organization_user={"type": "string", "format": "uuid"}))


@register("/api/v1/users/organization/")
class OrganizationResource(Resource):
    """Organizations: the tenants of this controller."""

    model = Organization
    schema = OrganizationBody
    kind = "organization"
    label = "Organization"
    manager = False
    shown = {  # noqa: RUF012
        "id": Organization.id,
        "name": Organization.name,
        "is_active": Organization.is_active,
        "slug": Organization.slug,
        "description": Organization.description,
        "email": Organization.email,
        "url": Organization.url,
        "created": Organization.created,
        "modified": Organization.modified,
    }
    shown_in_detail = {**shown, "owner": Loaded(_owners, _OWNER)}  # noqa: RUF012

    @override
    def query(self) -> Any:
        return sa.select(Organization).where(visible_to(self.identity, Organization.id, shared=False))

    @override
    def create(self, fields: dict[str, Any]) -> Organization:
        self._require_free_slug(fields["slug"], None)
        fields.pop("owner", None)
        organization = create_organization(self.session, self.runtime.key_ring, self.now, **fields)
        # The reference sends the organization's web site as Location; clients may rely on the header being there.
        self.request.response.headers["Location"] = quote(organization.url, safe=_IN_URLS)
        return organization

    @override
    def update(self, row: Organization, fields: dict[str, Any]) -> None:
        if "slug" in fields:
            self._require_free_slug(fields["slug"], row.id)
        if "owner" in fields:
            self._set_owner(row, fields.pop("owner"))
        for name, value in fields.items():
            setattr(row, name, value)
        row.modified = self.now

    def _require_free_slug(self, slug: str, own_id: uuid.UUID | None) -> None:
        other = self.session.scalar(
            sa.select(Organization.id).where(Organization.slug == slug, Organization.id.is_distinct_from(own_id))
        )
        if other is not None:
            error: dict[str, Any] = {"slug": ["organization with this slug already exists."]}
            if self.identity.is_superuser:
                error["organization"] = [str(other)]
            raise Invalid(error)

    @override
    def delete(self, row: Organization) -> None:
        registry = self.runtime.registry
        of_devices = VpnClient.config_id.in_(dependents_of_organization(row.id))
        vpn_clients.release(self.session, registry, of_devices, self.now)
        for vpn in self.session.scalars(sa.select(Vpn).where(Vpn.organization_id == row.id)).all():
            vpn_servers.remove(self.session, registry, vpn, self.now)
        notify(self.session, OrganizationDeleting(row.id, self.now))
        super().delete(row)

    def _set_owner(self, row: Organization, owner: dict[str, Any] | None) -> None:
        if owner == {}:
            return
        membership_id: uuid.UUID | None = owner["organization_user"] if owner else None
        current = self.session.get(OrganizationOwner, row.id)
        if membership_id is None:
            if current is not None:
                self.session.delete(current)
            return
        if self.session.get_one(Membership, membership_id).organization_id != row.id:
            raise Invalid({"owner": {"organization_user": [NOT_A_MEMBER]}})
        if current is None:
            self.session.add(OrganizationOwner(organization_id=row.id, organization_user_id=membership_id))
        else:
            current.organization_user_id = membership_id
