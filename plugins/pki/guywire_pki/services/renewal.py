"""Gives CAs and certificates new keys, serial numbers and time.

Keys are made and certificates signed before anything is locked, and written if what was read for that is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from guywire.errors import MODEL, Invalid, Overtaken
from guywire.events import CARenewed, CertificatesRenewed
from guywire.plugin import notify
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert
from guywire_pki.services.authorities import issuer_of
from guywire_pki.services.revocation import record
from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import CA_VALIDITY, VALIDITY, Issuer, default_end, new_serial, renewed
from guywire_pki.x509.keys import PrivateKey

Use = tuple[type[Any], int]
"""What a key is for: a CA or a certificate, by its id."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a row becomes, if its certificate is the ``former`` one yet."""

    former: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Renewals:
    """The renewals of some certificates, ``own`` of their CA if it is renewed too, and who signed them: ``issuer``
    is the CA's certificate at that time, before its renewal.
    """

    issuer: str
    certificates: Mapping[int, Renewal]
    own: Renewal | None = None


def needed(rows: Iterable[CA | Cert]) -> list[tuple[Use, str]]:
    """The keys that a renewal of these rows needs: for what, and how long."""
    return [((type(row), row.id), row.key_length) for row in rows]


def certificates_to_renew(session: Session, ca_id: int) -> Sequence[Cert]:
    """The certificates that a renewal of their CA renews: what was revoked stays as it is."""
    return session.scalars(sa.select(Cert).where(_renewable(ca_id)).order_by(Cert.id)).all()


def require_self_signed(ca: CA) -> None:
    """Only a CA that signed itself can be renewed without another. Raises Invalid."""
    certificate = x509.load_pem_x509_certificate(ca.certificate.encode())
    if certificate.issuer != certificate.subject:
        raise Invalid({MODEL: ["Another CA issued this one, and only that can renew it."]})


def _renewable(ca_id: int) -> Any:
    return sa.and_(Cert.ca_id == ca_id, Cert.revoked.is_(False))


def signed(
    ca: CA, certificates: Iterable[Cert], new: Mapping[Use, PrivateKey], now: datetime, *, with_ca: bool
) -> Renewals:
    """Sign with new keys, ``with_ca`` the CA's own certificate first. Touches no database. Raises Invalid."""
    own = _renewal(ca, CA_VALIDITY, None, new[CA, ca.id], now) if with_ca else None
    signing = ca.certificate if own is None else own.values["certificate"]
    key = keys.load(ca.private_key, ca.passphrase, trusted=True) if own is None else new[CA, ca.id]
    issuer = Issuer(x509.load_pem_x509_certificate(signing.encode()), key)
    made = {each.id: _renewal(each, VALIDITY, issuer, new[Cert, each.id], now) for each in certificates}
    return Renewals(ca.certificate, made, own)


def _renewal(row: CA | Cert, validity: timedelta, issuer: Issuer | None, key: PrivateKey, now: datetime) -> Renewal:
    old = x509.load_pem_x509_certificate(row.certificate.encode())
    digest = "sha256" if row.digest == "sha1" else row.digest
    serial, end = new_serial(), default_end(now, validity)
    values = {
        "digest": digest,
        "serial_number": serial,
        "validity_end": end,
        "certificate": renewed(old, serial, end, digest, key, issuer),
        "private_key": keys.to_pem(key, row.passphrase),
        "expiry_notices": 0,
        "modified": now,
    }
    return Renewal(row.certificate, values)


def renew_certificate(session: Session, certificate: Cert, ca: CA, renewals: Renewals) -> None:
    """Renew one certificate, whose CA is locked. One that is revoked stays so, and its old serial number on the CRL.

    Raises Overtaken.
    """
    renewal = renewals.certificates[certificate.id]
    if (ca.certificate, certificate.certificate) != (renewals.issuer, renewal.former):
        raise Overtaken()
    _apply(certificate, renewal)
    if certificate.revoked:
        record(session, [certificate], renewal.values["modified"])
    session.flush()
    notify(session, CertificatesRenewed((certificate.id,)))


def renew_ca(session: Session, ca: CA, renewals: Renewals, now: datetime) -> None:
    """Renew a CA, which is locked, and the certificates that it issued. Raises Overtaken."""
    if renewals.own is None or ca.certificate != renewals.issuer:
        raise Overtaken()
    _apply(ca, renewals.own)
    query = sa.select(Cert.id, Cert.certificate).where(_renewable(ca.id)).order_by(Cert.id)
    present = dict(session.execute(query.with_for_update(key_share=True)).all())
    ready = {id: each for id, each in renewals.certificates.items() if present.get(id) == each.former}
    if ready:
        session.execute(sa.update(Cert), [{"id": id, **each.values} for id, each in ready.items()])
    # What was issued or renewed since gets a key now.
    for late in session.scalars(sa.select(Cert).where(Cert.id.in_(present.keys() - ready.keys()))).all():
        _apply(late, _renewal(late, VALIDITY, issuer_of(ca), keys.generate(late.key_length), now))
    session.flush()
    notify(session, CARenewed(ca.id))
    if present:
        notify(session, CertificatesRenewed(tuple(present)))


def _apply(row: CA | Cert, renewal: Renewal) -> None:
    for name, value in renewal.values.items():
        setattr(row, name, value)
