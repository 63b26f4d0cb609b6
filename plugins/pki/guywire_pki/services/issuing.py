"""Makes CAs and certificates, new ones and imported ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from guywire.errors import NON_FIELD, Invalid
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert
from guywire_pki.services.revocation import adopt
from guywire_pki.services.rules import require_free_common_name, require_free_serial, require_same_organization
from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import (
    DEFAULT_DIGEST,
    GENERATION_FAILED,
    Issuer,
    check,
    default_end,
    default_start,
    new_serial,
    self_signed,
    signed,
)
from guywire_pki.x509.imported import check_issued_by, load_certificate
from guywire_pki.x509.keys import DEFAULT_LENGTH, PrivateKey
from guywire_pki.x509.names import SUBJECT_FIELDS

Values = dict[str, Any]
"""Columns of a row that is to be made."""


def with_defaults(given: Mapping[str, Any], validity: timedelta, now: datetime) -> Values:
    """What a new certificate says, where nobody said anything else: valid from now on, not since the server started."""
    values: Values = dict.fromkeys(SUBJECT_FIELDS, "") | {
        "key_length": DEFAULT_LENGTH,
        "digest": DEFAULT_DIGEST,
        "extensions": [],
        "passphrase": "",
    }
    values |= given
    values["serial_number"] = _serial_of(values.get("serial_number"))
    # A certificate knows no parts of seconds.
    start, end = values.get("validity_start"), values.get("validity_end")
    values["validity_start"] = start.replace(microsecond=0) if start else default_start(now)
    values["validity_end"] = end.replace(microsecond=0) if end else default_end(now, validity)
    return values


def _serial_of(given: str | None) -> str:
    if not given:
        return new_serial()
    try:
        return str(int(given))
    except ValueError:
        raise Invalid({NON_FIELD: [GENERATION_FAILED, "serial_number: a whole number is wanted"]}) from None


def check_new_ca(session: Session, values: Values) -> None:
    """Refuse a CA that could not be made. Raises Invalid."""
    require_free_common_name(session, CA, values["common_name"], values.get("organization_id"), None)
    if "certificate" not in values:
        check(CA(**values))


def make_ca(session: Session, values: Values, key: PrivateKey | None, now: datetime) -> CA:
    """A CA with a new key, or an imported one, which was checked. Raises Invalid."""
    ca = CA(**values, created=now, modified=now)
    if key is not None:
        ca.certificate = self_signed(ca, key)
        ca.private_key = keys.to_pem(key, ca.passphrase)
    session.add(ca)
    session.flush()
    return ca


def check_new_certificate(session: Session, ca: CA, values: Values, *, has_random_serial: bool = False) -> None:
    """Refuse a certificate that a CA could not issue, or did not. Raises Invalid."""
    is_import = "certificate" in values
    require_same_organization(ca, values.get("organization_id"))
    if is_import:
        check_issued_by(load_certificate(values["certificate"]), load_certificate(ca.certificate))
    else:
        check(Cert(**values))
    require_free_common_name(session, Cert, values["common_name"], values.get("organization_id"), None)
    if is_import or not has_random_serial:
        require_free_serial(session, ca.id, values["serial_number"], imported=is_import)


def issued(ca: CA, values: Values, key: PrivateKey, issuer: Issuer, now: datetime) -> Cert:
    """A certificate that a CA, locked by ``authorities.lock_to_issue``, has just issued. Raises Invalid."""
    certificate = Cert(**values, ca_id=ca.id, created=now, modified=now)
    certificate.certificate = signed(certificate, key, issuer)
    certificate.private_key = keys.to_pem(key, certificate.passphrase)
    return certificate


def imported(session: Session, ca: CA, values: Values, now: datetime) -> Cert:
    """A certificate that a CA issued elsewhere, which was checked."""
    certificate = Cert(**values, ca_id=ca.id, created=now, modified=now)
    adopt(session, certificate)
    return certificate
