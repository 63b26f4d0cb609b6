"""Addresses, for those who need some and do not know who keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class SubnetFacts:
    """A subnet as its users need it: ``cidr`` is as in ``10.0.0.0/24``. ``organization_id`` None: it is shared."""

    id: UUID
    organization_id: UUID | None
    cidr: str


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """An address that is taken, as in ``10.0.0.1``, and the subnet that it belongs to."""

    id: UUID
    subnet_id: UUID
    address: str

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an address of IPv6."""
        return ":" in self.address

    @property
    def network(self) -> str:
        """The network that holds this address and no other: ``10.0.0.1/32``."""
        return f"{self.address}/{128 if self.is_ipv6 else 32}"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a VPN server is: the subnet that an operator chose for it, and its own address there (None: none yet)."""

    subnet: SubnetFacts
    address: AddressFacts | None

    @property
    def variables(self) -> dict[str, Any]:
        """What the server's own configuration may know."""
        own = {"subnet": self.subnet.cidr, "subnet_prefixlen": ip_network(self.subnet.cidr).prefixlen}
        return own if self.address is None else own | {"ip_address": self.address.address}

    @property
    def client_variables(self) -> dict[str, str]:
        """What its clients may know; the names lack the server's id.

        For IPv6 also a stand-in for the client's own address, which overrides it: templates are validated without a
        client, and the schema of NetJSON takes no variable for an IPv6 address.
        """
        if self.address is None:
            return {}
        known = {"server_ip_address": self.address.address, "server_ip_network": self.address.network}
        return known | {"vpn_subnet": self.subnet.cidr} | ({"ip_address": "::0"} if self.address.is_ipv6 else {})


class AddressUnavailable(Exception):
    """An address that cannot be had; the text is a sentence for users."""


class AddressProvider(Protocol):
    """Hands out IP addresses of subnets. A service, see ``register_services``.

    Everything works in the caller's transaction, and nobody else takes addresses of the same subnets until it ends.
    Whoever uses a subnet or an address refers to its id and listens to ``SubnetsChanged``, ``AddressesChanged`` and,
    to veto, ``SubnetsDeleting`` and ``AddressesDeleting`` of ``guywire.events``.
    """

    def subnets(self, session: Session, ids: Sequence[UUID]) -> Mapping[UUID, SubnetFacts]:
        """Subnets by id; those that do not exist are left out."""

    def addresses(self, session: Session, ids: Sequence[UUID]) -> Mapping[UUID, AddressFacts]:
        """Addresses by id; those that do not exist are left out."""

    def servers(self, session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, ServerAddress]:
        """Where VPN servers are, by the server's id; those without a subnet are left out."""

    def provision_server(self, session: Session, vpn_id: UUID, purpose: str, now: datetime) -> ServerAddress | None:
        """Let a VPN server have an address of its subnet, the next free one unless it has one; None without subnet.

        Raises ``guywire.errors.Invalid``.
        """

    def release_server(self, session: Session, vpn_id: UUID) -> None:
        """Free the address of a VPN server, which keeps its subnet."""

    def allocate(
        self, session: Session, subnet_id: UUID, purposes: Sequence[str], now: datetime
    ) -> Sequence[AddressFacts]:
        """Take the next free addresses of a subnet: one for each purpose, which is what users see of it.

        Raises AddressUnavailable when there are not so many; then none is taken.
        """

    def allocate_for_clients(
        self, session: Session, vpn_id: UUID, clients: Mapping[UUID, UUID], now: datetime
    ) -> Mapping[UUID, AddressFacts]:
        """Let clients of a VPN server have an address of its subnet, by the client's id; ``clients`` has their
        configurations. Those that have one keep it. Empty when the server has no subnet.

        Where a rule divides the subnet among the clients of an organization, each of these gets subnets of its own
        and the first address in them. Who loses its address later is outdated (see ``VpnBackend``), and servers and
        configurations follow a change of it. Raises AddressUnavailable.
        """

    def of_clients(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, AddressFacts]:
        """The addresses of clients of VPN servers, by the client's id; those without one are left out."""

    def release_clients(self, session: Session, client_ids: Sequence[UUID]) -> None:
        """Free the addresses of clients of VPN servers, and the subnets that they got with them."""

    def reserve(self, session: Session, subnet_id: UUID, address: str, purpose: str, now: datetime) -> AddressFacts:
        """Take a certain address of a subnet. Raises AddressUnavailable."""

    def release(self, session: Session, ids: Sequence[UUID]) -> None:
        """Free addresses without asking those who use them. Ids of addresses that are gone already are no error."""
