"""The Diffie-Hellman parameters of servers, and the field that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from guywire.api import fields
from guywire.api.field_groups import FieldGroup
from guywire.api.schema import Schema
from guywire.models import Vpn
from sqlalchemy.orm import Session

from guywire_vpn_openvpn.models import OpenVpnServer
from guywire_vpn_openvpn.schema import ID

# Well known and examined by many, so nobody has to wait for parameters of their own, which would be no better.
FFDHE2048 = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""The group of 2048 bits of RFC 7919."""


class KeyExchangeBody(Schema):
    """The parameters of a server's key exchange."""

    dh: Annotated[
        str, fields.text(blank=True, help="Diffie-Hellman parameters of an OpenVPN server; empty: those of RFC 7919.")
    ] = ""


def load(session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
    """What bodies show of servers."""
    rows = session.execute(sa.select(OpenVpnServer.vpn_id, OpenVpnServer.dh).where(OpenVpnServer.vpn_id.in_(vpn_ids)))
    return {row.vpn_id: {"dh": row.dh} for row in rows}


def save(session: Session, vpn: Vpn, given: Mapping[str, Any], now: datetime) -> None:
    """Let an OpenVPN server have other parameters; other servers have none."""
    server = session.get(OpenVpnServer, vpn.id)
    if "dh" not in given or vpn.backend != ID:
        return
    if server is None:
        session.add(OpenVpnServer(vpn_id=vpn.id, dh=_normal(given["dh"])))
    elif server.dh != _normal(given["dh"]):
        server.dh = _normal(given["dh"])
    session.flush()


def _normal(text: str) -> str:
    """The text as a file of its own holds it: what clients read and write back is the same."""
    if not text:
        return FFDHE2048
    return f"{text}\n" if text.startswith("-----BEGIN") else text


KEY_EXCHANGE = FieldGroup(
    resource="vpn",
    name="vpn_openvpn",
    after="notes",
    shown={"dh": {"type": "string"}},
    load=load,
    defaults={"dh": ""},
    body=KeyExchangeBody,
    save=save,
)
