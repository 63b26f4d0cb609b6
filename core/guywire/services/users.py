"""Which users one may see, which one may act upon, and what one may give to others."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import Group, GroupPermission, Membership, Permission, Token, User
from guywire.security import Identity, permissions_of
from guywire.services import sessions


def visible_users(identity: Identity) -> Any:
    """SQL: the users that somebody sees: those of the organizations they manage, without the superusers."""
    if identity.is_superuser:
        return sa.true()
    members = sa.select(Membership.user_id).where(Membership.organization_id.in_(identity.managed_organizations))
    return sa.and_(User.id.in_(members), sa.not_(User.is_superuser))


def has_power_over(session: Session, identity: Identity, user: User) -> bool:
    """Whether somebody may change a user, which includes taking over the account by a new address or password.

    That must give nobody more than they have: superusers, users of organizations that one does not manage, and those
    who may do more than oneself are out of reach.
    """
    if identity.is_superuser or user.id == identity.user_id:
        return True
    if user.is_superuser:
        return False
    elsewhere = sa.select(Membership.id).where(
        Membership.user_id == user.id, Membership.organization_id.not_in(identity.managed_organizations)
    )
    if session.scalar(elsewhere.limit(1)) is not None:
        return False
    return _has_all(identity, permissions_of(session, user.id))


def may_give_groups(session: Session, identity: Identity, group_ids: Iterable[int]) -> bool:
    """Whether somebody has all the permissions that these groups give."""
    given = (
        sa.select(Permission.codename)
        .join(GroupPermission, GroupPermission.permission_id == Permission.id)
        .where(GroupPermission.group_id.in_(list(group_ids)))
    )
    return _has_all(identity, session.scalars(given))


def may_give_permissions(session: Session, identity: Identity, permission_ids: Iterable[int]) -> bool:
    """Whether somebody has these permissions."""
    given = sa.select(Permission.codename).where(Permission.id.in_(list(permission_ids)))
    return _has_all(identity, session.scalars(given))


def _has_all(identity: Identity, permissions: Iterable[str]) -> bool:
    """Whether somebody has these permissions. As everywhere, who may change things may look at them.

    (Operators may view certificates, for instance, which administrators may change.)
    """
    seen = {each.replace("change_", "view_", 1) for each in identity.permissions if each.startswith("change_")}
    return identity.is_superuser or identity.permissions | seen >= set(permissions)


def groups_of(session: Session, ids: Iterable[int]) -> list[Group]:
    """The groups with these ids, in the order of their ids."""
    return list(session.scalars(sa.select(Group).where(Group.id.in_(list(ids))).order_by(Group.id)))


def permissions_with(session: Session, ids: Iterable[int]) -> list[Permission]:
    """The permissions with these ids, in the order of their ids."""
    return list(session.scalars(sa.select(Permission).where(Permission.id.in_(list(ids))).order_by(Permission.id)))


def end_logins(session: Session, user_id: uuid.UUID) -> None:
    """End what a password opened: the sessions of browsers and the token. API keys stay until they are revoked."""
    sessions.end_all_of(session, user_id)
    session.execute(sa.delete(Token).where(Token.user_id == user_id))
