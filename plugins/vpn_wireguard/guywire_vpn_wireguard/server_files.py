"""The files of a server, in the words of `wg` and `wg-quick`, and the VXLAN tunnels in those of the host's script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from guywire.interfaces import AddressFacts, ArchiveFile, JSONObject

_LISTS = {"dns": "DNS"}
_VALUES = {"mtu": "MTU", "save_config": "SaveConfig", "table": "Table"}
_SCRIPTS = {"pre_up": "PreUp", "post_up": "PostUp", "pre_down": "PreDown", "post_down": "PostDown"}

Lines = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A client as its server sees it."""

    public_key: str
    address: AddressFacts
    vni: int | None = None


def wireguard_file(tunnel: JSONObject, private_key: str, address: str, peers: Iterable[Peer]) -> ArchiveFile:
    """``<interface>.conf``: the server's own section, the operator's peers, then the clients.

    ``tunnel`` is the item of the configuration, its variables filled in; ``address`` is the server's, with the prefix
    of its subnet.
    """
    sections = [_section("Interface", _interface(tunnel, private_key, address))]
    sections += [_section("Peer", _manual_peer(peer)) for peer in tunnel.get("peers", [])]
    sections += [_automatic_peer(peer) for peer in peers]
    return ArchiveFile(f"{tunnel['name']}.conf", "\n".join(sections).encode())


def vxlan_file(tunnel: JSONObject, vni: int | None, peers: Iterable[Peer]) -> ArchiveFile:
    """``vxlan.json``: where the other end of each tunnel is. ``vni`` is the number that the server prescribes."""
    interface = {"interface": tunnel["name"]} if tunnel.get("name") else {}
    tunnels = [{**interface, "remote": peer.address.address, "vni": peer.vni if vni is None else vni} for peer in peers]
    return ArchiveFile("vxlan.json", json.dumps(tunnels, indent=4, sort_keys=True).encode())


def extra_files(config: JSONObject) -> list[ArchiveFile]:
    """The files that an operator wrote into the configuration, its variables filled in."""
    return [
        ArchiveFile(file["path"].removeprefix("/"), file["contents"].encode(), int(file["mode"], base=8))
        for file in config.get("files", [])
    ]


def _interface(tunnel: JSONObject, private_key: str, address: str) -> Lines:
    lines: Lines = [("Address", address), ("ListenPort", tunnel["port"]), ("PrivateKey", private_key)]
    for field, name in _LISTS.items():
        lines += [(name, ",".join(tunnel[field]))] if tunnel.get(field) else []
    for field, name in _VALUES.items():
        value = tunnel.get(field)
        lines += [(name, str(value).lower() if isinstance(value, bool) else value)] if value not in (None, "") else []
    for field, name in _SCRIPTS.items():
        # One line is one command, and there may be several.
        lines += [(name, command) for command in (tunnel.get(field) or "").splitlines() if command.strip()]
    return sorted(lines, key=lambda line: line[0])


def _manual_peer(peer: JSONObject) -> Lines:
    lines: Lines = [("AllowedIPs", peer["allowed_ips"])]
    host, port = peer.get("endpoint_host"), peer.get("endpoint_port")
    if host and port:
        lines.append(("Endpoint", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
    if peer.get("preshared_key"):
        lines.append(("PreSharedKey", peer["preshared_key"]))
    return [*lines, ("PublicKey", peer["public_key"])]


def _automatic_peer(peer: Peer) -> str:
    return f"[Peer]\nAllowedIPs = {peer.address.network}\nPublicKey = {peer.public_key}\n"


def _section(title: str, lines: Lines) -> str:
    return "".join(_lines(title, lines))


def _lines(title: str, lines: Lines) -> Iterator[str]:
    yield f"[{title}]\n"
    for name, value in lines:
        # A line break in a value would begin another line of the file.
        yield f"{name} = {' '.join(str(value).split())}\n"
