"""Takes certificates back and says so in CRLs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from guywire.events import CertificatesRevoked
from guywire.plugin import notify
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert, Revocation
from guywire_pki.services.authorities import issuer_of
from guywire_pki.x509.crl import revocation_list


def revoke(session: Session, certificates: Sequence[Cert], now: datetime) -> None:
    """Revoke certificates. Those that are revoked already stay so since when they were."""
    fresh = [each for each in certificates if not each.revoked]
    for each in fresh:
        each.revoked, each.revoked_at, each.modified = True, now, now
    record(session, fresh, now)
    if fresh:
        notify(session, CertificatesRevoked(tuple(each.id for each in fresh)))


def record(session: Session, certificates: Sequence[Cert], now: datetime) -> None:
    """Put the present serial numbers of certificates on their CRLs."""
    session.add_all(
        Revocation(ca_id=each.ca_id, serial_number=each.serial_number, revoked_at=now, expires=each.validity_end)
        for each in certificates
    )
    session.flush()


def adopt(session: Session, certificate: Cert) -> None:
    """An imported certificate that is on the CRL is a revoked one."""
    revocation = session.get(Revocation, (certificate.ca_id, certificate.serial_number))
    if revocation is not None:
        certificate.revoked, certificate.revoked_at = True, revocation.revoked_at


def crl_of(session: Session, ca: CA, now: datetime) -> bytes:
    """The CRL of a CA as of now: every serial number that was revoked and would not have expired."""
    revoked = session.execute(
        sa.select(Revocation.serial_number, Revocation.revoked_at)
        .where(Revocation.ca_id == ca.id, Revocation.expires > now)
        .order_by(Revocation.revoked_at, Revocation.serial_number)
    )
    return revocation_list(issuer_of(ca), ((int(serial), since) for serial, since in revoked), now)


def forget_expired(session: Session, before: datetime) -> None:
    """Remove what has been in no CRL for long."""
    session.execute(sa.delete(Revocation).where(Revocation.expires < before))
