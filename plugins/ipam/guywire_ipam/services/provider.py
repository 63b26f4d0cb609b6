"""What other plugins may ask for: addresses of subnets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from guywire.interfaces import AddressFacts, AddressProvider, AddressUnavailable, ServerAddress, SubnetFacts
from guywire.models import Config, Device
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire_ipam.addresses import parse_address
from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule, VpnSubnet
from guywire_ipam.services import division, pool, servers

_CHUNK = 1000
_MAX_PURPOSE = 100


class Addresses(AddressProvider):
    """Hands out the addresses of this plugin's tables."""

    @override
    def subnets(self, session: Session, ids: Sequence[UUID]) -> Mapping[UUID, SubnetFacts]:
        query = sa.select(Subnet.id, Subnet.organization_id, Subnet.subnet).where(Subnet.id.in_(ids))
        return {row.id: SubnetFacts(*row) for row in session.execute(query)}

    @override
    def addresses(self, session: Session, ids: Sequence[UUID]) -> Mapping[UUID, AddressFacts]:
        found: dict[UUID, AddressFacts] = {}
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            query = sa.select(IpAddress.id, IpAddress.subnet_id, IpAddress.ip_address).where(IpAddress.id.in_(chunk))
            found |= {row.id: AddressFacts(*row) for row in session.execute(query)}
        return found

    @override
    def servers(self, session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, ServerAddress]:
        query = (
            sa.select(VpnSubnet.vpn_id, Subnet, IpAddress)
            .join(Subnet, Subnet.id == VpnSubnet.subnet_id)
            .outerjoin(IpAddress, IpAddress.id == VpnSubnet.ip_id)
            .where(VpnSubnet.vpn_id.in_(vpn_ids))
        )
        found: dict[UUID, ServerAddress] = {}
        for vpn_id, subnet, address in session.execute(query):
            own = None if address is None else AddressFacts(address.id, address.subnet_id, address.ip_address)
            found[vpn_id] = ServerAddress(SubnetFacts(subnet.id, subnet.organization_id, subnet.subnet), own)
        return found

    @override
    def provision_server(self, session: Session, vpn_id: UUID, purpose: str, now: datetime) -> ServerAddress | None:
        row = session.get(VpnSubnet, vpn_id)
        if row is None:
            return None
        if row.ip_id is None:
            [taken] = self.allocate(session, row.subnet_id, [purpose], now)
            row.ip_id = taken.id
            session.flush()
        return self.servers(session, [vpn_id])[vpn_id]

    @override
    def release_server(self, session: Session, vpn_id: UUID) -> None:
        row = session.get(VpnSubnet, vpn_id)
        if row is not None:
            servers.release(session, row)

    @override
    def allocate(
        self, session: Session, subnet_id: UUID, purposes: Sequence[str], now: datetime
    ) -> Sequence[AddressFacts]:
        descriptions = [purpose[:_MAX_PURPOSE] for purpose in purposes]
        try:
            taken = pool.take_next(session, _subnet(session, subnet_id), descriptions, now)
        except pool.AddressRefused as refused:
            raise AddressUnavailable(str(refused)) from None
        return [_facts(row) for row in taken]

    @override
    def allocate_for_clients(
        self, session: Session, subnet_id: UUID, purposes: Mapping[UUID, str], now: datetime
    ) -> Mapping[UUID, AddressFacts]:
        rules = {
            rule.organization_id: rule
            for rule in session.scalars(
                sa.select(SubnetDivisionRule)
                .where(SubnetDivisionRule.master_subnet_id == subnet_id, SubnetDivisionRule.type == division.VPN)
                .order_by(SubnetDivisionRule.created.desc(), SubnetDivisionRule.id.desc())
            )
        }
        result: dict[UUID, AddressFacts] = {}
        for rule in rules.values():
            owners = sa.select(Config.id).join(Device, Device.id == Config.device_id)
            own = owners.where(Device.organization_id == rule.organization_id, Config.id.in_(list(purposes)))
            result |= self._divided(session, rule, session.scalars(own.order_by(Config.id)).all(), now)
        others = [config_id for config_id in purposes if config_id not in result]
        taken = self.allocate(session, subnet_id, [purposes[config_id] for config_id in others], now)
        return result | dict(zip(others, taken, strict=True))

    def _divided(
        self, session: Session, rule: SubnetDivisionRule, config_ids: Sequence[UUID], now: datetime
    ) -> dict[UUID, AddressFacts]:
        division.provision(session, rule, config_ids, now)
        first = (
            sa.select(Subnet.config_id, IpAddress.id, IpAddress.subnet_id, IpAddress.ip_address)
            .join(IpAddress, IpAddress.subnet_id == Subnet.id)
            .where(Subnet.rule_id == rule.id, Subnet.number == 1, Subnet.config_id.in_(config_ids))
            .order_by(IpAddress.ip_address.desc())
        )
        found = {row.config_id: AddressFacts(row.id, row.subnet_id, row.ip_address) for row in session.execute(first)}
        if len(found) < len(config_ids):
            raise AddressUnavailable(f"There is no free subnet left for the division rule {rule.label}.")
        return found

    @override
    def reserve(self, session: Session, subnet_id: UUID, address: str, purpose: str, now: datetime) -> AddressFacts:
        subnet, description = _subnet(session, subnet_id), purpose[:_MAX_PURPOSE]
        try:
            return _facts(pool.take(session, subnet, parse_address(address), description, now))
        except (pool.AddressRefused, ValueError) as refused:
            raise AddressUnavailable(str(refused)) from None

    @override
    def release(self, session: Session, ids: Sequence[UUID]) -> None:
        for start in range(0, len(ids), _CHUNK):
            self._release(session, ids[start : start + _CHUNK])

    def _release(self, session: Session, ids: Sequence[UUID]) -> None:
        query = sa.select(IpAddress, Subnet).join(Subnet, Subnet.id == IpAddress.subnet_id).where(IpAddress.id.in_(ids))
        found = session.execute(query).all()
        pool.free(session, [address for address, subnet in found if subnet.config_id is None])
        for config_id, master_id in {(subnet.config_id, subnet.master_subnet_id) for _, subnet in found}:
            if config_id is not None:
                of_clients = sa.select(SubnetDivisionRule.id).where(
                    SubnetDivisionRule.type == division.VPN, SubnetDivisionRule.master_subnet_id == master_id
                )
                division.release(session, sa.and_(Subnet.config_id == config_id, Subnet.rule_id.in_(of_clients)))


def _subnet(session: Session, subnet_id: UUID) -> Subnet:
    subnet = session.get(Subnet, subnet_id)
    if subnet is None:
        raise AddressUnavailable("The subnet does not exist any more.")
    return subnet


def _facts(row: pool.AddressRow) -> AddressFacts:
    return AddressFacts(row["id"], row["subnet_id"], str(row["ip_address"]))
