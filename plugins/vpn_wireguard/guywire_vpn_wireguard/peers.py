"""The clients of servers: their keys and numbers, in the tables and in bulk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa
from guywire.interfaces import AddressProvider, Secret
from sqlalchemy.orm import Session

from guywire_vpn_wireguard.keys import KeyPair, new_key_pair
from guywire_vpn_wireguard.models import WireguardClient, WireguardServer
from guywire_vpn_wireguard.schema import LARGEST_VNI
from guywire_vpn_wireguard.server_files import Peer

_CHUNK = 1000


def hold(session: Session, vpn_id: uuid.UUID) -> WireguardServer | None:
    """The keys of a server, once nobody else who writes works on the same server."""
    return session.get(WireguardServer, vpn_id, with_for_update=True, populate_existing=True)


def public_keys(session: Session, vpn_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """The public keys of servers."""
    query = sa.select(WireguardServer.vpn_id, WireguardServer.public_key).where(WireguardServer.vpn_id.in_(vpn_ids))
    return {row.vpn_id: row.public_key for row in session.execute(query)}


def known(session: Session, client_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of some clients that have keys."""
    query = sa.select(WireguardClient.client_id).where(WireguardClient.client_id.in_(client_ids))
    return set(session.scalars(query))


def add(
    session: Session,
    vpn_id: uuid.UUID,
    client_ids: Sequence[uuid.UUID],
    pairs: Sequence[KeyPair],
    numbers: Sequence[int | None],
) -> None:
    """Give new clients of a server keys, of which ``pairs`` may hold fewer or more, and ``numbers``.

    The caller holds the server.
    """
    keys = [*pairs[: len(client_ids)], *(new_key_pair() for _ in client_ids[len(pairs) :])]
    rows = [
        {"client_id": id, "vpn_id": vpn_id, "private_key": pair.private, "public_key": pair.public, "vni": number}
        for id, pair, number in zip(client_ids, keys, numbers, strict=True)
    ]
    if rows:
        session.execute(sa.insert(WireguardClient), rows)


def remove(session: Session, client_ids: Sequence[uuid.UUID]) -> None:
    """Forget the keys of clients."""
    own = WireguardClient.client_id.in_(client_ids)
    session.execute(sa.delete(WireguardClient).where(own), execution_options={"synchronize_session": False})


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
        sa.select(WireguardClient.client_id, WireguardClient.public_key, WireguardClient.vni)
        .where(WireguardClient.vpn_id == vpn_id)
        .order_by(WireguardClient.client_id)
    )
    for rows in session.execute(query, execution_options={"yield_per": _CHUNK}).partitions():
        own = addresses.of_clients(session, [row.client_id for row in rows])
        for client_id, public_key, vni in rows:
            if client_id in own:
                yield Peer(public_key, own[client_id], vni)


def variables(
    session: Session, addresses: AddressProvider, client_ids: Sequence[uuid.UUID]
) -> Iterator[tuple[WireguardClient, dict[str, str]]]:
    """What the configurations of clients may know, whatever the kind of their server."""
    found: Mapping[uuid.UUID, WireguardClient] = {
        client.client_id: client
        for client in session.scalars(sa.select(WireguardClient).where(WireguardClient.client_id.in_(client_ids)))
    }
    own = addresses.of_clients(session, list(found))
    for client in found.values():
        suffix = client.vpn_id.hex
        values = {f"pub_key_{suffix}": client.public_key, f"pvt_key_{suffix}": Secret(client.private_key)}
        if client.client_id in own:
            values[f"ip_address_{suffix}"] = own[client.client_id].address
        yield client, values
