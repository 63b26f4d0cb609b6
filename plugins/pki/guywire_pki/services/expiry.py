"""Notices in time that certificates end."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from guywire.db import writing
from guywire.events import CertificatesExpiring
from guywire.interfaces import Job
from guywire.plugin import inform
from guywire.runtime import Runtime
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert
from guywire_pki.services.revocation import forget_expired

log = logging.getLogger(__name__)

NOTICE = (timedelta(days=30), timedelta(days=7), timedelta(0))
"""How long before its end a certificate is spoken of."""

_DAY = 24 * 3600.0
_MEMORY = timedelta(days=30)
_BATCH = 500


def check_expiry(runtime: Runtime) -> None:
    """Tell plugins and the log what expires, once for each time of notice."""
    now = runtime.clock()
    with writing(runtime.session_factory) as session:
        forget_expired(session, now - _MEMORY)
    while True:
        with writing(runtime.session_factory) as session:
            authorities = _announce(session, CA, sa.true(), now)
            certificates = _announce(session, Cert, Cert.revoked.is_(False), now)
            if not authorities and not certificates:
                return
            inform(session, CertificatesExpiring(certificates, authorities))


EXPIRY = Job("pki.expiry", check_expiry, every=_DAY)


def _announce(session: Session, model: Any, condition: Any, now: datetime) -> tuple[int, ...]:
    """Speak of the next rows that are due. A row remembers how many of the notices it had."""
    given = model.expiry_notices
    due = [sa.and_(given < number, model.validity_end <= now + notice) for number, notice in enumerate(NOTICE, start=1)]
    query = sa.select(model).where(condition, sa.or_(*due)).order_by(model.validity_end, model.id).limit(_BATCH)
    rows = session.scalars(query).all()
    for row in rows:
        row.expiry_notices = sum(row.validity_end <= now + notice for notice in NOTICE)
        verb = "expired" if row.validity_end <= now else "expires"
        log.warning("%s %d %r %s: end=%s", model.__name__, row.id, row.name, verb, row.validity_end.isoformat())
    session.flush()
    return tuple(row.id for row in rows)
