"""The certificates of VPN servers' clients, and what happens to clients when somebody takes these away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import Conflict
from guywire.events import CADeleting, CertificatesDeleting, CertificatesRenewed, Event
from guywire.models import Config, Device, Vpn, VpnClient
from guywire.services import status
from guywire.services.vpn_clients import outdate
from sqlalchemy.orm import Session

from guywire_pki.models import Cert, VpnClientCertificate
from guywire_pki.services.revocation import revoke_all

_NAMED = 5
_QUIET = {"synchronize_session": False}


def certificates_of(session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """The ids of clients' certificates, by the client's id."""
    query = sa.select(VpnClientCertificate.client_id, VpnClientCertificate.cert_id)
    rows = session.execute(query.where(VpnClientCertificate.client_id.in_(client_ids)))
    return {row.client_id: row.cert_id for row in rows}


def remember(session: Session, certificates: Mapping[UUID, int]) -> None:
    """Note which client has which certificate."""
    rows = [{"client_id": client_id, "cert_id": cert_id} for client_id, cert_id in certificates.items()]
    if rows:
        session.execute(sa.insert(VpnClientCertificate), rows)


def of_server(vpn_id: UUID) -> Any:
    """A condition on ``VpnClientCertificate``: the clients of a server."""
    return VpnClientCertificate.client_id.in_(sa.select(VpnClient.id).where(VpnClient.vpn_id == vpn_id))


def take_back(session: Session, condition: Any, now: datetime) -> None:
    """Revoke the certificates of the clients that meet a condition on ``VpnClientCertificate``."""
    revoke_all(session, Cert.id.in_(sa.select(VpnClientCertificate.cert_id).where(condition)), now)


def renew(session: Session, condition: Any, now: datetime) -> None:
    """Take certificates back, so that clients get others."""
    take_back(session, condition, now)
    outdate(session, _having(condition))
    session.execute(sa.delete(VpnClientCertificate).where(condition), execution_options=_QUIET)


def hear(session: Session, event: Event) -> None:
    """Certificates that clients have cannot be deleted, unless somebody insists, and do not change unnoticed.

    A client that loses its certificate gets another one. Raises Conflict.
    """
    match event:
        case CADeleting(ca_id, force):
            of_ca = sa.select(Cert.id).where(Cert.ca_id == ca_id)
            _lost(session, VpnClientCertificate.cert_id.in_(of_ca), force)
        case CertificatesDeleting(ids, force):
            _lost(session, VpnClientCertificate.cert_id.in_(ids), force)
        case CertificatesRenewed(ids):
            status.mark_stale(
                session, sa.select(VpnClient.config_id).where(_having(VpnClientCertificate.cert_id.in_(ids)))
            )


def _lost(session: Session, condition: Any, force: bool) -> None:
    using = sa.select(Vpn.name).where(Vpn.id.in_(sa.select(VpnClient.vpn_id).where(_having(condition))))
    names = session.scalars(using.order_by(Vpn.name).limit(_NAMED)).all()
    if names and not force:
        raise Conflict(
            f"Clients of VPN servers have it: {', '.join(names)}. ?force=true deletes it anyway, and they get others."
        )
    if names:
        outdate(session, _having(condition))


def _having(condition: Any) -> Any:
    return VpnClient.id.in_(sa.select(VpnClientCertificate.client_id).where(condition))


def devices_with(session: Session, cert_ids: Sequence[int]) -> list[UUID]:
    """The ids of the devices that have these certificates, in the order of the certificates."""
    query = (
        sa.select(VpnClientCertificate.cert_id, Device.id)
        .join(VpnClient, VpnClient.id == VpnClientCertificate.client_id)
        .join(Config, Config.id == VpnClient.config_id)
        .join(Device, Device.id == Config.device_id)
    )
    found = {row.cert_id: row.id for row in session.execute(query.where(VpnClientCertificate.cert_id.in_(cert_ids)))}
    return [found[cert_id] for cert_id in cert_ids if cert_id in found]
