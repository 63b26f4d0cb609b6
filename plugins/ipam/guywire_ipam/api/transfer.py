"""Subnets as CSV: ``/api/v1/ipam/subnet/{id}/export/`` and ``/api/v1/ipam/import-subnet/``."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api.body import read_body
from guywire.api.field import Field
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.errors import APIError, Invalid
from guywire.models import Organization
from guywire.security import require
from pyramid.request import Request
from pyramid.response import Response

from guywire_ipam.addresses import is_within
from guywire_ipam.api.address import IN_SUBNET
from guywire_ipam.api.subnet import SubnetResource, subnet_of_path
from guywire_ipam.models import IpAddress, Subnet
from guywire_ipam.services import csv_file, pool, tree

CSV = "text/csv"

exporting = APIService(
    name="subnet_export",
    path=f"{IN_SUBNET}export/",
    title="Export of a subnet",
    description="A subnet and its addresses as a CSV file, which can be imported again.",
)
importing = APIService(
    name="subnet_import",
    path="/api/v1/ipam/import-subnet/",
    title="Import of a subnet",
    description="Makes a subnet and its addresses as a CSV file says.",
)


class ImportRefused(APIError):
    """A file that is not imported, in the reference's form."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__({"error": message})
        self.status = status


class ImportBody(Schema):
    """A CSV file."""

    csvfile: Annotated[
        Any,
        Field(
            lambda value: value,
            kind="file",
            help="CSV in UTF-8: a name, a network, an organization's slug (or nothing), an empty line, and a table of "
            "ip_address and description.",
        ),
    ]


@exporting.post(operation=Operation(permission="view_subnet", sends=CSV))
def export_subnet(request: Request) -> Response:
    """The subnet as a file. Though it is asked for with POST, nothing is changed: who may look may have it."""
    subnet = subnet_of_path(request, require(request.identity, "GET", "subnet"), "subnet")
    response = Response(content_type=CSV, app_iter=list(csv_file.write(request.db, subnet)))
    response.headers["Content-Disposition"] = 'attachment; filename="ip_address.csv"'
    return response


@importing.post(
    operation=Operation(
        body=ImportBody,
        answer=object_schema(detail={"type": "string"}),
        permission="add_subnet",
        takes=("multipart/form-data",),
    )
)
def import_subnet(request: Request) -> dict[str, str]:
    """All of the file is imported, or nothing. A subnet that there is already keeps its addresses and gets more."""
    resource = SubnetResource(request)
    try:
        file = csv_file.parse(_text_of(request))
    except csv_file.FileInvalid as invalid:
        raise ImportRefused(str(invalid)) from None
    organization_id = _organization(resource, file.slug)
    subnet = _subnet(resource, file, organization_id)
    _take_addresses(resource, subnet, file)
    return {"detail": "Data imported successfully."}


def _text_of(request: Request) -> str:
    upload: Any = read_body(request).get("csvfile")
    if not hasattr(upload, "file"):
        raise ImportRefused("A CSV file is needed: it is missing in the field csvfile.")
    if not str(upload.filename).lower().endswith(".csv"):
        raise ImportRefused("File type not supported.")
    try:
        text: str = upload.file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefused(f"The file is not UTF-8 (at byte {error.start}).") from None
    return text


def _organization(resource: SubnetResource, slug: str) -> uuid.UUID | None:
    if not slug:
        if not resource.identity.is_superuser:
            raise ImportRefused("The third line must be the slug of an organization: only superusers share subnets.")
        return None
    found = resource.session.scalar(sa.select(Organization.id).where(Organization.slug == slug))
    if found is None:
        raise ImportRefused(
            f"The import operation failed because the data being imported belongs to an organization which is not "
            f"recognized: “{slug}”."
        )
    if not resource.identity.manages(found):
        raise ImportRefused("You do not have permission to import data into this organization", 403)
    return found


def _subnet(resource: SubnetResource, file: csv_file.SubnetFile, organization_id: uuid.UUID | None) -> Subnet:
    there = sa.select(Subnet).where(
        Subnet.subnet == str(file.network), Subnet.organization_id.is_not_distinct_from(organization_id)
    )
    subnet = resource.session.scalars(there).first()
    if subnet is not None:
        return subnet
    fields = {"name": file.name, "subnet": file.network, "organization": organization_id, "master_subnet": None}
    try:
        return tree.create(resource.session, fields, resource.now)
    except Invalid as invalid:
        raise ImportRefused(" ".join(each for messages in invalid.body.values() for each in messages)) from None


def _take_addresses(resource: SubnetResource, subnet: Subnet, file: csv_file.SubnetFile) -> None:
    if not file.addresses:
        return
    pool.hold(resource.session, subnet)
    taken = sa.select(IpAddress.ip_address, IpAddress.subnet_id).where(
        IpAddress.root_id == subnet.root_id,
        IpAddress.ip_address.between(subnet.first_address, subnet.last_address),
    )
    owners = {row.ip_address: row.subnet_id for row in resource.session.execute(taken)}
    rows = []
    for address, (line, description) in file.addresses.items():
        if not is_within(address, file.network):
            raise ImportRefused(f"Line {line}: {pool.OUTSIDE}: {address}")
        owner = owners.get(str(address))
        if owner is None:
            rows.append(pool.new_row(subnet, address, description, resource.now))
        elif owner != subnet.id:
            raise ImportRefused(f"Line {line}: {pool.TAKEN} {address}")
    pool.insert_rows(resource.session, rows)
