"""OpenVPN servers and their clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import netjsonconfig
import sqlalchemy as sa
from guywire.backends.layers import filled_in
from guywire.errors import Invalid
from guywire.interfaces import (
    AddressProvider,
    ArchiveFile,
    ConfigurationInvalid,
    JSONObject,
    NewVpnClient,
    PkiProvider,
    Secret,
    VpnServer,
)
from guywire.models import VpnClient
from guywire.settings import Settings
from sqlalchemy.orm import Session

from guywire_vpn_openvpn import orders, schema
from guywire_vpn_openvpn.addressing import Addressing
from guywire_vpn_openvpn.key_exchange import FFDHE2048
from guywire_vpn_openvpn.models import OpenVpnServer
from guywire_vpn_openvpn.server_files import files_of

_NO_CA = "CA is required with this VPN backend"


class OpenVpn:
    """A ``VpnBackend``: the certificates come from whoever provides them, and so do addresses, if a server has some."""

    id: ClassVar[str] = schema.ID
    label: ClassVar[str] = "OpenVPN"
    schema: ClassVar[Mapping[str, Any]] = schema.SCHEMA
    requires: ClassVar[tuple[type, ...]] = (PkiProvider, Settings)
    wants: ClassVar[tuple[type, ...]] = (AddressProvider,)

    def __init__(self, pki: PkiProvider, settings: Settings, addresses: AddressProvider | None) -> None:
        self.pki, self.settings, self.addressing = pki, settings, Addressing(addresses)

    def validate(self, config: JSONObject) -> None:
        """Raise ConfigurationInvalid for what does not follow the schema."""
        schema.check(config)

    def provision(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Issue the server's certificate; let it have parameters for its key exchange, and an address."""
        if self.pki.provision_server(session, vpn.id, orders.of_server(vpn), now) is None:
            raise Invalid({"ca": [_NO_CA]})
        self.addressing.provision(session, vpn.id, now)
        if session.get(OpenVpnServer, vpn.id) is None:
            session.add(OpenVpnServer(vpn_id=vpn.id, dh=FFDHE2048))
            session.flush()

    def release(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Revoke the certificate that was issued for the server, and free its address."""
        self.pki.release_server(session, vpn.id, now)
        self.addressing.release(session, vpn.id)
        server = session.get(OpenVpnServer, vpn.id)
        if server is not None:
            session.delete(server)
            session.flush()

    def client_config(self, session: Session, vpn: VpnServer, auto_cert: bool) -> JSONObject:
        """The NetJSON of a client; without ``auto_cert`` the device brings a certificate of its own."""
        names = ["ca_path", "ca_contents"]
        if auto_cert:
            names += ["cert_path", "cert_contents", "key_path", "key_contents"]
        variables = {name: f"{{{{{name}_{vpn.id.hex}}}}}" for name in names}
        server = deepcopy(vpn.config["openvpn"][0])
        made: JSONObject = netjsonconfig.OpenVpn.auto_client(f"{{{{vpn_host_{vpn.id.hex}}}}}", server, **variables)
        return made

    def server_variables(self, session: Session, vpns: Sequence[VpnServer]) -> Mapping[UUID, Mapping[str, Any]]:
        """The CA, and where the server is in the tunnel."""
        ids = [vpn.id for vpn in vpns]
        places = self.addressing.server_variables(session, ids)
        return {
            id: {
                f"ca_path_{id.hex}": self._path(f"ca-{server.ca.id}-{orders.file_name(server.ca.common_name)}"),
                f"ca_contents_{id.hex}": server.ca.pem,
                **places.get(id, {}),
            }
            for id, server in self.pki.servers(session, ids).items()
        }

    def _path(self, name: str) -> str:
        return f"{self.settings.cert_path}/{name}.pem"

    def prepare_clients(self, session: Session, vpn: VpnServer, count: int, outdated: Sequence[UUID]) -> Sequence[Any]:
        """Keys, each with the CA whose certificates have such ones."""
        server = self.pki.servers(session, [vpn.id]).get(vpn.id)
        if server is None:
            return []
        missing = count + len(outdated) - len(self.pki.of_clients(session, outdated))
        return [(server.ca.id, key) for key in self.pki.prepare_keys(session, server.ca.id, missing)]

    def provision_clients(
        self, session: Session, vpn: VpnServer, clients: Sequence[NewVpnClient], prepared: Sequence[Any], now: datetime
    ) -> None:
        """Issue certificates and give addresses. Raises AddressUnavailable."""
        server = self.pki.servers(session, [vpn.id]).get(vpn.id)
        if server is None:
            raise Invalid({"ca": [_NO_CA]})
        keys = [key for ca_id, key in prepared if ca_id == server.ca.id]
        wanted = {client.id: orders.of_client(client, self.settings.common_name_format) for client in clients}
        self.pki.issue_for_clients(session, vpn.id, wanted, now, keys)
        self.addressing.provision_clients(session, vpn.id, clients, now)

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Revoke the certificates and free the addresses."""
        self.pki.release_clients(session, client_ids, now)
        self.addressing.release_clients(session, client_ids)

    def client_variables(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """The client's certificate and key, where they belong on the device, and its address in the tunnel."""
        certificates = self.pki.of_clients(session, client_ids)
        query = sa.select(VpnClient.id, VpnClient.vpn_id).where(VpnClient.id.in_(list(certificates)))
        servers: dict[UUID, UUID] = dict(session.execute(query).all())
        addresses = self.addressing.client_variables(session, servers)
        return {
            client_id: {
                f"cert_path_{vpn_id.hex}": self._path(f"client-{vpn_id.hex}"),
                f"cert_contents_{vpn_id.hex}": certificates[client_id].pem,
                f"key_path_{vpn_id.hex}": self._path(f"key-{vpn_id.hex}"),
                f"key_contents_{vpn_id.hex}": Secret(certificates[client_id].key),
                **addresses.get(client_id, {}),
            }
            for client_id, vpn_id in servers.items()
        }

    def render(self, session: Session, vpn: VpnServer, variables: Mapping[str, Any]) -> Sequence[ArchiveFile]:
        """The daemon's file, then the operator's own. Which clients there are is the CA's business."""
        place = self.pki.servers(session, [vpn.id]).get(vpn.id)
        if place is None or place.certificate is None:
            raise ConfigurationInvalid(_NO_CA if place is None else "The VPN server has no certificate.")
        server = session.get(OpenVpnServer, vpn.id)
        own = {
            "ca": place.ca.pem,
            "cert": place.certificate.pem,
            "key": place.certificate.key,
            "dh": FFDHE2048 if server is None else server.dh,
            **self.addressing.own_variables(session, vpn.id),
        }
        try:
            return files_of(filled_in(vpn.config, {**variables, **own}))
        except ConfigurationInvalid as invalid:
            raise invalid.hiding([place.certificate.key]) from None
