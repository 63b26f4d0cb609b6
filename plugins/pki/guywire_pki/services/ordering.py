"""Issues the certificates that others order: for VPN servers, for their clients, for whoever asks the provider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.errors import NON_FIELD, Invalid
from guywire.interfaces import CertificateOrder
from guywire.services.preparation import prepared
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert
from guywire_pki.services.authorities import issuer_of, lock_to_issue
from guywire_pki.services.issuing import Values, issued, with_defaults
from guywire_pki.services.rules import NOT_UNIQUE, require_same_organization
from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import VALIDITY
from guywire_pki.x509.keys import PrivateKey
from guywire_pki.x509.names import SUBJECT_FIELDS, with_suffix

_CHUNK = 1000
_COPIED = ("key_length", *(field for field in SUBJECT_FIELDS if field != "common_name"))

# OpenVPN asks for one or the other, by ns-cert-type and by remote-cert-tls.
_SERVER = [
    {"name": "nsCertType", "value": "server", "critical": False},
    {"name": "extendedKeyUsage", "value": "serverAuth", "critical": False},
]
_CLIENT = [
    {"name": "nsCertType", "value": "client", "critical": False},
    {"name": "extendedKeyUsage", "value": "clientAuth", "critical": False},
]


def make_keys(session: Session, ca_id: int, count: int) -> list[PrivateKey]:
    """Keys as certificates of a CA have them; none for a CA that does not exist."""
    length = session.scalar(sa.select(CA.key_length).where(CA.id == ca_id))
    return [] if length is None else keys.generate_many([length] * count)


def issue(
    session: Session, ca_id: int, orders: Sequence[CertificateOrder], now: datetime, ready: Sequence[PrivateKey]
) -> list[int]:
    """Issue certificates for keys that are ``ready``; what lacks is made. Raises Invalid."""
    ca = lock_to_issue(session, ca_id)
    issuer = issuer_of(ca)
    missing = len(orders) - len(ready)
    made = [*ready, *make_keys(session, ca_id, missing)] if missing > 0 else ready
    _check(session, ca, orders)
    rows = [issued(ca, _values(ca, order, now), key, issuer, now) for order, key in zip(orders, made, strict=False)]
    session.add_all(rows)
    session.flush()
    return [row.id for row in rows]


def issue_for_server(session: Session, ca_id: int, order: CertificateOrder, now: datetime) -> int:
    """Issue a certificate whose common name gets a suffix where it is taken. Raises Invalid, MustPrepare."""
    key = _key_made_ahead(session, ca_id)
    try:
        [cert_id] = issue(session, ca_id, [order], now, key)
    except Invalid:
        # That of the certificate which this one replaces, for instance.
        other = replace(order, common_name=with_suffix(order.common_name))
        [cert_id] = issue(session, ca_id, [other], now, key)
    return cert_id


def _key_made_ahead(session: Session, ca_id: int) -> Sequence[PrivateKey]:
    """A key for a certificate of a CA. One that takes long is made without locks, and the request is repeated."""
    length = session.scalars(sa.select(CA.key_length).where(CA.id == ca_id)).one()
    if keys.is_fast(length):
        return [keys.generate(length)]
    kind = "pki", length
    return prepared(session, {kind: 1}, lambda _: {kind: keys.generate_many([length])})[kind]


def _check(session: Session, ca: CA, orders: Sequence[CertificateOrder]) -> None:
    names = sa.select(Cert.common_name, Cert.organization_id)
    found = by_values(session, names, Cert.common_name, {order.common_name for order in orders})
    taken = {(name, owner) for name, owner in found}
    for order in orders:
        require_same_organization(ca, order.organization_id)
        if (order.common_name, order.organization_id) in taken:
            raise Invalid({NON_FIELD: [f"The common name {order.common_name} is taken: {NOT_UNIQUE}"]})
        taken.add((order.common_name, order.organization_id))


def _values(ca: CA, order: CertificateOrder, now: datetime) -> Values:
    copied = {name: getattr(ca, name) for name in _COPIED}
    given = copied | {
        "name": order.name[:64],
        "common_name": order.common_name,
        "organization_id": order.organization_id,
        "digest": "sha256" if ca.digest == "sha1" else ca.digest,
        "extensions": _SERVER if order.server else _CLIENT,
    }
    return with_defaults(given, VALIDITY, now)


def by_values(session: Session, query: Any, column: Any, values: Iterable[Any]) -> list[Any]:
    """The rows of ``query`` whose ``column`` is one of many values, asked for in pieces that any database takes."""
    return [row for chunk in chunks(values) for row in session.execute(query.where(column.in_(chunk)))]


def chunks(values: Iterable[Any]) -> list[list[Any]]:
    """The values in pieces, each once and in order."""
    wanted = sorted(set(values))
    return [wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK)]
