"""OpenVPN servers and clients."""

from __future__ import annotations

from pathlib import Path

from guywire import hookimpl
from guywire.interfaces import FieldGroup, MigrationSource, VpnBackend
from guywire.models import Base

from guywire_vpn_openvpn import migrations
from guywire_vpn_openvpn.backend import OpenVpn
from guywire_vpn_openvpn.key_exchange import KEY_EXCHANGE


@hookimpl
def register_vpn_backends() -> list[type[VpnBackend]]:
    """The one kind of servers, under the id of the reference."""
    return [OpenVpn]


@hookimpl
def register_fields() -> list[FieldGroup]:
    """The parameters of servers' key exchange."""
    return [KEY_EXCHANGE]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The table of servers."""
    return [MigrationSource("vpn_openvpn", str(Path(migrations.__file__).parent), Base.metadata)]
