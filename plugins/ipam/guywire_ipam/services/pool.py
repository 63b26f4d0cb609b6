"""Takes and frees addresses. Nobody gets one twice, and none lies outside of its subnet.

Whoever writes holds the tree of the subnet first (``hold``); a unique constraint stands behind that.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from guywire.interfaces import AddressFacts
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.attributes import set_committed_value

from guywire_ipam.addresses import (
    Address,
    count_between,
    hosts_of,
    is_within,
    parse_address,
    predecessor_of,
    successor_of,
)
from guywire_ipam.models import IpAddress, Subnet

OUTSIDE = "IP address does not belong to the subnet"
TAKEN = "IP address already used."

_QUIET = {"synchronize_session": False}

AddressRow = dict[str, Any]
"""The columns of an address that is taken."""


class AddressRefused(Exception):
    """An address that cannot be taken; the text is what clients are told."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How many addresses hosts of a subnet may have, how many of them it has taken, and others of its tree have."""

    total: int
    used: int
    reserved: int

    @property
    def available(self) -> int:
        """How many are free."""
        return self.total - self.used - self.reserved


def lock_tree(session: Session, root_id: uuid.UUID) -> None:
    """Wait for everybody who takes or frees addresses and blocks in a tree of subnets, and make them wait."""
    # SQLite has but one writer, which everybody who writes is from the beginning.
    session.execute(sa.select(Subnet.id).where(Subnet.id == root_id).with_for_update(key_share=True))


def hold(session: Session, subnet: Subnet) -> None:
    """``lock_tree`` for the tree that a subnet belongs to now, and stays in until the transaction ends.

    Raises AddressRefused when the subnet is gone.
    """
    if not is_held(session, subnet):
        raise AddressRefused("The subnet does not exist any more.")


def is_held(session: Session, subnet: Subnet) -> bool:
    """``hold``, which says False when the subnet is gone."""
    query = sa.select(Subnet.root_id).where(Subnet.id == subnet.id).with_for_update(key_share=True)
    root_id = session.scalar(query)
    if root_id is None:
        return False
    set_committed_value(subnet, "root_id", root_id)
    if root_id != subnet.id:
        lock_tree(session, root_id)
    return True


def free_addresses(session: Session, subnet: Subnet) -> Iterator[Address]:
    """The addresses that hosts of a subnet could get, in order. Each run of them costs a step or two in an index."""
    begin, last = hosts_of(subnet.network)
    while True:
        found = first_free(session, subnet.root_id, begin, last)
        if found is None:
            return
        yield found
        if found == last:
            return
        query = sa.select(IpAddress.ip_address).where(_between(subnet.root_id, found + 1, last))
        taken = session.scalar(query.order_by(IpAddress.ip_address).limit(1))
        end = int(last) + 1 if taken is None else int(parse_address(taken))
        for number in range(int(found) + 1, end):
            yield type(found)(number)
        if taken is None:
            return
        begin = parse_address(taken)


def first_free(session: Session, root_id: uuid.UUID, begin: Address, last: Address) -> Address | None:
    """The first free address of a tree between two addresses."""
    if not _is_taken(session, root_id, begin):
        return begin
    if begin == last:
        return None
    successors = sa.select(IpAddress.successor).where(
        IpAddress.root_id == root_id, IpAddress.successor.between(begin + 1, last)
    )
    ends = successors.order_by(IpAddress.successor)
    found = session.scalar(ends.where(IpAddress.ends_run).limit(1))
    if found is None:
        # Where the database itself deleted addresses, with the organization or the device that they were for, nobody
        # said what ends a run now. Counting tells, and what is taken next puts it right.
        count = session.scalar(sa.select(sa.func.count()).where(_between(root_id, begin, last)))
        if count == count_between(begin, last):
            return None
        found = session.scalar(ends.where(_has_no_successor()).limit(1))
    return None if found is None else parse_address(found)


def take_next(session: Session, subnet: Subnet, descriptions: Sequence[str], now: datetime) -> list[AddressRow]:
    """Take the first free addresses, one for each description. Raises AddressRefused; then none is taken."""
    hold(session, subnet)
    found = list(islice(free_addresses(session, subnet), len(descriptions)))
    if len(found) < len(descriptions):
        raise AddressRefused(f"The subnet {subnet.subnet} has no free address left.")
    rows = [new_row(subnet, address, text, now) for address, text in zip(found, descriptions, strict=True)]
    insert_rows(session, rows)
    return rows


