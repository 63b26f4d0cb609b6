"""Which CA and certificate a VPN server has, and who else may touch these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import Conflict, Invalid
from guywire.events import CADeleting, CARenewed, CertificatesDeleting, CertificatesRenewed, Event
from guywire.models import Vpn
from guywire.services.vpn_servers import mark_changed, mark_stale
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert, VpnCertificate
from guywire_pki.services import vpn_clients
from guywire_pki.services.revocation import revoke

CERT_OF_ANOTHER_CA = "The selected certificate must match the selected CA."
CERT_REVOKED = "The selected certificate is revoked."
_MISMATCH = "Please ensure that the organization of this VPN server and the organization of the related {} match."


def load(session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
    """What bodies show of servers."""
    query = sa.select(VpnCertificate.vpn_id, VpnCertificate.ca_id, VpnCertificate.cert_id)
    rows = session.execute(query.where(VpnCertificate.vpn_id.in_(vpn_ids)))
    return {row.vpn_id: {"ca": row.ca_id, "cert": row.cert_id} for row in rows}


def save(session: Session, vpn: Vpn, given: Mapping[str, Any], now: datetime) -> None:
    """Let a server have another CA or certificate; a certificate of the former CA goes with it. Raises Invalid."""
    row = session.get(VpnCertificate, vpn.id)
    former = (None, None) if row is None else (row.ca_id, row.cert_id)
    ca_id, cert_id = given.get("ca", former[0]), given.get("cert", former[1])
    if cert_id == former[1] and (ca_id != former[0] or _belongs_elsewhere(session, row, vpn)):
        cert_id = None
    _check(session, vpn, ca_id, cert_id, is_new=cert_id != former[1])
    if (ca_id, cert_id) == former:
        return
    if row is not None and cert_id != row.cert_id:
        take_back(session, row, now)
    if ca_id is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(VpnCertificate(vpn_id=vpn.id, ca_id=ca_id, cert_id=cert_id))
    else:
        row.ca_id, row.cert_id = ca_id, cert_id
    session.flush()
    if ca_id != former[0]:
        vpn_clients.renew(session, vpn_clients.of_server(vpn.id), now)
    mark_changed(session, [vpn.id])


def _belongs_elsewhere(session: Session, row: VpnCertificate | None, vpn: Vpn) -> bool:
    """Whether the certificate that was issued for a server is of the organization that the server has left."""
    if row is None or row.cert_id is None or not row.is_automatic:
        return False
    return session.get_one(Cert, row.cert_id).organization_id not in (None, vpn.organization_id)


def _check(session: Session, vpn: Vpn, ca_id: int | None, cert_id: int | None, *, is_new: bool) -> None:
    """Whether a server may have these. Raises Invalid."""
    if ca_id is not None and session.get_one(CA, ca_id).organization_id not in (None, vpn.organization_id):
        raise Invalid({"organization": [_MISMATCH.format("CA")]})
    if cert_id is None:
        return
    cert = session.get_one(Cert, cert_id)
    if cert.organization_id not in (None, vpn.organization_id):
        raise Invalid({"organization": [_MISMATCH.format("certificate")]})
    if cert.ca_id != ca_id:
        raise Invalid({"cert": [CERT_OF_ANOTHER_CA]})
    if is_new and cert.revoked:
        raise Invalid({"cert": [CERT_REVOKED]})


def take_back(session: Session, row: VpnCertificate, now: datetime) -> None:
    """Revoke the certificate that was issued for a server; one that somebody chose is theirs."""
    cert = None if row.cert_id is None or not row.is_automatic else session.get(Cert, row.cert_id)
    row.cert_id, row.is_automatic = None, False
    session.flush()
    if cert is not None:
        revoke(session, [cert], now)


def hear(session: Session, event: Event) -> None:
    """CAs and certificates that servers have cannot be deleted, unless somebody insists, and do not change unnoticed.

    Raises Conflict.
    """
    match event:
        case CADeleting(ca_id, force):
            _lost(session, VpnCertificate.ca_id == ca_id, force)
        case CertificatesDeleting(ids, force):
            _lost(session, VpnCertificate.cert_id.in_(ids), force)
        case CARenewed(ca_id):
            mark_changed(session, _vpn_ids(VpnCertificate.ca_id == ca_id))
        case CertificatesRenewed(ids):
            mark_stale(session, _vpn_ids(VpnCertificate.cert_id.in_(ids)))


def _lost(session: Session, condition: Any, force: bool) -> None:
    query = sa.select(Vpn.id, Vpn.name).join(VpnCertificate, VpnCertificate.vpn_id == Vpn.id).where(condition)
    found = session.execute(query.order_by(Vpn.name)).all()
    if found and not force:
        names = ", ".join(row.name for row in found)
        raise Conflict(f"VPN servers need it: {names}. Their tunnels break without it; ?force=true deletes it anyway.")
    if found:
        mark_changed(session, [row.id for row in found])


def _vpn_ids(condition: Any) -> Any:
    return sa.select(VpnCertificate.vpn_id).where(condition)
