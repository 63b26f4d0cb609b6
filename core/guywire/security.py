"""Who asks, and what they may do: identity, permissions, tenancy."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.errors import NotAuthenticated, PermissionDenied
from guywire.models import (
    Group,
    GroupPermission,
    Membership,
    Organization,
    OrganizationOwner,
    Permission,
    User,
    UserGroup,
    UserPermission,
)
from guywire.registry import Registry
from guywire.settings import Settings

NOT_MANAGER = "User is not a manager of the organization to which the requested resource belongs."

ACTIONS = {"GET": "view", "HEAD": "view", "POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user, with everything that decisions about permissions need."""

    user_id: uuid.UUID
    username: str
    is_superuser: bool
    permissions: frozenset[str]
    managed_organizations: frozenset[uuid.UUID]
    """Active organizations that the user manages."""
    by_api_key: bool = False
    """Whether an API key proved it, and not the password (or the token that was had for it)."""
    password_expired: bool = False
    """Whether a password proved it that has to be changed first."""

    def has_permission(self, action: str, resource: str) -> bool:
        """Whether the user may ``action`` (add, change, delete, view) objects of the kind ``resource``."""
        return self.is_superuser or f"{action}_{resource}" in self.permissions

    def manages(self, organization_id: uuid.UUID | None) -> bool:
        """Whether objects of this organization (None: shared objects) are the user's to change."""
        return self.is_superuser or organization_id in self.managed_organizations


def may_log_in(today: Any) -> Any:
    """SQL: the users who are active and whose account has not expired on the date ``today``."""
    return sa.and_(User.is_active, sa.or_(User.expiration_date.is_(None), User.expiration_date >= today))


IDENTITY = (User.id, User.username, User.is_superuser, User.is_staff, User.password_updated)
"""What has to be selected of a user for ``identity_of`` and ``has_expired_password``."""


def has_expired_password(user: Any, settings: Settings, today: date) -> bool:
    """Whether the user has to set another password before anything else; one of unknown age never expires."""
    is_staff = user.is_staff or user.is_superuser
    days = settings.staff_password_expiration_days if is_staff else settings.password_expiration_days
    if days <= 0 or user.password_updated is None:
        return False
    return bool((today - user.password_updated).days > days)


# Made once: requests run them again and again, and building them would take longer than running them.
_MANAGED = (
    sa.select(Membership.organization_id)
    .join(Organization, Organization.id == Membership.organization_id)
    .where(Membership.user_id == sa.bindparam("user"), Membership.is_admin, Organization.is_active)
)
_PERMISSIONS = sa.union(
    sa.select(Permission.codename)
    .join(GroupPermission, GroupPermission.permission_id == Permission.id)
    .join(UserGroup, UserGroup.group_id == GroupPermission.group_id)
    .where(UserGroup.user_id == sa.bindparam("user")),
    sa.select(Permission.codename)
    .join(UserPermission, UserPermission.permission_id == Permission.id)
    .where(UserPermission.user_id == sa.bindparam("user")),
)


def identity_of(session: Session, user: Any) -> Identity:
    """The identity of a user, given as a row of ``IDENTITY``."""
    if user.is_superuser:
        return Identity(user.id, user.username, True, frozenset(), frozenset())
    managed = session.connection().scalars(_MANAGED, {"user": user.id})
    return Identity(user.id, user.username, False, permissions_of(session, user.id), frozenset(managed))


def permissions_of(session: Session, user_id: uuid.UUID) -> frozenset[str]:
    """The names of the permissions that a user has, by groups or directly."""
    return frozenset(session.connection().scalars(_PERMISSIONS, {"user": user_id}))


def require(identity: Identity | None, method: str, resource: str, *, manager: bool = True) -> Identity:
    """Who may use ``method`` on the resource at all, whatever the object. Returns the identity.

    Raises NotAuthenticated; PermissionDenied for one who manages no active organization (unless ``manager`` is
    False) or lacks the permission. Reading is allowed to whoever may change, too.
    """
    if identity is None:
        raise NotAuthenticated()
    if identity.is_superuser:
        return identity
    if manager and not identity.managed_organizations:
        raise PermissionDenied(NOT_MANAGER)
    action = ACTIONS[method]
    allowed = identity.has_permission(action, resource)
    if action == "view":
        allowed = allowed or identity.has_permission("change", resource)
    if not allowed:
        raise PermissionDenied()
    return identity


def require_for_object(identity: Identity, method: str, resource: str, organization_id: uuid.UUID | None) -> None:
    """Who may use ``method`` on an object that they see. Raises PermissionDenied.

    Shared objects (without organization) belong to the superusers; others may read them with the view permission.
    """
    if identity.is_superuser or organization_id is not None:
        return
    if ACTIONS[method] != "view" or not identity.has_permission("view", resource):
        raise PermissionDenied()


def visible_to(identity: Identity, organization_column: Any, *, shared: bool) -> Any:
    """SQL: the rows that the user sees; with ``shared``, those without organization too."""
    if identity.is_superuser:
        return sa.true()
    own = organization_column.in_(identity.managed_organizations)
    if shared and identity.managed_organizations:
        return sa.or_(own, organization_column.is_(None))
    return own


def visible_rows(identity: Identity, model: Any) -> Any:
    """SQL: the rows of ``model`` that a user may refer to. Those of models without organization are everybody's."""
    if model is Organization:
        return visible_to(identity, model.id, shared=False)
    column = getattr(model, "organization_id", None)
    return sa.true() if column is None else visible_to(identity, column, shared=bool(column.nullable))


STOCK_GROUPS = ("Operator", "Administrator")


def synchronize_permissions(session: Session, registry: Registry) -> list[str]:
    """Write down the permissions that the plugins know, and give the new ones to the stock groups.

    Only new ones: what somebody took away from a stock group stays away. Returns the new names.
    """
    groups = {group.name: group for group in session.scalars(sa.select(Group).where(Group.name.in_(STOCK_GROUPS)))}
    for name in sorted(STOCK_GROUPS):
        if name not in groups:
            groups[name] = Group(name=name)
            session.add(groups[name])
    known = set(session.scalars(sa.select(Permission.codename)))
    added = []
    for permissions in registry.permissions.values():
        for action in ("add", "change", "delete", "view"):
            codename = f"{action}_{permissions.resource}"
            if codename in known:
                continue
            permission = Permission(
                codename=codename, resource=permissions.resource, label=f"Can {action} {permissions.label}"
            )
            session.add(permission)
            for group, actions in (("Operator", permissions.operator), ("Administrator", permissions.administrator)):
                if action in actions:
                    groups[group].permissions.append(permission)
            added.append(codename)
    session.flush()
    return added


def add_member(session: Session, user: User, organization_id: uuid.UUID, *, is_admin: bool) -> Membership:
    """Make a user a member, or with ``is_admin`` a manager, of an organization. Its first manager owns it."""
    membership = session.scalars(
        sa.select(Membership).where(Membership.user_id == user.id, Membership.organization_id == organization_id)
    ).first()
    if membership is None:
        membership = Membership(user_id=user.id, organization_id=organization_id, is_admin=is_admin)
        session.add(membership)
    else:
        membership.is_admin = is_admin
    session.flush()
    if is_admin and session.get(OrganizationOwner, organization_id) is None:
        session.add(OrganizationOwner(organization_id=organization_id, organization_user_id=membership.id))
        session.flush()
    return membership
