"""What other plugins may ask for: addresses of subnets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import Invalid
from guywire.interfaces import AddressFacts, AddressProvider, AddressUnavailable, ServerAddress, SubnetFacts
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire_ipam.addresses import parse_address
from guywire_ipam.models import IpAddress, Subnet, VpnClientAddress, VpnSubnet
from guywire_ipam.services import pool, vpn_clients, vpn_servers

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
            try:
                [taken] = self.allocate(session, row.subnet_id, [purpose], now)
            except AddressUnavailable as unavailable:
                raise Invalid({"subnet": [str(unavailable)]}) from None
            row.ip_id = taken.id
            session.flush()
        return self.servers(session, [vpn_id])[vpn_id]

    @override
    def release_server(self, session: Session, vpn_id: UUID) -> None:
        row = session.get(VpnSubnet, vpn_id)
        if row is not None:
            vpn_servers.release(session, row)

    @override
    def allocate(
        self, session: Session, subnet_id: UUID, purposes: Sequence[str], now: datetime
    ) -> Sequence[AddressFacts]:
        descriptions = [purpose[:_MAX_PURPOSE] for purpose in purposes]
        try:
            taken = pool.take_next(session, _subnet(session, subnet_id), descriptions, now)
        except pool.AddressRefused as refused:
            raise AddressUnavailable(str(refused)) from None
        return [pool.facts_of(row) for row in taken]

    @override
    def allocate_for_clients(
        self, session: Session, vpn_id: UUID, clients: Mapping[UUID, UUID], now: datetime
    ) -> Mapping[UUID, AddressFacts]:
        return vpn_clients.provision(session, vpn_id, clients, now)

    @override
    def of_clients(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, AddressFacts]:
        return vpn_clients.addresses_of(session, client_ids)

    @override
    def release_clients(self, session: Session, client_ids: Sequence[UUID]) -> None:
        vpn_clients.release(session, VpnClientAddress.client_id.in_(client_ids))

    @override
    def reserve(self, session: Session, subnet_id: UUID, address: str, purpose: str, now: datetime) -> AddressFacts:
        subnet, description = _subnet(session, subnet_id), purpose[:_MAX_PURPOSE]
        try:
            return pool.facts_of(pool.take(session, subnet, parse_address(address), description, now))
        except (pool.AddressRefused, ValueError) as refused:
            raise AddressUnavailable(str(refused)) from None

    @override
    def release(self, session: Session, ids: Sequence[UUID]) -> None:
        for start in range(0, len(ids), _CHUNK):
            chunk = sa.select(IpAddress).where(IpAddress.id.in_(ids[start : start + _CHUNK]))
            pool.free(session, session.scalars(chunk).all())


def _subnet(session: Session, subnet_id: UUID) -> Subnet:
    subnet = session.get(Subnet, subnet_id)
    if subnet is None:
        raise AddressUnavailable("The subnet does not exist any more.")
    return subnet
