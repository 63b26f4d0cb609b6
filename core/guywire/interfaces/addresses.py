"""Addresses, for those who need some and do not know who keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a VPN server is: the subnet that an operator chose for it, and its own address there (None: none yet)."""

    subnet: SubnetFacts
    address: AddressFacts | None


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

        Raises AddressUnavailable.
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
        self, session: Session, subnet_id: UUID, purposes: Mapping[UUID, str], now: datetime
    ) -> Mapping[UUID, AddressFacts]:
        """``allocate`` for clients of a VPN server that has the subnet, by the ids of their configurations.

        Where a rule divides the subnet among the clients of an organization, each of these gets subnets of its own
        and the first address in them.
        """

    def reserve(self, session: Session, subnet_id: UUID, address: str, purpose: str, now: datetime) -> AddressFacts:
        """Take a certain address of a subnet. Raises AddressUnavailable."""

    def release(self, session: Session, ids: Sequence[UUID]) -> None:
        """Free addresses without asking those who use them, and the subnets that clients got with them.

        Ids of addresses that are gone already are no error.
        """
