"""Subnets as CSV files: a name, a network, an organization's slug, an empty line, and a table of addresses."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from guywire.models import Organization
from sqlalchemy.orm import Session

from guywire_ipam.addresses import Address, Network, parse_address, parse_network
from guywire_ipam.models import IpAddress, Subnet

_HEADER = ["ip_address", "description"]
_MAX_TEXT = 100


class FileInvalid(Exception):
    """A file that cannot be imported; the text says what is wrong, and in which line."""


@dataclass(frozen=True, slots=True)
class SubnetFile:
    """What a file says. ``slug`` "": the subnet is shared. ``addresses`` have the line that they stand in, and a
    description.
    """

    name: str
    network: Network
    slug: str
    addresses: dict[Address, tuple[int, str]] = field(default_factory=dict)


def parse(text: str) -> SubnetFile:
    """Read a file. Raises FileInvalid."""
    try:
        rows = [(number, [cell.strip() for cell in row]) for number, row in _numbered(text)]
    except csv.Error as error:
        raise FileInvalid(f"The file is not CSV: {error}.") from None
    if len(rows) < 3:
        raise FileInvalid("The file ends too early: its first lines are a name, a network and an organization's slug.")
    name, network, slug = (row[0] if row else "" for _, row in rows[:3])
    if not name:
        raise FileInvalid("Line 1: the name of the subnet is missing.")
    if len(name) > _MAX_TEXT or "\0" in text:
        raise FileInvalid(f"Line 1: the name has more than {_MAX_TEXT} characters, or the file has null characters.")
    try:
        parsed = SubnetFile(name, parse_network(network), slug)
    except ValueError as error:
        raise FileInvalid(str([str(error)])) from None
    table = [(number, row) for number, row in rows[3:] if any(row)]
    if not table or table[0][1][:1] != _HEADER[:1]:
        raise FileInvalid(f"The line with the names of the columns is missing: {','.join(_HEADER)}.")
    for number, row in table[1:]:
        description = row[1] if len(row) > 1 else ""
        try:
            address = parse_address(row[0])
        except ValueError:
            raise FileInvalid(f"Line {number}: {row[0]!r} is not an IPv4 or IPv6 address.") from None
        if len(description) > _MAX_TEXT:
            raise FileInvalid(f"Line {number}: the description has more than {_MAX_TEXT} characters.")
        parsed.addresses.setdefault(address, (number, description))
    return parsed


def _numbered(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        yield reader.line_num, row


def write(session: Session, subnet: Subnet) -> Iterator[bytes]:
    """A subnet as a file that can be imported again, piece by piece."""
    slug = session.scalar(sa.select(Organization.slug).where(Organization.id == subnet.organization_id))
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in ([subnet.name], [subnet.subnet], [slug] if slug else [], [], _HEADER):
        writer.writerow(row)
    query = sa.select(IpAddress.ip_address, IpAddress.description).where(IpAddress.subnet_id == subnet.id)
    for part in session.execute(query.order_by(IpAddress.ip_address)).partitions(1000):
        writer.writerows(part)
        yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
