"""WireGuard servers and clients, and VXLAN tunnels over them."""

from __future__ import annotations

from pathlib import Path

from guywire import hookimpl
from guywire.events import AddressesChanged, AddressesDeleting, Event, SubnetsDeleting
from guywire.interfaces import MigrationSource, VpnBackend
from guywire.models import Base
from sqlalchemy.orm import Session

from guywire_vpn_wireguard import addresses, migrations
from guywire_vpn_wireguard.backend import Wireguard
from guywire_vpn_wireguard.models import WireguardClient
from guywire_vpn_wireguard.vxlan import VxlanWireguard


@hookimpl
def register_vpn_backends() -> list[type[VpnBackend]]:
    """The two kinds of servers, under the ids of the reference."""
    return [Wireguard, VxlanWireguard]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of keys."""
    return [MigrationSource("vpn_wireguard", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def on_event(session: Session, event: Event) -> None:
    """Care for the clients whose addresses somebody changes or takes away."""
    match event:
        case AddressesChanged(address_ids):
            addresses.changed(session, WireguardClient.address_id.in_(address_ids))
        case AddressesDeleting(address_ids, force):
            addresses.lost(session, WireguardClient.address_id.in_(address_ids), force)
        case SubnetsDeleting(subnet_ids, force):
            addresses.lost(session, WireguardClient.subnet_id.in_(subnet_ids), force)
