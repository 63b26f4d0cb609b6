"""VXLAN over WireGuard: a layer 2 between the host of a server and each of its clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from guywire.interfaces import ArchiveFile, JSONObject, VpnServer
from guywire.models import Vpn
from sqlalchemy.orm import Session

from guywire_vpn_wireguard import peers, schema
from guywire_vpn_wireguard.backend import Wireguard
from guywire_vpn_wireguard.client_config import with_vxlan
from guywire_vpn_wireguard.server_files import Peer, vxlan_file

_DEFAULT_NAME = "vxlan"


class VxlanWireguard(Wireguard):
    """A WireGuard server whose clients also have VXLAN tunnels: each one of its own, or all the same one.

    Each client has a number of its own in any case, so the server may change its mind.
    """

    id: ClassVar[str] = "openwisp_controller.vpn_backends.VxlanWireguard"
    label: ClassVar[str] = "VXLAN over WireGuard"
    schema: ClassVar[Mapping[str, Any]] = schema.VXLAN

    def client_config(self, session: Session, vpn: VpnServer, auto_cert: bool) -> JSONObject:
        """The NetJSON of a client, with the VXLAN interface."""
        client = super().client_config(session, vpn, auto_cert)
        name = _tunnel(vpn.config).get("name") or _DEFAULT_NAME
        [wireguard] = vpn.config["wireguard"]
        return with_vxlan(client, wireguard["name"], name, vpn.id.hex, self.is_ipv6(session, vpn))

    def numbers(self, session: Session, vpn: VpnServer, count: int) -> Sequence[int | None]:
        """The next free ones of the server."""
        return peers.free_numbers(session, vpn.id, count)

    def client_variables(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """The client's keys, its address and the number of its tunnel."""
        found = list(peers.variables(session, self.addresses, client_ids))
        query = sa.select(Vpn.id, Vpn.config).where(Vpn.id.in_({client.vpn_id for client, _ in found}))
        prescribed = {id: _vni(config) for id, config in session.execute(query)}
        for client, values in found:
            number = prescribed[client.vpn_id]
            values[f"vni_{client.vpn_id.hex}"] = str(client.vni if number is None else number)
        return {client.client_id: values for client, values in found}

    def tunnel_files(
        self, config: JSONObject, private_key: str, address: str, clients: Sequence[Peer]
    ) -> list[ArchiveFile]:
        """``vxlan.json`` too."""
        files = super().tunnel_files(config, private_key, address, clients)
        return [*files, vxlan_file(_tunnel(config), _vni(config), clients)]


def _tunnel(config: JSONObject) -> JSONObject:
    """The item that describes the VXLAN tunnels; all of it is optional."""
    [tunnel] = config.get("vxlan") or [{}]
    return tunnel


def _vni(config: JSONObject) -> int | None:
    """The number that a server prescribes for all tunnels."""
    number = _tunnel(config).get("vni")
    return number if isinstance(number, int) else None
