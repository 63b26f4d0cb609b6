"""The clients of servers: their keys, addresses and numbers, in the tables and in bulk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from guywire.interfaces import AddressProvider, NewVpnClient
from sqlalchemy.orm import Session

from guywire_vpn_wireguard.keys import KeyPair, new_key_pair
from guywire_vpn_wireguard.models import WireguardClient, WireguardServer
from guywire_vpn_wireguard.server_files import Peer

LARGEST_VNI = 2**24 - 1
"""A VXLAN network identifier has 24 bits."""

_CHUNK = 1000


def hold(session: Session, vpn_id: uuid.UUID) -> WireguardServer | None:
    """The keys of a server, once nobody else who writes works on the same server."""
    return session.get(WireguardServer, vpn_id, with_for_update=True, populate_existing=True)


def public_keys(session: Session, vpn_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """The public keys of servers."""
    query = sa.select(WireguardServer.vpn_id, WireguardServer.public_key).where(WireguardServer.vpn_id.in_(vpn_ids))
    return {row.vpn_id: row.public_key for row in session.execute(query)}


def add(
    session: Session,
    addresses: AddressProvider,
    server: WireguardServer,
    clients: Sequence[NewVpnClient],
    pairs: Sequence[KeyPair],
    numbers: Sequence[int | None],
    now: datetime,
) -> None:
    """Give new clients keys, of which ``pairs`` may hold fewer or more, addresses and ``numbers``.

    The caller holds the server. Raises AddressUnavailable.
    """
    taken = addresses.allocate_for_clients(session, server.subnet_id, {client.config_id: "" for client in clients}, now)
    keys = [*pairs[: len(clients)], *(new_key_pair() for _ in clients[len(pairs) :])]
    rows = [
        {
            "client_id": client.id,
            "vpn_id": server.vpn_id,
            "private_key": pair.private,
            "public_key": pair.public,
            "address_id": taken[client.config_id].id,
            "subnet_id": taken[client.config_id].subnet_id,
            "vni": number,
        }
        for client, pair, number in zip(clients, keys, numbers, strict=True)
    ]
    if rows:
        session.execute(sa.insert(WireguardClient), rows)


def remove(session: Session, addresses: AddressProvider, client_ids: Sequence[uuid.UUID]) -> None:
    """Forget the keys of clients and free their addresses."""
    own = WireguardClient.client_id.in_(client_ids)
    address_ids = session.scalars(sa.select(WireguardClient.address_id).where(own)).all()
    session.execute(sa.delete(WireguardClient).where(own), execution_options={"synchronize_session": False})
    free_unused(session, addresses, address_ids)


def free_unused(session: Session, addresses: AddressProvider, address_ids: Sequence[uuid.UUID]) -> None:
    """Free addresses that no client has.

    Where a rule divides the subnet that two servers share, a configuration has one address for both.
    """
    for start in range(0, len(address_ids), _CHUNK):
        chunk = address_ids[start : start + _CHUNK]
        used = sa.select(WireguardClient.address_id).where(WireguardClient.address_id.in_(chunk))
        kept = set(session.scalars(used))
        addresses.release(session, [id for id in chunk if id not in kept])


def free_numbers(session: Session, vpn_id: uuid.UUID, count: int) -> list[int]:
    """The next VXLAN network identifiers of a server: those after the highest, or the lowest free ones if there are
    not so many. The caller holds the server.
    """
    of_server = WireguardClient.vpn_id == vpn_id
    highest = session.scalar(sa.select(sa.func.max(WireguardClient.vni)).where(of_server)) or 0
    if highest + count <= LARGEST_VNI:
        return list(range(highest + 1, highest + 1 + count))
    taken = set(session.scalars(sa.select(WireguardClient.vni).where(of_server)))
    unused = (number for number in range(1, LARGEST_VNI + 1) if number not in taken)
    return [number for number, _ in zip(unused, range(count), strict=False)]


def of_server(session: Session, addresses: AddressProvider, vpn_id: uuid.UUID) -> Iterator[Peer]:
    """The clients of a server in a fixed order, read in parts. One whose address is gone is none."""
    query = (
        sa.select(WireguardClient.public_key, WireguardClient.address_id, WireguardClient.vni)
        .where(WireguardClient.vpn_id == vpn_id)
        .order_by(WireguardClient.client_id)
    )
    for rows in session.execute(query, execution_options={"yield_per": _CHUNK}).partitions():
        known = addresses.addresses(session, [row.address_id for row in rows])
        for public_key, address_id, vni in rows:
            if address_id in known:
                yield Peer(public_key, known[address_id].address, vni)


def variables(
    session: Session, addresses: AddressProvider, client_ids: Sequence[uuid.UUID]
) -> Iterator[tuple[WireguardClient, dict[str, str]]]:
    """What the configurations of clients may know, whatever the kind of their server."""
    found: Mapping[uuid.UUID, WireguardClient] = {
        client.client_id: client
        for client in session.scalars(sa.select(WireguardClient).where(WireguardClient.client_id.in_(client_ids)))
    }
    known = addresses.addresses(session, [client.address_id for client in found.values()])
    for client in found.values():
        suffix = client.vpn_id.hex
        values = {f"pub_key_{suffix}": client.public_key, f"pvt_key_{suffix}": client.private_key}
        if client.address_id in known:
            values[f"ip_address_{suffix}"] = known[client.address_id].address
        yield client, values
