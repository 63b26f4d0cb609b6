"""What happens to clients when somebody changes their addresses, or takes them away."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from guywire.errors import Conflict
from guywire.models import Vpn, VpnClient
from guywire.services import status, vpn_servers
from sqlalchemy.orm import Session

from guywire_vpn_wireguard.models import WireguardClient

_NAMED = 5
_QUIET = {"synchronize_session": False}


def changed(session: Session, condition: Any) -> None:
    """Let the clients that meet a condition on ``WireguardClient``, and their servers, learn their new addresses."""
    status.mark_stale(session, _configs(condition))
    vpn_servers.mark_stale(session, sa.select(WireguardClient.vpn_id).where(condition))


def lost(session: Session, condition: Any, force: bool) -> None:
    """Let clients that lose their addresses become clients anew, with others. Raises Conflict unless ``force``."""
    using = sa.select(Vpn.name).where(Vpn.id.in_(sa.select(WireguardClient.vpn_id).where(condition)))
    names = session.scalars(using.order_by(Vpn.name).limit(_NAMED)).all()
    if names and not force:
        raise Conflict(f"Clients of VPN servers have addresses here: {', '.join(names)}.")
    if names:
        renew(session, condition)


def renew(session: Session, condition: Any) -> list[uuid.UUID]:
    """Forget clients, so that whoever renders their configurations finds them lacking and makes them anew.

    That happens in batches and in the worker, however many they are. Returns the ids of the addresses that they had.
    """
    rows = session.execute(sa.select(WireguardClient.client_id, WireguardClient.address_id).where(condition)).all()
    changed(session, condition)
    client_ids = sa.select(WireguardClient.client_id).where(condition)
    session.execute(sa.delete(VpnClient).where(VpnClient.id.in_(client_ids)), execution_options=_QUIET)
    return [row.address_id for row in rows]


def _configs(condition: Any) -> Any:
    client_ids = sa.select(WireguardClient.client_id).where(condition)
    return sa.select(VpnClient.config_id).where(VpnClient.id.in_(client_ids))
