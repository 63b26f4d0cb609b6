"""What bodies show of users."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.api.shown import Loaded, Shown, object_schema
from guywire.models import Membership, Permission, User, UserGroup, UserPermission

PERMISSION_TEXT = {"type": "string", "description": "A permission's id and what it is: 77: device | Can add device"}


def text_of(permission: Permission) -> str:
    """A permission as bodies show it."""
    return f"{permission.id}: {permission.resource} | {permission.label}"


def _grouped(rows: Any) -> dict[uuid.UUID, list[Any]]:
    found: dict[uuid.UUID, list[Any]] = {}
    for owner, value in rows:
        found.setdefault(owner, []).append(value)
    return found


def _groups(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[int]]:
    query = sa.select(UserGroup.user_id, UserGroup.group_id).where(UserGroup.user_id.in_(ids))
    return _grouped(session.execute(query.order_by(UserGroup.group_id)))


def _organization_users(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    query = sa.select(Membership.user_id, Membership.is_admin, Membership.organization_id).where(
        Membership.user_id.in_(ids)
    )
    rows = session.execute(query.order_by(Membership.organization_id))
    return _grouped(
        (user_id, {"is_admin": admin, "organization": organization}) for user_id, admin, organization in rows
    )


def _permissions(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    query = (
        sa.select(UserPermission.user_id, Permission)
        .join(Permission, Permission.id == UserPermission.permission_id)
        .where(UserPermission.user_id.in_(ids))
        .order_by(Permission.id)
    )
    return _grouped((user_id, text_of(permission)) for user_id, permission in session.execute(query))


_MEMBERSHIP = object_schema(is_admin={"type": "boolean"}, organization={"type": "string", "format": "uuid"})

USER: Shown = {
    "id": User.id,
    "username": User.username,
    "email": User.email,
    "first_name": User.first_name,
    "last_name": User.last_name,
    "phone_number": User.phone_number,
    "birth_date": User.birth_date,
    "is_active": User.is_active,
    "is_staff": User.is_staff,
    "is_superuser": User.is_superuser,
    "expiration_date": User.expiration_date,
    "groups": Loaded(_groups, {"type": "array", "items": {"type": "integer"}}, ()),
    "organization_users": Loaded(_organization_users, {"type": "array", "items": _MEMBERSHIP}, ()),
}

USER_DETAIL: Shown = {
    **USER,
    "bio": User.bio,
    "url": User.url,
    "company": User.company,
    "location": User.location,
    "notes": User.notes,
    "last_login": User.last_login,
    "date_joined": User.date_joined,
    "user_permissions": Loaded(_permissions, {"type": "array", "items": PERMISSION_TEXT}, ()),
}

ONLY_FOR_SUPERUSERS = ("is_superuser", "user_permissions")
"""Keys that others neither see nor set."""
