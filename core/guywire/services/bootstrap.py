"""Loads organizations and users from a document, again and again with the same result."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import Group, Organization, Token, User
from guywire.passwords import verify_password
from guywire.sealing import KeyRing
from guywire.security import add_member
from guywire.services import emails
from guywire.services.accounts import (
    TOKEN_PURPOSE,
    create_organization,
    create_user,
    is_secret_taken,
    set_password,
    set_shared_secret,
    token_of,
)
from guywire.services.bootstrap_document import ORGANIZATION, USER, BootstrapInvalid, entries, read_document
from guywire.services.status import dependents_of_organization, mark_stale

__all__ = ["BootstrapInvalid", "load_document", "read_document"]


def load_document(session: Session, key_ring: KeyRing, document: Mapping[str, Any], now: datetime) -> list[str]:
    """Make organizations (by slug) and users (by username) be as the document says; what it leaves out stays.

    Returns a line for each thing that was made or changed. Raises BootstrapInvalid.
    """
    unknown = set(document) - {"organizations", "users"}
    if unknown:
        raise BootstrapInvalid(f"unknown keys: {', '.join(sorted(unknown))}")
    lines = []
    for slug, fields in entries(document, "organizations", ORGANIZATION):
        lines += _load_organization(session, key_ring, slug, fields, now)
    for username, fields in entries(document, "users", USER):
        lines += _load_user(session, key_ring, username, fields, now)
    return lines


def _identifier(fields: Mapping[str, Any]) -> uuid.UUID | None:
    return uuid.UUID(str(fields["id"])) if "id" in fields else None


def _load_organization(
    session: Session, key_ring: KeyRing, slug: str, fields: dict[str, Any], now: datetime
) -> list[str]:
    where = f"organizations.{slug}"
    organization_id = _identifier(fields)
    slug = fields.get("slug", slug)
    organization = session.scalars(sa.select(Organization).where(Organization.slug == slug)).first()
    secret = fields.get("shared_secret")
    own_id = organization.id if organization is not None else None
    if secret is not None and is_secret_taken(session, key_ring, secret, now, own_id):
        raise BootstrapInvalid(f"{where}.shared_secret: another organization has it")
    if organization is None and organization_id is not None and session.get(Organization, organization_id) is not None:
        raise BootstrapInvalid(f"{where}.id: another organization has it")
    if organization is None:
        create_organization(
            session,
            key_ring,
            now,
            name=fields.get("name", slug),
            slug=slug,
            id=organization_id,
            shared_secret=secret,
            registration_enabled=fields.get("registration_enabled", True),
            context=fields.get("context"),
            is_active=fields.get("is_active", True),
        )
        return [f"organization {slug}: created"]
    if organization_id is not None and organization_id != organization.id:
        raise BootstrapInvalid(f"{where}.id: the organization exists with the id {organization.id}")
    settings = organization.config_settings
    for target, names in ((organization, ("name", "is_active")), (settings, ("registration_enabled", "context"))):
        for name in names:
            if name in fields:
                setattr(target, name, fields[name])
    context_changed = sa.inspect(settings).attrs.context.history.has_changes()
    if secret is not None and settings.shared_secret != secret:
        set_shared_secret(settings, key_ring, secret)
    if not any(session.is_modified(changed) for changed in session.dirty):
        return []
    organization.modified = now
    session.flush()
    if context_changed:
        mark_stale(session, dependents_of_organization(organization.id))
    return [f"organization {slug}: changed"]


def _load_user(session: Session, key_ring: KeyRing, username: str, fields: dict[str, Any], now: datetime) -> list[str]:
    where = f"users.{username}"
    user_id = _identifier(fields)
    username = fields.get("username", username)
    user = session.scalars(sa.select(User).where(User.username == username)).first()
    created = user is None
    password = fields.get("password")
    if user is None:
        if user_id is not None and session.get(User, user_id) is not None:
            raise BootstrapInvalid(f"{where}.id: another user has it")
        user = create_user(session, now, id=user_id or uuid.uuid4(), username=username, password=password)
    elif user_id is not None and user_id != user.id:
        raise BootstrapInvalid(f"{where}.id: the user exists with the id {user.id}")
    elif password is not None and not verify_password(password, user.password):
        set_password(user, password, now)
    changed = _set_email(session, where, user, fields["email"] or None) if "email" in fields else False
    if "is_superuser" in fields and user.is_superuser != fields["is_superuser"]:
        user.is_superuser = fields["is_superuser"]
    groups = [_group(session, where, name) for name in fields.get("groups", ())]
    for group in groups:
        if group not in user.groups:
            user.groups.append(group)
    changed |= bool(session.dirty)
    session.flush()
    for slug in fields.get("manager_of", ()):
        changed |= _make_manager(session, where, user, slug)
    if (token := fields.get("token")) is not None:
        _require_free_token(session, key_ring, where, user, token)
        token_of(session, key_ring, user, now, key=token)
    return [f"user {username}: created"] if created else [f"user {username}: changed"] if changed else []


def _set_email(session: Session, where: str, user: User, email: str | None) -> bool:
    if email == user.email:
        return False
    if email is not None and emails.is_taken(session, email, user.id):
        raise BootstrapInvalid(f"{where}.email: another user has it")
    emails.set_email(session, user, email)
    return True


def _require_free_token(session: Session, key_ring: KeyRing, where: str, user: User, token: str) -> None:
    key_hash = key_ring.lookup_hash(token, TOKEN_PURPOSE)
    if session.scalar(sa.select(Token.user_id).where(Token.key_hash == key_hash, Token.user_id != user.id)) is not None:
        raise BootstrapInvalid(f"{where}.token: another user has it")


def _group(session: Session, where: str, name: str) -> Group:
    group = session.scalars(sa.select(Group).where(Group.name == name)).first()
    if group is None:
        raise BootstrapInvalid(f"{where}.groups: there is no group {name!r}")
    return group


def _make_manager(session: Session, where: str, user: User, slug: str) -> bool:
    organization_id = session.scalar(sa.select(Organization.id).where(Organization.slug == slug))
    if organization_id is None:
        raise BootstrapInvalid(f"{where}.manager_of: there is no organization {slug!r}")
    before = {(each.organization_id, each.is_admin) for each in user.memberships}
    add_member(session, user, organization_id, is_admin=True)
    return (organization_id, True) not in before
