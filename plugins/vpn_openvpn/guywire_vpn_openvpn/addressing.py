"""Addresses in tunnels: for servers that have a subnet, where somebody provides addresses at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from guywire.interfaces import AddressProvider, NewVpnClient
from sqlalchemy.orm import Session


class Addressing:
    """What is known of addresses, and nothing without a provider."""

    def __init__(self, provider: AddressProvider | None) -> None:
        self.provider = provider

    def provision(self, session: Session, vpn_id: UUID, now: datetime) -> None:
        """Let a server have an address. Raises Invalid."""
        if self.provider is not None:
            self.provider.provision_server(session, vpn_id, "", now)

    def release(self, session: Session, vpn_id: UUID) -> None:
        """Free the address of a server."""
        if self.provider is not None:
            self.provider.release_server(session, vpn_id)

    def provision_clients(self, session: Session, vpn_id: UUID, clients: Sequence[NewVpnClient], now: datetime) -> None:
        """Let clients have addresses. Raises AddressUnavailable."""
        if self.provider is not None:
            configs = {client.id: client.config_id for client in clients}
            self.provider.allocate_for_clients(session, vpn_id, configs, now)

    def release_clients(self, session: Session, client_ids: Sequence[UUID]) -> None:
        """Free the addresses of clients."""
        if self.provider is not None:
            self.provider.release_clients(session, client_ids)

    def own_variables(self, session: Session, vpn_id: UUID) -> Mapping[str, Any]:
        """What a server knows of itself."""
        place = None if self.provider is None else self.provider.servers(session, [vpn_id]).get(vpn_id)
        return {} if place is None else place.variables

    def server_variables(self, session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """What clients know of their servers, by the server's id."""
        places = {} if self.provider is None else self.provider.servers(session, vpn_ids)
        return {
            id: {f"{name}_{id.hex}": value for name, value in place.client_variables.items()}
            for id, place in places.items()
        }

    def client_variables(self, session: Session, servers: Mapping[UUID, UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """What clients know of themselves, by the client's id; ``servers`` has the ids of their servers."""
        found = {} if self.provider is None else self.provider.of_clients(session, list(servers))
        return {id: {f"ip_address_{servers[id].hex}": address.address} for id, address in found.items()}
