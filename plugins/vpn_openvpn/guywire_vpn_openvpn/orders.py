"""The certificates that servers and clients ask for, and what these are called."""

from __future__ import annotations

import re
import secrets
import unicodedata

from guywire.interfaces import CertificateOrder, NewVpnClient, VpnServer
from guywire.settings import Settings

_LONGEST = 64
_LONGEST_BEGINNING = 55
# Without those that people take for one another.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def of_server(vpn: VpnServer) -> CertificateOrder:
    """The certificate of a server, called like it."""
    return CertificateOrder(vpn.name, _slug(vpn.name) or vpn.id.hex, vpn.organization_id, server=True)


def of_client(client: NewVpnClient, common_name_format: str) -> CertificateOrder:
    """The certificate of a device; its common name ends with what nobody can guess."""
    mac, name = client.mac_address, client.device_name[: _LONGEST - 1 - len(client.mac_address)]
    if common_name_format == Settings.common_name_format and name == mac:
        common_name_format = "{mac_address}"
    beginning = common_name_format.format(id=client.device_id, mac_address=mac, name=name)[:_LONGEST_BEGINNING]
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return CertificateOrder(client.device_name, f"{beginning}-{suffix}", client.organization_id)


def file_name(common_name: str) -> str:
    """A common name as a part of a path; it may hold anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", common_name)


def _slug(name: str) -> str:
    ascii = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii)).strip("-_")
