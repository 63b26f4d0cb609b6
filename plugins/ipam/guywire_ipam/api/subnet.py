"""Subnets: ``/api/v1/ipam/subnet/``."""

from __future__ import annotations

import uuid
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields, filters
from guywire.api.base import UUID_PATTERN, Resource, register_single
from guywire.api.field import Field, fail
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shown import PageReader
from guywire.errors import NotFound
from guywire.models import Organization
from guywire.security import Identity, require_for_object, visible_to
from pyramid.request import Request
from typing_extensions import override

from guywire_ipam.addresses import Network, parse_network
from guywire_ipam.models import Subnet
from guywire_ipam.services import tree

PATH = "/api/v1/ipam/subnet/"


def _network(value: Any) -> Network:
    if value is None:
        raise fail(fields.NULL)
    if not isinstance(value, str) or not value.strip():
        raise fail(
            "Not a valid string." if value != "" and not isinstance(value, str) else "This field cannot be blank."
        )
    if len(value) > 43:
        raise fail("Ensure this field has no more than 43 characters.")
    try:
        return parse_network(value.strip())
    except ValueError as error:
        raise fail(str(error)) from None


class SubnetBody(Schema):
    """A subnet's fields."""

    name: Annotated[str, fields.text(100)]
    subnet: Annotated[
        IPv4Network | IPv6Network,
        Field(_network, max_length=43, help="In CIDR notation, IPv4 or IPv6; host bits are dropped."),
    ]
    description: Annotated[str, fields.text(100, blank=True)] = ""
    organization: Annotated[uuid.UUID | None, fields.reference(Organization, null=True)] = None
    master_subnet: Annotated[
        uuid.UUID | None, fields.reference(Subnet, null=True, help="The subnet that this one is a part of.")
    ] = None


@register_single(f"{PATH}{{id:{UUID_PATTERN}}}/", methods=frozenset({"GET", "PUT", "PATCH", "DELETE"}))
class SubnetResource(Resource):
    """Subnets, in the order of their addresses. Without organization a subnet is shared by all of them."""

    model = Subnet
    schema = SubnetBody
    kind = "subnet"
    label = "Subnet"
    force = "Delete the subnet although VPN servers or their clients have addresses of it."
    shared = True
    shown = {  # noqa: RUF012
        "id": Subnet.id,
        "created": Subnet.created,
        "modified": Subnet.modified,
        "name": Subnet.name,
        "subnet": Subnet.subnet,
        "description": Subnet.description,
        "organization": Subnet.organization_id,
        "master_subnet": Subnet.master_subnet_id,
    }
    filters = {  # noqa: RUF012
        **filters.organization(Subnet.organization_id),
        "master_subnet": filters.related(Subnet.master_subnet_id, Subnet, "Only parts of this subnet."),
    }

    reader = PageReader(shown, Subnet.id)

    @override
    def order(self) -> tuple[Any, ...]:
        return Subnet.first_address, Subnet.prefix_length, Subnet.id

    @override
    def create(self, fields: dict[str, Any]) -> Subnet:
        return tree.create(self.session, fields, self.now)

    @override
    def update(self, row: Subnet, fields: dict[str, Any]) -> None:
        tree.update(self.session, row, fields, self.now)

    @override
    def delete(self, row: Subnet) -> None:
        tree.delete(self.session, row, force=self.is_forced)


class SubnetList(SubnetResource):
    """The list is also for those who manage no organization, to whom it is empty: so it is in the reference."""

    @override
    def authorized(self) -> Identity:
        identity: Identity | None = self.request.identity
        if identity is None or identity.is_superuser or identity.managed_organizations:
            return super().authorized()
        return identity


collection = APIService(
    name="subnet_list", path=PATH, title="Subnet list", description=SubnetResource.__doc__, resource=SubnetResource
)


@collection.get(
    operation=Operation(
        answer=SubnetResource,
        page=True,
        permission="view_subnet",
        manager=False,
        parameters={name: each.field for name, each in SubnetResource.filters.items()},
    )
)
def list_subnets(request: Request) -> dict[str, Any]:
    """A page of the list."""
    return SubnetList(request).collection_get()


@collection.post(operation=Operation(body=SubnetBody, answer=SubnetResource, status=201, permission="add_subnet"))
def create_subnet(request: Request) -> dict[str, Any]:
    """Create a subnet."""
    return SubnetResource(request).collection_post()


def subnet_of_path(request: Request, identity: Identity, kind: str) -> Subnet:
    """The subnet whose id is in the path of something below it that is of ``kind``.

    Raises NotFound, PermissionDenied.
    """
    visible = visible_to(identity, Subnet.organization_id, shared=True)
    query = sa.select(Subnet).where(Subnet.id == uuid.UUID(request.matchdict["id"]), visible)
    subnet: Subnet | None = request.db.scalars(query).first()
    if subnet is None:
        raise NotFound.of(SubnetResource.label)
    require_for_object(identity, request.method, kind, subnet.organization_id)
    return subnet
