"""The addresses of VPN servers' clients, and what happens to clients when somebody takes these away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import Conflict
from guywire.events import AddressesChanged, AddressesDeleting, Event, SubnetsDeleting
from guywire.interfaces import AddressFacts, AddressUnavailable
from guywire.models import Config, Device, Vpn, VpnClient
from guywire.services import status, vpn_servers
from guywire.services.vpn_clients import outdate
from sqlalchemy.orm import Session

from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule, VpnClientAddress, VpnSubnet
from guywire_ipam.services import division, pool

_CHUNK = 1000
_NAMED = 5
_QUIET = {"synchronize_session": False}


def addresses_of(session: Session, client_ids: Sequence[UUID]) -> dict[UUID, AddressFacts]:
    """The addresses of clients, by the client's id."""
    query = (
        sa.select(VpnClientAddress.client_id, IpAddress.id, IpAddress.subnet_id, IpAddress.ip_address)
        .join(IpAddress, IpAddress.id == VpnClientAddress.address_id)
        .where(VpnClientAddress.client_id.in_(client_ids))
    )
    return {row.client_id: AddressFacts(row.id, row.subnet_id, row.ip_address) for row in session.execute(query)}


def provision(session: Session, vpn_id: UUID, configs: Mapping[UUID, UUID], now: datetime) -> dict[UUID, AddressFacts]:
    """Give those clients of a server that have no address the next ones of its subnet, or what a rule gives them.

    ``configs`` are their configurations. Returns the addresses of all of them, by the client's id. Raises
    AddressUnavailable.
    """
    # Shared: others may take addresses for the same server, and nobody changes its subnet meanwhile.
    query = sa.select(Subnet).join(VpnSubnet, VpnSubnet.subnet_id == Subnet.id).where(VpnSubnet.vpn_id == vpn_id)
    subnet = session.scalars(query.with_for_update(read=True, of=VpnSubnet)).first()
    if subnet is None:
        return {}
    own = addresses_of(session, list(configs))
    lacking = {client_id: config_id for client_id, config_id in configs.items() if client_id not in own}
    found = _divided(session, subnet, list(lacking.values()), now)
    others = [config_id for config_id in lacking.values() if config_id not in found]
    try:
        taken = pool.take_next(session, subnet, [""] * len(others), now)
    except pool.AddressRefused as refused:
        raise AddressUnavailable(str(refused)) from None
    found |= {config_id: pool.facts_of(row) for config_id, row in zip(others, taken, strict=True)}
    given = {client_id: found[config_id] for client_id, config_id in lacking.items()}
    rows = [{"client_id": client_id, "address_id": address.id} for client_id, address in given.items()]
    if rows:
        session.execute(sa.insert(VpnClientAddress), rows)
    return own | given


def _divided(session: Session, subnet: Subnet, config_ids: Sequence[UUID], now: datetime) -> dict[UUID, AddressFacts]:
    """The addresses of those configurations that a rule gives a part of the subnet, by configuration."""
    found: dict[UUID, AddressFacts] = {}
    for rule in _rules(session, subnet.id).values():
        owners = sa.select(Config.id).join(Device, Device.id == Config.device_id)
        entitled = owners.where(Device.organization_id == rule.organization_id, Config.id.in_(config_ids))
        own = session.scalars(entitled.order_by(Config.id)).all()
        division.provision(session, rule, own, now)
        given = _first_addresses(session, rule, own)
        if len(given) < len(own):
            raise AddressUnavailable(f"There is no free subnet left for the division rule {rule.label}.")
        found |= given
    return found


def _rules(session: Session, master_id: UUID) -> dict[UUID, SubnetDivisionRule]:
    """The rules that divide a subnet among clients, by organization. The oldest one of each counts."""
    rules = sa.select(SubnetDivisionRule).where(
        SubnetDivisionRule.master_subnet_id == master_id, SubnetDivisionRule.type == division.VPN
    )
    newest_first = rules.order_by(SubnetDivisionRule.created.desc(), SubnetDivisionRule.id.desc())
    return {rule.organization_id: rule for rule in session.scalars(newest_first)}


def _first_addresses(
    session: Session, rule: SubnetDivisionRule, config_ids: Sequence[UUID]
) -> dict[UUID, AddressFacts]:
    """The first address that a rule gave to configurations, by configuration."""
    query = (
        sa.select(Subnet.config_id, IpAddress.id, IpAddress.subnet_id, IpAddress.ip_address)
        .join(IpAddress, IpAddress.subnet_id == Subnet.id)
        .where(Subnet.rule_id == rule.id, Subnet.number == 1, Subnet.config_id.in_(config_ids))
        .order_by(IpAddress.ip_address.desc())
    )
    return {row.config_id: AddressFacts(row.id, row.subnet_id, row.ip_address) for row in session.execute(query)}


