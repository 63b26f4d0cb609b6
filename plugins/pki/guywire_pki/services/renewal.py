"""Gives CAs and certificates new keys, serial numbers and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from guywire.events import CARenewed, CertificatesRenewed
from guywire.plugin import notify
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert
from guywire_pki.services.authorities import issuer_of
from guywire_pki.services.revocation import record
from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import CA_VALIDITY, VALIDITY, Issuer, default_end, new_serial, renewed
from guywire_pki.x509.keys import PrivateKey

Keys = dict[tuple[type[Any], int], PrivateKey]
"""New keys, by what they are for."""


def needed(rows: Iterable[CA | Cert]) -> list[tuple[tuple[type[Any], int], str]]:
    """The keys that a renewal of these rows needs: for what, and how long."""
    return [((type(row), row.id), row.key_length) for row in rows]


def certificates_to_renew(session: Session, ca_id: int, *, lock: bool = False) -> Sequence[Cert]:
    """The certificates that a renewal of their CA renews: what was revoked stays as it is."""
    query = sa.select(Cert).where(Cert.ca_id == ca_id, Cert.revoked.is_(False)).order_by(Cert.id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).all()


def renew_certificate(session: Session, certificate: Cert, ca: CA, prepared: Keys, now: datetime) -> None:
    """Renew one certificate. One that is revoked stays revoked, and its old serial number on the CRL."""
    _renew(certificate, VALIDITY, issuer_of(ca), prepared, now)
    if certificate.revoked:
        record(session, [certificate], now)
    session.flush()
    notify(session, CertificatesRenewed((certificate.id,)))


def renew_ca(session: Session, ca: CA, prepared: Keys, now: datetime) -> None:
    """Renew a CA and the certificates that it issued, all with new keys."""
    _renew(ca, CA_VALIDITY, None, prepared, now)
    issuer = issuer_of(ca)
    certificates = certificates_to_renew(session, ca.id, lock=True)
    for certificate in certificates:
        _renew(certificate, VALIDITY, issuer, prepared, now)
    session.flush()
    notify(session, CARenewed(ca.id))
    if certificates:
        notify(session, CertificatesRenewed(tuple(each.id for each in certificates)))


def _renew(row: CA | Cert, validity: timedelta, issuer: Issuer | None, prepared: Keys, now: datetime) -> None:
    # What was issued since the keys were prepared gets one now.
    key = prepared.get((type(row), row.id)) or keys.generate(row.key_length)
    old = x509.load_pem_x509_certificate(row.certificate.encode())
    if row.digest == "sha1":
        row.digest = "sha256"
    row.serial_number = new_serial()
    row.validity_end = default_end(now, validity)
    row.certificate = renewed(old, row.serial_number, row.validity_end, row.digest, key, issuer)
    row.private_key = keys.to_pem(key, row.passphrase)
    row.expiry_notices = 0
    row.modified = now
