"""CAs that sign: found, locked, and made ready."""

from __future__ import annotations

import sqlalchemy as sa
from cryptography import x509
from sqlalchemy.orm import Session

from guywire_pki.models import CA
from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import Issuer


def lock_to_issue(session: Session, ca_id: int) -> CA:
    """A CA that nobody renews before the transaction ends. Others may issue with it at the same time."""
    session.execute(sa.select(CA.id).where(CA.id == ca_id).with_for_update(read=True))
    return session.scalars(sa.select(CA).where(CA.id == ca_id).execution_options(populate_existing=True)).one()


def issuer_of(ca: CA) -> Issuer:
    """A CA as what signs."""
    key = keys.load(ca.private_key, ca.passphrase, trusted=True)
    return Issuer(x509.load_pem_x509_certificate(ca.certificate.encode()), key)
