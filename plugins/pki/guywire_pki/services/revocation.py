"""Takes certificates back and says so in CRLs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.events import CertificatesRevoked
from guywire.plugin import notify
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert, Revocation
from guywire_pki.services.authorities import issuer_of
from guywire_pki.x509.crl import revocation_list

FRESH = timedelta(minutes=1)
"""How long a CRL is given out again while it says the same."""

_MAX_RECENT = 256
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class CRL:
    """A signed revocation list, as PEM."""

    pem: bytes
    signed_at: datetime


_recent: dict[Any, CRL] = {}
"""By what they say: the CA's certificate, and which revocations there are."""


def revoke(session: Session, certificates: Sequence[Cert], now: datetime) -> None:
    """Revoke certificates. Those that are revoked already stay so since when they were."""
    fresh = [each for each in certificates if not each.revoked]
    for each in fresh:
        each.revoked, each.revoked_at, each.modified = True, now, now
    record(session, fresh, now)
    if fresh:
        notify(session, CertificatesRevoked(tuple(each.id for each in fresh)))


def revoke_all(session: Session, condition: Any, now: datetime) -> None:
    """``revoke`` for all certificates that meet a condition on ``Cert``, a thousand at a time."""
    ids = session.scalars(sa.select(Cert.id).where(condition, Cert.revoked.is_(False)).order_by(Cert.id)).all()
    for start in range(0, len(ids), _CHUNK):
        rows = sa.select(Cert).where(Cert.id.in_(ids[start : start + _CHUNK])).order_by(Cert.id)
        revoke(session, session.scalars(rows.with_for_update(key_share=True)).all(), now)


def revoke_those_of(session: Session, organization_id: UUID, now: datetime) -> None:
    """Revoke what the CAs of others issued for an organization: its rows go, and the keys are still out there."""
    shared = sa.select(CA.id).where(CA.organization_id.is_distinct_from(organization_id))
    revoke_all(session, sa.and_(Cert.organization_id == organization_id, Cert.ca_id.in_(shared)), now)


def record(session: Session, certificates: Sequence[Cert], now: datetime) -> None:
    """Put the present serial numbers of certificates on their CRLs."""
    session.add_all(
        Revocation(ca_id=each.ca_id, serial_number=each.serial_number, revoked_at=now, expires=each.validity_end)
        for each in certificates
    )
    session.flush()


def adopt(session: Session, certificate: Cert) -> None:
    """An imported certificate that is on the CRL is a revoked one."""
    since = session.scalar(
        sa.select(Revocation.revoked_at).where(
            Revocation.ca_id == certificate.ca_id, Revocation.serial_number == certificate.serial_number
        )
    )
    certificate.revoked, certificate.revoked_at = since is not None, since


def crl_of(session: Session, ca: CA, now: datetime) -> CRL:
    """The CRL of a CA as of now: every serial number that was revoked and would not have expired.

    Anybody may ask for it, and signing takes long: one that says the same and was signed a moment ago serves again.
    """
    listed = sa.and_(Revocation.ca_id == ca.id, Revocation.expires > now)
    newest, count = session.execute(sa.select(sa.func.max(Revocation.id), sa.func.count()).where(listed)).one()
    key = (ca.certificate, ca.id, newest, count)
    recent = _recent.get(key)
    if recent is None or not timedelta(0) <= now - recent.signed_at < FRESH:
        rows = session.execute(
            sa.select(Revocation.serial_number, Revocation.revoked_at).where(listed).order_by(Revocation.id)
        )
        recent = CRL(revocation_list(issuer_of(ca), ((int(serial), since) for serial, since in rows), now), now)
        if len(_recent) >= _MAX_RECENT:
            _recent.clear()
        _recent[key] = recent
    return recent


def forget_expired(session: Session, before: datetime) -> None:
    """Remove what has been in no CRL for long."""
    session.execute(sa.delete(Revocation).where(Revocation.expires < before))