def release(session: Session, condition: Any) -> None:
    """Free the addresses of the clients that meet a condition on ``VpnClientAddress``."""
    address_ids = session.scalars(sa.select(VpnClientAddress.address_id).where(condition)).all()
    session.execute(sa.delete(VpnClientAddress).where(condition), execution_options=_QUIET)
    _free(session, address_ids)


def renew(session: Session, vpn_id: UUID) -> None:
    """Free the addresses of all clients of a server, so that they get others."""
    own = VpnClient.vpn_id == vpn_id
    release(session, VpnClientAddress.client_id.in_(sa.select(VpnClient.id).where(own)))
    outdate(session, own)


def follow(session: Session, rule: SubnetDivisionRule, config_ids: Sequence[UUID]) -> None:
    """Let clients that there were before a rule have the addresses that it gave to their configurations since."""
    if _rules(session, rule.master_subnet_id)[rule.organization_id] is not rule:
        return
    addresses = _first_addresses(session, rule, config_ids)
    rows = session.execute(
        sa.select(VpnClientAddress, VpnClient.config_id, VpnClient.vpn_id)
        .join(VpnClient, VpnClient.id == VpnClientAddress.client_id)
        .join(VpnSubnet, VpnSubnet.vpn_id == VpnClient.vpn_id)
        .where(VpnSubnet.subnet_id == rule.master_subnet_id, VpnClient.config_id.in_(list(addresses)))
    ).all()
    moving = [row for row in rows if row.VpnClientAddress.address_id != addresses[row.config_id].id]
    former = {row.VpnClientAddress.address_id for row in moving}
    for row in moving:
        row.VpnClientAddress.address_id = addresses[row.config_id].id
    session.flush()
    _free(session, former)
    if moving:
        status.mark_stale(session, {row.config_id for row in moving})
        vpn_servers.mark_stale(session, {row.vpn_id for row in moving})


def hear(session: Session, event: Event) -> None:
    """Addresses that clients have cannot be deleted, unless somebody insists, and do not change unnoticed.

    A client that loses its address gets another one. Raises Conflict.
    """
    match event:
        case AddressesChanged(address_ids):
            own = _having(VpnClientAddress.address_id.in_(address_ids))
            status.mark_stale(session, sa.select(VpnClient.config_id).where(own))
            vpn_servers.mark_stale(session, sa.select(VpnClient.vpn_id).where(own))
        case AddressesDeleting(address_ids, force):
            _lost(session, VpnClientAddress.address_id.in_(address_ids), force)
        case SubnetsDeleting(subnet_ids, force):
            within = sa.select(IpAddress.id).where(IpAddress.subnet_id.in_(subnet_ids))
            _lost(session, VpnClientAddress.address_id.in_(within), force)


def _lost(session: Session, condition: Any, force: bool) -> None:
    own = _having(condition)
    using = sa.select(Vpn.name).where(Vpn.id.in_(sa.select(VpnClient.vpn_id).where(own)))
    names = session.scalars(using.order_by(Vpn.name).limit(_NAMED)).all()
    if names and not force:
        raise Conflict(f"Clients of VPN servers have addresses here: {', '.join(names)}.")
    if names:
        vpn_servers.mark_stale(session, sa.select(VpnClient.vpn_id).where(own))
        outdate(session, own)


def _having(condition: Any) -> Any:
    return VpnClient.id.in_(sa.select(VpnClientAddress.client_id).where(condition))


def _free(session: Session, address_ids: Iterable[UUID]) -> None:
    """Free addresses that no client has any more, and the subnets that a rule gave with them."""
    wanted = sorted(set(address_ids))
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        is_used = sa.exists().where(VpnClientAddress.address_id == IpAddress.id)
        query = sa.select(IpAddress, Subnet).join(Subnet, Subnet.id == IpAddress.subnet_id)
        found = session.execute(query.where(IpAddress.id.in_(chunk), ~is_used)).all()
        pool.free(session, [address for address, subnet in found if subnet.config_id is None])
        for config_id, master_id in {(subnet.config_id, subnet.master_subnet_id) for _, subnet in found}:
            if config_id is not None:
                division.release(session, division.of_client(config_id, master_id))
