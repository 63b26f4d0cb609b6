"""Users' places in organizations."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import Membership, OrganizationOwner, User
from guywire.security import add_member

OWNER_STAYS = "The owner of an organization stays its manager; let somebody else own it first."


class MembershipRefused(Exception):
    """A change of memberships that cannot be; the text says why."""


def add_memberships(session: Session, user: User, wanted: Mapping[uuid.UUID, bool]) -> None:
    """Make a user a member (True: a manager) of the organizations. Raises MembershipRefused."""
    current = _current(session, user)
    for organization_id, is_admin in wanted.items():
        membership = current.get(organization_id)
        if membership is not None and membership.is_admin and not is_admin:
            _require_no_owner(session, membership)
        add_member(session, user, organization_id, is_admin=is_admin)
    session.expire(user, ["memberships"])


def replace_memberships(
    session: Session, user: User, wanted: Mapping[uuid.UUID, bool], within: Collection[uuid.UUID] | None
) -> None:
    """Make a user a member of exactly these organizations, as far as they are among those of ``within`` (None: all).

    Raises MembershipRefused.
    """
    for organization_id, membership in _current(session, user).items():
        if organization_id not in wanted and (within is None or organization_id in within):
            _require_no_owner(session, membership)
            session.delete(membership)
    session.flush()
    add_memberships(session, user, wanted)


def _current(session: Session, user: User) -> dict[uuid.UUID, Membership]:
    memberships = session.scalars(sa.select(Membership).where(Membership.user_id == user.id))
    return {each.organization_id: each for each in memberships}


def _require_no_owner(session: Session, membership: Membership) -> None:
    owned = sa.select(OrganizationOwner.organization_id).where(OrganizationOwner.organization_user_id == membership.id)
    if session.scalar(owned) is not None:
        raise MembershipRefused(OWNER_STAYS)
