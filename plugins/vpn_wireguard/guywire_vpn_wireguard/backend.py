"""WireGuard servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Any, ClassVar
from uuid import UUID

from guywire.backends.layers import filled_in
from guywire.errors import Invalid
from guywire.interfaces import (
    AddressProvider,
    ArchiveFile,
    ConfigurationInvalid,
    JSONObject,
    NewVpnClient,
    ServerAddress,
    VpnServer,
)
from sqlalchemy.orm import Session

from guywire_vpn_wireguard import peers, schema
from guywire_vpn_wireguard.client_config import wireguard_client
from guywire_vpn_wireguard.keys import new_key_pair
from guywire_vpn_wireguard.models import WireguardServer
from guywire_vpn_wireguard.server_files import Peer, extra_files, wireguard_file

_NO_SUBNET = "Subnet is required for this VPN backend."


class Wireguard:
    """A ``VpnBackend``: the keys come from here, the addresses from whoever provides them."""

    id: ClassVar[str] = "openwisp_controller.vpn_backends.Wireguard"
    label: ClassVar[str] = "WireGuard"
    schema: ClassVar[Mapping[str, Any]] = schema.WIREGUARD
    requires: ClassVar[tuple[type, ...]] = (AddressProvider,)
    wants: ClassVar[tuple[type, ...]] = ()

    def __init__(self, addresses: AddressProvider) -> None:
        self.addresses = addresses

    def validate(self, config: JSONObject) -> None:
        """Raise ConfigurationInvalid for what does not follow the schema, or what WireGuard refuses."""
        schema.check(config, self.schema)

    def provision(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Take an address and make the keys."""
        if self.addresses.provision_server(session, vpn.id, "", now) is None:
            raise Invalid({"subnet": [_NO_SUBNET]})
        if session.get(WireguardServer, vpn.id) is None:
            private, public = new_key_pair()
            session.add(WireguardServer(vpn_id=vpn.id, private_key=private, public_key=public))
            session.flush()

    def release(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Free the address and forget the keys."""
        self.addresses.release_server(session, vpn.id)
        server = peers.hold(session, vpn.id)
        if server is not None:
            session.delete(server)
            session.flush()

    def client_config(self, session: Session, vpn: VpnServer, auto_cert: bool) -> JSONObject:
        """The NetJSON of a client: variables, which without ``auto_cert`` the device itself has to bring."""
        [tunnel] = vpn.config["wireguard"]
        return wireguard_client(tunnel, vpn.id.hex, self.is_ipv6(session, vpn))

    def is_ipv6(self, session: Session, vpn: VpnServer) -> bool:
        """Whether a server's subnet is one of IPv6."""
        place = self.addresses.servers(session, [vpn.id]).get(vpn.id)
        return place is not None and ip_network(place.subnet.cidr).version == 6

    def server_variables(self, session: Session, vpns: Sequence[VpnServer]) -> Mapping[UUID, Mapping[str, Any]]:
        """Port, public key, address and subnet."""
        ids = [vpn.id for vpn in vpns]
        places, keys = self.addresses.servers(session, ids), peers.public_keys(session, ids)
        return {vpn.id: _server_variables(vpn, keys.get(vpn.id), places.get(vpn.id)) for vpn in vpns}

    def prepare_clients(self, session: Session, vpn: VpnServer, count: int, outdated: Sequence[UUID]) -> Sequence[Any]:
        """Key pairs of new clients: those of the others cannot get lost."""
        return [new_key_pair() for _ in range(count)]

    def provision_clients(
        self, session: Session, vpn: VpnServer, clients: Sequence[NewVpnClient], prepared: Sequence[Any], now: datetime
    ) -> None:
        """Give clients keys and addresses. Raises AddressUnavailable."""
        if peers.hold(session, vpn.id) is None:
            raise Invalid({"subnet": [_NO_SUBNET]})
        configs = {client.id: client.config_id for client in clients}
        if len(self.addresses.allocate_for_clients(session, vpn.id, configs, now)) < len(configs):
            raise Invalid({"subnet": [_NO_SUBNET]})
        known = peers.known(session, list(configs))
        fresh = [client_id for client_id in configs if client_id not in known]
        peers.add(session, vpn.id, fresh, prepared, self.numbers(session, vpn, len(fresh)))

    def numbers(self, session: Session, vpn: VpnServer, count: int) -> Sequence[int | None]:
        """The VXLAN network identifiers of that many new clients, in case that they need some."""
        return [None] * count

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Free the addresses and forget the keys."""
        peers.remove(session, client_ids)
        self.addresses.release_clients(session, client_ids)

    def client_variables(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """The client's keys and its address."""
        return {client.client_id: values for client, values in peers.variables(session, self.addresses, client_ids)}

    def render(self, session: Session, vpn: VpnServer, variables: Mapping[str, Any]) -> Sequence[ArchiveFile]:
        """The files of the tunnel, all clients included, then the operator's own."""
        server = session.get(WireguardServer, vpn.id)
        place = self.addresses.servers(session, [vpn.id]).get(vpn.id)
        if server is None or place is None or place.address is None:
            raise ConfigurationInvalid(_NO_SUBNET)
        own = {"private_key": server.private_key, "public_key": server.public_key, **place.variables}
        config = filled_in(vpn.config, {**variables, **own})
        known = list(peers.of_server(session, self.addresses, vpn.id))
        address = f"{place.address.address}/{own['subnet_prefixlen']}"
        return [*self.tunnel_files(config, server.private_key, address, known), *extra_files(config)]

    def tunnel_files(
        self, config: JSONObject, private_key: str, address: str, clients: Sequence[Peer]
    ) -> list[ArchiveFile]:
        """The files that the host of a server reads."""
        return [wireguard_file(config["wireguard"][0], private_key, address, clients)]


def _server_variables(vpn: VpnServer, public_key: str | None, place: ServerAddress | None) -> dict[str, Any]:
    found: dict[str, Any] = {"vpn_port": vpn.config["wireguard"][0]["port"]}
    if public_key is not None:
        found["public_key"] = public_key
    if place is not None:
        found |= place.client_variables
    return {f"{name}_{vpn.id.hex}": value for name, value in found.items()}
