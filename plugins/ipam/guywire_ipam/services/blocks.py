"""Finds free blocks of one size in a subnet."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire_ipam.addresses import Network, last_of, parse_address, parse_network
from guywire_ipam.models import IpAddress, Subnet
from guywire_ipam.services.pool import first_free


def free_blocks(session: Session, master: Subnet, size: int) -> Iterator[Network]:
    """Blocks of a prefix length that overlap no subnet and hold no address, in the order in which to take them.

    First those behind the last subnet: they follow each other, and are found without looking at what is there. Then
    the gaps that deleted ones left. The caller holds the tree and takes what it is given.
    """
    network = master.network
    end = session.scalar(sa.select(sa.func.max(Subnet.last_address)).where(Subnet.master_subnet_id == master.id))
    behind = int(network.network_address) if end is None else int(parse_address(end)) + 1
    yield from _blocks(session, master, size, behind, int(last_of(network)) + 1)
    if end is not None:
        yield from _gaps(session, master, size)


def _gaps(session: Session, master: Subnet, size: int) -> Iterator[Network]:
    taken = sa.select(Subnet.first_address, Subnet.last_address).where(Subnet.master_subnet_id == master.id)
    begin = int(master.network.network_address)
    for first, last in session.execute(taken.order_by(Subnet.first_address)).all():
        yield from _blocks(session, master, size, begin, int(parse_address(first)))
        begin = int(parse_address(last)) + 1


def _blocks(session: Session, master: Subnet, size: int, begin: int, end: int) -> Iterator[Network]:
    """The blocks without addresses between two numbers of addresses, the second of which is outside."""
    network = master.network
    kind, length = type(network.network_address), 1 << (network.max_prefixlen - size)
    start = -(-begin // length) * length
    while start + length <= end:
        block = parse_network(f"{kind(start)}/{size}")
        if not _holds_addresses(session, master, block):
            yield block
            start += length
        else:
            # Perhaps many follow it that are full.
            free = first_free(session, master.root_id, last_of(block), last_of(network))
            if free is None:
                return
            start = max(start + length, int(free) // length * length)


def _holds_addresses(session: Session, master: Subnet, block: Network) -> bool:
    query = sa.select(IpAddress.id).where(
        IpAddress.root_id == master.root_id, IpAddress.ip_address.between(block.network_address, last_of(block))
    )
    return session.scalar(query.limit(1)) is not None
