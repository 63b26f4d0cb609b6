"""Addresses that are taken: ``/api/v1/ipam/ip-address/{id}/`` and those of a subnet."""

from __future__ import annotations

import uuid
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, ClassVar

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.base import UUID_PATTERN, Resource, register_single
from guywire.api.field import Field, fail
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shown import PageReader
from guywire.errors import Invalid, NotFound
from guywire.events import AddressesChanged, AddressesDeleting
from guywire.plugin import notify
from guywire.security import require_for_object
from guywire.services.status import mark_stale
from pyramid.request import Request
from typing_extensions import override

from guywire_ipam.addresses import Address, parse_address
from guywire_ipam.api.subnet import PATH, subnet_of_path
from guywire_ipam.models import IpAddress, Subnet
from guywire_ipam.services import pool

NOT_AN_ADDRESS = "Enter a valid IPv4 or IPv6 address."
IN_SUBNET = f"{PATH}{{id:{UUID_PATTERN}}}/"


def _address(value: Any) -> Address:
    if value is None:
        raise fail(fields.NULL)
    if not isinstance(value, str):
        raise fail(NOT_AN_ADDRESS)
    if not value.strip():
        raise fail(fields.BLANK)
    try:
        return parse_address(value.strip())
    except ValueError:
        raise fail(NOT_AN_ADDRESS) from None


DESCRIPTION = fields.text(100, blank=True, help="Who or what has the address.")


class AddressBody(Schema):
    """An address' fields."""

    ip_address: Annotated[IPv4Address | IPv6Address, Field(_address, help="An IPv4 or IPv6 address of the subnet.")]
    description: Annotated[str, DESCRIPTION] = ""
    subnet: Annotated[uuid.UUID, fields.reference(Subnet)]


@register_single(
    "/api/v1/ipam/ip-address/{id:" + UUID_PATTERN + "}/", methods=frozenset({"GET", "PUT", "PATCH", "DELETE"})
)
class AddressResource(Resource):
    """Addresses of subnets that are taken."""

    model = IpAddress
    schema: ClassVar[type[Schema]] = AddressBody
    kind = "ipaddress"
    label = "IpAddress"
    force = "Delete the address although a VPN server or one of its clients has it."
    shared = True
    shown = {  # noqa: RUF012
        "id": IpAddress.id,
        "created": IpAddress.created,
        "modified": IpAddress.modified,
        "ip_address": IpAddress.ip_address,
        "description": IpAddress.description,
        "subnet": IpAddress.subnet_id,
    }
    reader = PageReader(shown, IpAddress.id)

    @override
    def query(self) -> Any:
        visible = self.visible(Subnet.organization_id)
        return sa.select(IpAddress).join(Subnet, Subnet.id == IpAddress.subnet_id).where(visible)

    @override
    def order(self) -> tuple[Any, ...]:
        return (IpAddress.ip_address,)

    @override
    def check_object(self, row: IpAddress) -> None:
        subnet = self.session.get_one(Subnet, row.subnet_id)
        require_for_object(self.identity, self.request.method, self.kind, subnet.organization_id)

    @override
    def update(self, row: IpAddress, fields: dict[str, Any]) -> None:
        row.description = fields.get("description", row.description)
        row.modified = self.now
        subnet = self.session.get_one(Subnet, fields.get("subnet", row.subnet_id))
        if not self.identity.manages(subnet.organization_id):
            raise Invalid({"subnet": [f'Invalid pk "{subnet.id}" - object does not exist.']})
        address = fields.get("ip_address", parse_address(row.ip_address))
        if (str(address), subnet.id) == (row.ip_address, row.subnet_id):
            return
        self._mark_stale(row)
        try:
            pool.move(self.session, row, subnet, address)
        except pool.AddressRefused as refused:
            raise Invalid({"ip_address": [str(refused)]}) from None
        self._mark_stale(row)
        notify(self.session, AddressesChanged((row.id,)))

    @override
    def delete(self, row: IpAddress) -> None:
        notify(self.session, AddressesDeleting((row.id,), self.is_forced))
        self._mark_stale(row)
        pool.free(self.session, [row])

    def _mark_stale(self, row: IpAddress) -> None:
        """The configuration that a division rule made the address for, if one did."""
        made_for = sa.select(Subnet.config_id).where(Subnet.id == row.subnet_id, Subnet.config_id.is_not(None))
        mark_stale(self.session, made_for)


class SubnetAddresses(AddressResource):
    """The addresses of the subnet in the path."""

    def subnet(self) -> Subnet:
        """The subnet. Raises NotFound, PermissionDenied."""
        return subnet_of_path(self.request, self.identity, self.kind)

    @override
    def query(self) -> Any:
        return sa.select(IpAddress).where(IpAddress.subnet_id == self.subnet().id)

    @override
    def collection_post(self) -> dict[str, Any]:
        try:
            subnet = self.subnet()
        except NotFound:
            # The reference tells those who may see all subnets what is wrong with the body first.
            if self.identity.is_superuser:
                self.validated(partial=False)
            raise
        given = self.validated(partial=False)
        if given["subnet"] != subnet.id:
            raise Invalid({"subnet": ["This is not the subnet in the address of the request."]})
        try:
            row = pool.take(self.session, subnet, given["ip_address"], given.get("description", ""), self.now)
        except pool.AddressRefused as refused:
            raise Invalid({"ip_address": [str(refused)]}) from None
        return self.created(row)

    def created(self, row: pool.AddressRow) -> dict[str, Any]:
        """The answer to an address that was taken."""
        self.request.response.status = 201
        return self.represent_new(self.session.get_one(IpAddress, row["id"]))


service = APIService(
    name="subnet_addresses",
    path=f"{IN_SUBNET}ip-address/",
    title="Addresses of a subnet",
    description="The addresses of a subnet that are taken, in their order.",
)


@service.get(operation=Operation(answer=AddressResource, page=True, permission="view_ipaddress"))
def list_addresses(request: Request) -> dict[str, Any]:
    """The addresses of a subnet."""
    return SubnetAddresses(request).collection_get()


@service.post(operation=Operation(body=AddressBody, answer=AddressResource, status=201, permission="add_ipaddress"))
def take_address(request: Request) -> dict[str, Any]:
    """Take a certain address."""
    return SubnetAddresses(request).collection_post()
