"""OpenVPN servers and their clients."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import netjsonconfig
import sqlalchemy as sa
from guywire.backends.layers import filled_in
from guywire.backends.refusals import refusing
from guywire.errors import Invalid
from guywire.interfaces import (
    ArchiveFile,
    CertificateOrder,
    ConfigurationInvalid,
    JSONObject,
    NewVpnClient,
    PkiProvider,
    VpnServer,
)
from guywire.models import VpnClient
from guywire.settings import Settings
from sqlalchemy.orm import Session

from guywire_vpn_openvpn import schema
from guywire_vpn_openvpn.key_exchange import FFDHE2048
from guywire_vpn_openvpn.models import OpenVpnServer

_NO_CA = "CA is required with this VPN backend"
_FILE_MODE = "0644"
_LONGEST = 64
_LONGEST_BEGINNING = 55
# Without those that people take for one another.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class OpenVpn:
    """A ``VpnBackend``: the certificates come from whoever provides them."""

    id: ClassVar[str] = schema.ID
    label: ClassVar[str] = "OpenVPN"
    schema: ClassVar[Mapping[str, Any]] = schema.SCHEMA
    requires: ClassVar[tuple[type, ...]] = (PkiProvider, Settings)

    def __init__(self, pki: PkiProvider, settings: Settings) -> None:
        self.pki, self.settings = pki, settings

    def validate(self, config: JSONObject) -> None:
        """Raise ConfigurationInvalid for what does not follow the schema."""
        schema.check(config)

    def provision(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Issue the server's certificate, and let it have parameters for its key exchange."""
        order = CertificateOrder(vpn.name, _slug(vpn.name) or vpn.id.hex, vpn.organization_id, server=True)
        if self.pki.provision_server(session, vpn.id, order, now) is None:
            raise Invalid({"ca": [_NO_CA]})
        if session.get(OpenVpnServer, vpn.id) is None:
            session.add(OpenVpnServer(vpn_id=vpn.id, dh=FFDHE2048))
            session.flush()

    def release(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Revoke the certificate that was issued for the server."""
        self.pki.release_server(session, vpn.id, now)
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
        """The CA."""
        found = self.pki.servers(session, [vpn.id for vpn in vpns])
        return {
            id: {
                f"ca_path_{id.hex}": f"{self.settings.cert_path}/ca-{server.ca.id}-{_plain(server.ca.common_name)}.pem",
                f"ca_contents_{id.hex}": server.ca.pem,
            }
            for id, server in found.items()
        }

    def prepare_clients(self, session: Session, vpn: VpnServer, count: int) -> Sequence[Any]:
        """Keys, each with the CA whose certificates have such ones."""
        server = self.pki.servers(session, [vpn.id]).get(vpn.id)
        if server is None:
            return []
        return [(server.ca.id, key) for key in self.pki.prepare_keys(session, server.ca.id, count)]

    def provision_clients(
        self, session: Session, vpn: VpnServer, clients: Sequence[NewVpnClient], prepared: Sequence[Any], now: datetime
    ) -> None:
        """Issue certificates."""
        server = self.pki.servers(session, [vpn.id]).get(vpn.id)
        if server is None:
            raise Invalid({"ca": [_NO_CA]})
        keys = [key for ca_id, key in prepared if ca_id == server.ca.id]
        orders = {client.id: self._order(client) for client in clients}
        self.pki.issue_for_clients(session, vpn.id, orders, now, keys[: len(clients)])

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Revoke the certificates."""
        self.pki.release_clients(session, client_ids, now)

    def client_variables(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """The client's certificate and key, and where they belong on the device."""
        certificates = self.pki.of_clients(session, client_ids)
        query = sa.select(VpnClient.id, VpnClient.vpn_id).where(VpnClient.id.in_(list(certificates)))
        return {
            client_id: {
                f"cert_path_{vpn_id.hex}": f"{self.settings.cert_path}/client-{vpn_id.hex}.pem",
                f"cert_contents_{vpn_id.hex}": certificates[client_id].pem,
                f"key_path_{vpn_id.hex}": f"{self.settings.cert_path}/key-{vpn_id.hex}.pem",
                f"key_contents_{vpn_id.hex}": certificates[client_id].key,
            }
            for client_id, vpn_id in session.execute(query)
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
        }
        return _files(filled_in(vpn.config, {**variables, **own}))

    def _order(self, client: NewVpnClient) -> CertificateOrder:
        mac, name = client.mac_address, client.device_name[: _LONGEST - 1 - len(client.mac_address)]
        template = self.settings.common_name_format
        if template == Settings.common_name_format and name == mac:
            template = "{mac_address}"
        beginning = template.format(id=client.device_id, mac_address=mac, name=name)[:_LONGEST_BEGINNING]
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        return CertificateOrder(client.device_name, f"{beginning}-{suffix}", client.organization_id)


def _files(config: JSONObject) -> list[ArchiveFile]:
    with refusing():
        server = schema.Server(config)
        # A line with the name of the server and an empty one come first.
        text = server.render(files=False).split("\n", 2)[2]
        files = [(schema.conf_name(config), text, _FILE_MODE)]
        for file in server.config.get("files", []):
            files.append((file["path"].removeprefix("/"), file["contents"], file.get("mode", _FILE_MODE)))
        return [ArchiveFile(path, contents.encode(), int(mode, base=8)) for path, contents, mode in files]


def _slug(name: str) -> str:
    ascii = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii)).strip("-_")


def _plain(name: str) -> str:
    """A common name as a part of a path; it may hold anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
