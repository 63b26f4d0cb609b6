"""Rows of CAs and certificates that are what they say, for tests that need some and do not look at them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from guywire_pki.models import CA, Cert
from guywire_pki.services.authorities import issuer_of
from guywire_pki.services.issuing import issued, make_ca, with_defaults
from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import CA_VALIDITY, VALIDITY
from sqlalchemy.orm import Session

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@cache
def some_key() -> keys.PrivateKey:
    return keys.generate("256")


def _values(owner: UUID | None, **fields: Any) -> dict[str, Any]:
    name = uuid4().hex
    return {"name": name, "common_name": name, "organization_id": owner, "key_length": "256"} | fields


def ca_row(session: Session, owner: UUID | None, **fields: Any) -> CA:
    return make_ca(session, with_defaults(_values(owner, **fields), CA_VALIDITY, NOW), some_key(), NOW)


def cert_row(session: Session, owner: UUID | None, ca: CA | None = None, **fields: Any) -> Cert:
    ca = ca or ca_row(session, owner)
    values = with_defaults(_values(owner, **fields), VALIDITY, NOW)
    row = issued(ca, values, some_key(), issuer_of(ca), NOW)
    session.add(row)
    session.flush()
    return row
