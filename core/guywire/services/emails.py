"""Users' e-mail addresses. The primary one is also the user's ``email``, by which they log in."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import EmailAddress, User


def is_taken(session: Session, email: str, by_others_than: uuid.UUID | None) -> bool:
    """Whether another user has this address, in any case."""
    lowered = email.lower()
    others = (
        sa.select(User.id).where(sa.func.lower(User.email) == lowered, User.id.is_distinct_from(by_others_than)),
        sa.select(EmailAddress.user_id).where(
            sa.func.lower(EmailAddress.email) == lowered, EmailAddress.user_id.is_distinct_from(by_others_than)
        ),
    )
    return any(session.scalar(query.limit(1)) is not None for query in others)


def set_email(session: Session, user: User, email: str | None, *, verified: bool = False) -> None:
    """Give a user another primary address (None: none). One that the user has already becomes the primary one."""
    addresses = addresses_of(session, user.id)
    primary = next((each for each in addresses if each.primary), None)
    known = next((each for each in addresses if email and each.email.lower() == email.lower()), None)
    if email is None:
        if primary is not None:
            session.delete(primary)
    elif known is not None:
        known.email = email
        make_primary(session, user, known)
    elif primary is not None:
        primary.email, primary.verified = email, verified
    else:
        session.add(EmailAddress(user_id=user.id, email=email, verified=verified, primary=True))
    user.email = email
    session.flush()


def make_primary(session: Session, user: User, address: EmailAddress) -> None:
    """Make one of a user's addresses the primary one."""
    for each in addresses_of(session, user.id):
        each.primary = each is address
    user.email = address.email
    session.flush()


def addresses_of(session: Session, user_id: uuid.UUID) -> list[EmailAddress]:
    """A user's addresses."""
    return list(
        session.scalars(sa.select(EmailAddress).where(EmailAddress.user_id == user_id).order_by(EmailAddress.id))
    )
