"""What must hold for CAs and certificates as a whole: common names, serial numbers, organizations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import MODEL, NON_FIELD, Invalid
from sqlalchemy.orm import Session

from guywire_pki.models import CA, Cert, Revocation

NOT_UNIQUE = "The fields common_name, organization must make a unique set."
OTHER_ORGANIZATION = (
    "Please ensure that the organization of this certificate and the organization of the related CA match."
)
SERIAL_TAKEN = "Certificate with this CA and Serial number already exists."
IN_USE_ELSEWHERE = "The CA has certificates of another organization."


def require_free_common_name(
    session: Session, model: Any, common_name: str, organization_id: UUID | None, own_id: int | None
) -> None:
    """A common name is unique in its organization, and among what is shared. Raises Invalid."""
    taken = session.scalar(
        sa.select(model.id).where(
            model.common_name == common_name,
            model.organization_id.is_not_distinct_from(organization_id),
            model.id.is_distinct_from(own_id),
        )
    )
    if taken is None:
        return
    if organization_id is not None:
        raise Invalid({NON_FIELD: [NOT_UNIQUE]})
    raise Invalid({MODEL: [f"{model.__name__} with this Common name and Organization already exists."]})


def require_free_serial(session: Session, ca_id: int, serial: str, *, imported: bool) -> None:
    """A CA uses a serial number once. What was revoked may come back only as the same certificate. Raises Invalid."""
    taken: sa.ColumnElement[bool] = sa.exists().where(Cert.ca_id == ca_id, Cert.serial_number == serial)
    if not imported:
        taken = taken | sa.exists().where(Revocation.ca_id == ca_id, Revocation.serial_number == serial)
    if session.scalar(sa.select(taken)):
        raise Invalid({MODEL: [SERIAL_TAKEN]})


def require_same_organization(ca: CA, organization_id: UUID | None) -> None:
    """An organization's CA signs for that organization; a shared one for all. Raises Invalid."""
    if ca.organization_id is not None and ca.organization_id != organization_id:
        raise Invalid({"organization": [OTHER_ORGANIZATION]})


def refuse_strangers(session: Session, ca: CA) -> None:
    """A CA may not leave certificates behind that it must not have issued. Raises Invalid."""
    if ca.organization_id is None:
        return
    stranger = session.scalar(
        sa.select(Cert.id)
        .where(Cert.ca_id == ca.id, Cert.organization_id.is_distinct_from(ca.organization_id))
        .limit(1)
    )
    if stranger is not None:
        raise Invalid({"organization": [IN_USE_ELSEWHERE]})
