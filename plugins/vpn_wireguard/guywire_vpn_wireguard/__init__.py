"""WireGuard servers and clients, and VXLAN tunnels over them."""

from __future__ import annotations

from pathlib import Path

from guywire import hookimpl
from guywire.interfaces import MigrationSource, VpnBackend
from guywire.models import Base

from guywire_vpn_wireguard import migrations
from guywire_vpn_wireguard.backend import Wireguard
from guywire_vpn_wireguard.vxlan import VxlanWireguard


@hookimpl
def register_vpn_backends() -> list[type[VpnBackend]]:
    """The two kinds of servers, under the ids of the reference."""
    return [Wireguard, VxlanWireguard]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of keys."""
    return [MigrationSource("vpn_wireguard", str(Path(migrations.__file__).parent), Base.metadata)]
