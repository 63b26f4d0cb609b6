"""Which subnet a VPN server has, its own address there, and who else may touch these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import Conflict, Invalid
from guywire.events import AddressesChanged, AddressesDeleting, Event, SubnetsChanged, SubnetsDeleting
from guywire.models import Vpn
from guywire.services.vpn_servers import mark_changed
from sqlalchemy.orm import Session

from guywire_ipam.models import IpAddress, Subnet, VpnSubnet
from guywire_ipam.services import pool, vpn_clients

MISMATCH = "Please ensure that the organization of this VPN server and the organization of the related subnet match."


def load(session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
    """What bodies show of servers."""
    query = sa.select(VpnSubnet.vpn_id, VpnSubnet.subnet_id, VpnSubnet.ip_id).where(VpnSubnet.vpn_id.in_(vpn_ids))
    return {row.vpn_id: {"subnet": row.subnet_id, "ip": row.ip_id} for row in session.execute(query)}


def save(session: Session, vpn: Vpn, given: Mapping[str, Any], now: datetime) -> None:
    """Let a server have another subnet; then its address is free again, and its clients get others. Raises Invalid."""
    row = session.get(VpnSubnet, vpn.id, with_for_update=True, populate_existing=True)
    former = row and row.subnet_id
    subnet_id = given.get("subnet", former)
    if subnet_id is not None and session.get_one(Subnet, subnet_id).organization_id not in (None, vpn.organization_id):
        raise Invalid({"organization": [MISMATCH]})
    if subnet_id == former:
        return
    if row is not None:
        release(session, row)
        session.delete(row)
        session.flush()
    if subnet_id is not None:
        session.add(VpnSubnet(vpn_id=vpn.id, subnet_id=subnet_id))
        session.flush()
    vpn_clients.renew(session, vpn.id)


def release(session: Session, row: VpnSubnet) -> None:
    """Free the address of a server."""
    address = None if row.ip_id is None else session.get(IpAddress, row.ip_id)
    row.ip_id = None
    session.flush()
    if address is not None:
        pool.free(session, [address])


def hear(session: Session, event: Event) -> None:
    """Subnets and addresses that servers have cannot be deleted, unless somebody insists, and do not change unnoticed.

    Raises Conflict.
    """
    if isinstance(event, (SubnetsDeleting, SubnetsChanged)):
        of_servers = VpnSubnet.subnet_id.in_(event.subnet_ids)
    elif isinstance(event, (AddressesDeleting, AddressesChanged)):
        of_servers = VpnSubnet.ip_id.in_(event.address_ids)
    else:
        return
    servers = sa.select(Vpn.id, Vpn.name).join(VpnSubnet, VpnSubnet.vpn_id == Vpn.id).where(of_servers)
    found = session.execute(servers.order_by(Vpn.name)).all()
    if found and isinstance(event, (SubnetsDeleting, AddressesDeleting)) and not event.force:
        names = ", ".join(row.name for row in found)
        raise Conflict(f"VPN servers have it: {names}. Their tunnels break without it; ?force=true deletes it anyway.")
    if found:
        mark_changed(session, [row.id for row in found])
