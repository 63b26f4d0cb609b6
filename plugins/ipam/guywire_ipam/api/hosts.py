"""What is free in a subnet: its hosts, the next available address, how much is left."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from urllib.parse import urlencode

import orjson
import sqlalchemy as sa
from guywire.api import fields
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.errors import ParseError
from pyramid.request import Request
from pyramid.response import Response

from guywire_ipam.addresses import hosts_of, parse_address
from guywire_ipam.api.address import DESCRIPTION, IN_SUBNET, AddressResource, SubnetAddresses
from guywire_ipam.models import IpAddress
from guywire_ipam.services import pool

PAGE = 256

_INTEGER = {"type": "integer"}
_URL = {"type": ["string", "null"], "format": "uri"}
_HOST = object_schema(
    address={"type": "string"},
    used={"type": "boolean"},
    reserved={"type": "boolean"},
    ip_address_id={"type": ["string", "null"], "format": "uuid"},
)


def _service(name: str, title: str, description: str) -> APIService:
    path = f"{IN_SUBNET}{name}/"
    return APIService(name=f"subnet_{name.replace('-', '_')}", path=path, title=title, description=description, depth=2)


available = _service("get-next-available-ip", "Next available address", "The first address of a subnet that is free.")
requests = _service("request-ip", "Request of an address", "Takes the first free address of a subnet.")
hosts = _service("hosts", "Hosts of a subnet", f"Every address that a host may have, {PAGE} at a time.")
allocation = _service("allocation", "Allocation of a subnet", "How many addresses of a subnet are taken.")


def _nothing() -> Response:
    """What the reference answers when a subnet is full."""
    response = Response(status=200)
    del response.content_type
    return response


@available.get(operation=Operation(answer={"type": "string"}, permission="view_ipaddress"))
def show_next_address(request: Request) -> Any:
    """The first free address; an empty answer if there is none."""
    resource = SubnetAddresses(request)
    found = next(pool.free_addresses(resource.session, resource.subnet()), None)
    return _nothing() if found is None else str(found)


class RequestBody(Schema):
    """What an address is wanted for."""

    description: Annotated[str, DESCRIPTION]


@requests.post(operation=Operation(body=RequestBody, answer=AddressResource, status=201, permission="add_ipaddress"))
def request_address(request: Request) -> Any:
    """The first free address, taken; an empty answer with the status 200 if there is none."""
    resource = AddressRequests(request)
    subnet = resource.subnet()
    description = resource.validated(partial=False)["description"]
    try:
        [row] = pool.take_next(resource.session, subnet, [description], resource.now)
    except pool.AddressRefused:
        return _nothing()
    return resource.created(row)


class AddressRequests(SubnetAddresses):
    """Takes the next address."""

    schema: ClassVar[type[Schema]] = RequestBody


@hosts.get(
    operation=Operation(
        answer=object_schema(next=_URL, previous=_URL, results={"type": "array", "items": _HOST}),
        permission="view_ipaddress",
        parameters={"start": fields.text(help="The first address of the page.")},
    )
)
def list_hosts(request: Request) -> dict[str, Any]:
    """Each address from ``start`` on: whether the subnet has taken it, or (``reserved``) another one in its tree."""
    resource = SubnetAddresses(request)
    subnet = resource.subnet()
    first, last = hosts_of(subnet.network)
    begin = first
    try:
        begin = parse_address(request.GET.get("start", ""))
    except ValueError:
        pass
    else:
        if begin.version != first.version or not first <= begin <= last:  # type: ignore[operator]
            raise ParseError("Invalid Address")
    end = min(int(begin) + PAGE - 1, int(last))
    kind = type(first)
    query = sa.select(IpAddress.ip_address, IpAddress.id, IpAddress.subnet_id).where(
        IpAddress.root_id == subnet.root_id, IpAddress.ip_address.between(begin, kind(end))
    )
    taken = {row.ip_address: row for row in resource.session.execute(query)}

    def url(start: int) -> str:
        return f"{request.path_url}?{urlencode({'start': str(kind(start))})}"

    def host(address: str) -> dict[str, Any]:
        row = taken.get(address)
        used = row is not None and row.subnet_id == subnet.id
        return {
            "address": address,
            "used": used,
            "reserved": row is not None and not used,
            "ip_address_id": row.id if row is not None and used else None,
        }

    return {
        "next": url(end + 1) if end < int(last) else None,
        "previous": url(max(int(begin) - PAGE, int(first))) if begin != first else None,
        "results": [host(str(kind(number))) for number in range(int(begin), end + 1)],
    }


@allocation.get(
    operation=Operation(
        answer=object_schema(total=_INTEGER, used=_INTEGER, reserved=_INTEGER, available=_INTEGER),
        permission="view_ipaddress",
    )
)
def show_allocation(request: Request) -> dict[str, Any]:
    """How many addresses hosts may have, how many the subnet and others in its tree have taken, how many are left."""
    resource = SubnetAddresses(request)
    usage = pool.usage_of(resource.session, resource.subnet())
    counts = {"total": usage.total, "used": usage.used, "reserved": usage.reserved, "available": usage.available}
    # IPv6 has subnets with more addresses than orjson can count.
    return {name: orjson.Fragment(str(count)) for name, count in counts.items()}