def take(session: Session, subnet: Subnet, address: Address, description: str, now: datetime) -> AddressRow:
    """Take a certain address. Raises AddressRefused."""
    hold(session, subnet)
    _require_free(session, subnet, address, None)
    row = new_row(subnet, address, description, now)
    insert_rows(session, [row])
    return row


def new_row(
    subnet: Subnet, address: Address, description: str, now: datetime, subnet_id: uuid.UUID | None = None
) -> AddressRow:
    """An address for ``insert_rows``: of the subnet, or of one in its tree that has no row yet."""
    return {
        "id": uuid.uuid4(),
        "created": now,
        "modified": now,
        "ip_address": address,
        "description": description,
        "subnet_id": subnet_id or subnet.id,
        "root_id": subnet.root_id,
        "successor": successor_of(address),
        "ends_run": True,
    }


def facts_of(row: AddressRow) -> AddressFacts:
    """An address that was taken, as others know it."""
    return AddressFacts(row["id"], row["subnet_id"], str(row["ip_address"]))


def insert_rows(session: Session, rows: Sequence[AddressRow]) -> None:
    """Take addresses of one tree. The caller holds it and knows that they are free."""
    if rows:
        session.execute(sa.insert(IpAddress), rows)
        taken = [row["ip_address"] for row in rows]
        mark_runs(session, rows[0]["root_id"], min(taken), max(taken))


def move(session: Session, row: IpAddress, subnet: Subnet, address: Address) -> None:
    """Let an address be another one, or one of another subnet. Raises AddressRefused."""
    lock_tree(session, row.root_id)
    if subnet.root_id != row.root_id:
        hold(session, subnet)
    _require_free(session, subnet, address, row.id)
    former, former_root = parse_address(row.ip_address), row.root_id
    row.ip_address, successor = str(address), successor_of(address)
    row.successor = None if successor is None else str(successor)
    row.subnet_id, row.root_id = subnet.id, subnet.root_id
    session.flush()
    mark_runs(session, former_root, former, former)
    mark_runs(session, row.root_id, address, address)


def free(session: Session, rows: Iterable[IpAddress]) -> None:
    """Free addresses."""
    by_root: dict[uuid.UUID, list[IpAddress]] = {}
    for row in rows:
        by_root.setdefault(row.root_id, []).append(row)
    for root_id, those in sorted(by_root.items()):
        lock_tree(session, root_id)
        addresses = [parse_address(row.ip_address) for row in those]
        for row in those:
            session.delete(row)
        session.flush()
        mark_runs(session, root_id, min(addresses), max(addresses))


def delete_subnets(session: Session, condition: Any, root_id: uuid.UUID, first: Address, last: Address) -> None:
    """Delete subnets of one tree, which lie between two addresses, with everything in them."""
    session.execute(sa.delete(Subnet).where(condition), execution_options=_QUIET)
    mark_runs(session, root_id, first, last)


def mark_runs(session: Session, root_id: uuid.UUID, first: Address, last: Address) -> None:
    """Write down anew which addresses end a run, after something changed between ``first`` and ``last``."""
    begin = predecessor_of(first) or first
    session.execute(
        sa.update(IpAddress).where(_between(root_id, begin, last)).values(ends_run=_has_no_successor()),
        execution_options=_QUIET,
    )


def usage_of(session: Session, subnet: Subnet) -> Usage:
    """How far a subnet is used up."""
    first, last = hosts_of(subnet.network)
    own = sa.case((IpAddress.subnet_id == subnet.id, 1), else_=0)
    query = sa.select(sa.func.count(), sa.func.sum(own)).where(_between(subnet.root_id, first, last))
    taken, used = session.execute(query).one()
    return Usage(count_between(first, last), used or 0, taken - (used or 0))


def _has_no_successor() -> Any:
    other = aliased(IpAddress)
    return ~sa.exists().where(other.root_id == IpAddress.root_id, other.ip_address == IpAddress.successor)


def _between(root_id: uuid.UUID, first: Address, last: Address) -> Any:
    return sa.and_(IpAddress.root_id == root_id, IpAddress.ip_address.between(first, last))


def _is_taken(session: Session, root_id: uuid.UUID, address: Address, but: uuid.UUID | None = None) -> bool:
    query = sa.select(IpAddress.id).where(IpAddress.root_id == root_id, IpAddress.ip_address == address)
    return session.scalar(query.where(IpAddress.id.is_distinct_from(but))) is not None


def _require_free(session: Session, subnet: Subnet, address: Address, but: uuid.UUID | None) -> None:
    if not is_within(address, subnet.network):
        raise AddressRefused(OUTSIDE)
    if _is_taken(session, subnet.root_id, address, but):
        raise AddressRefused(TAKEN)
