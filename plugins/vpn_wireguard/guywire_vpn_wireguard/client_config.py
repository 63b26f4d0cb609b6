"""The configuration that makes a router a client: NetJSON with variables that each router fills in for itself."""

from __future__ import annotations

from typing import Any

from guywire.interfaces import JSONObject

_KEEPALIVE = 60
_WIREGUARD_MTU = 1420
_VXLAN_MTU = 1280
_VXLAN_PORT = 4789
_VXLAN_TTL = 64


def wireguard_client(tunnel: JSONObject, suffix: str, is_ipv6: bool) -> JSONObject:
    """An interface and its one peer. ``suffix`` is what the names of the server's variables end with."""
    interface = {
        "name": tunnel["name"],
        "type": "wireguard",
        "private_key": _variable("pvt_key", suffix),
        "port": tunnel["port"],
        "mtu": _WIREGUARD_MTU,
        "nohostroute": False,
        "fwmark": "",
        "ip6prefix": [],
        "network": "",
        "addresses": [
            {
                "proto": "static",
                "family": "ipv6" if is_ipv6 else "ipv4",
                "address": _variable("ip_address", suffix),
                "mask": 128 if is_ipv6 else 32,
            }
        ],
    }
    peer = {
        "interface": tunnel["name"],
        "public_key": _variable("public_key", suffix),
        "allowed_ips": [_variable("server_ip_network", suffix)],
        "endpoint_host": _variable("vpn_host", suffix),
        "endpoint_port": tunnel["port"],
        "preshared_key": "",
        "persistent_keepalive": _KEEPALIVE,
        "route_allowed_ips": True,
    }
    return {"interfaces": [interface], "wireguard_peers": [peer]}


def with_vxlan(client: JSONObject, link: str, name: str, suffix: str, is_ipv6: bool) -> JSONObject:
    """A WireGuard client that also has the VXLAN interface ``name``, which leads to the server through ``link``."""
    if is_ipv6:
        return {**client, "network": [_vxlan_over_ipv6(link, name, suffix)]}
    interface = {
        "name": name,
        "type": "vxlan",
        "vtep": _variable("server_ip_address", suffix),
        "port": _VXLAN_PORT,
        "vni": _variable("vni", suffix),
        "tunlink": link,
        "rxcsum": True,
        "txcsum": True,
        "mtu": _VXLAN_MTU,
        "ttl": _VXLAN_TTL,
        "mac": "",
        "disabled": False,
        "network": "",
    }
    return {**client, "interfaces": [*client["interfaces"], interface]}


def _vxlan_over_ipv6(link: str, name: str, suffix: str) -> dict[str, Any]:
    """NetJSON knows VXLAN over IPv4 only, so this is a section of UCI itself."""
    return {
        "config_name": "interface",
        "config_value": name.replace("-", "_").replace(".", "_"),
        "proto": "vxlan6",
        "peer6addr": _variable("server_ip_address", suffix),
        "port": _VXLAN_PORT,
        "vid": _variable("vni", suffix),
        "tunlink": link,
        "rxcsum": True,
        "txcsum": True,
        "mtu": _VXLAN_MTU,
        "ttl": _VXLAN_TTL,
    }


def _variable(name: str, suffix: str) -> str:
    return f"{{{{{name}_{suffix}}}}}"
