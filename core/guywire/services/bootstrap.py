"""Loads organizations and users from a document, again and again with the same result."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from sqlalchemy.orm import Session

from guywire.models import Group, Organization, User
from guywire.passwords import verify_password
from guywire.sealing import KeyRing
from guywire.security import add_member
from guywire.services.accounts import (
    create_organization,
    create_user,
    set_password,
    set_shared_secret,
    token_of,
)
from guywire.services.status import dependents_of_organization, mark_stale

_ORGANIZATION_KEYS = {"id", "name", "slug", "is_active", "registration_enabled", "shared_secret", "context"}
_USER_KEYS = {"id", "username", "email", "password", "is_superuser", "token", "groups", "manager_of"}


class BootstrapInvalid(Exception):
    """A document that cannot be loaded; the text says where and why. Nothing was kept."""


def read_document(path: Path) -> dict[str, Any]:
    """The document in a YAML or JSON file. Raises BootstrapInvalid."""
    try:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BootstrapInvalid(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise BootstrapInvalid(f"{path}: not a mapping with the keys organizations and users")
    return document


def load_document(session: Session, key_ring: KeyRing, document: Mapping[str, Any], now: datetime) -> list[str]:
    """Make organizations (by slug) and users (by username) be as the document says; what it leaves out stays.

    Returns a line for each thing that was made or changed. Raises BootstrapInvalid.
    """
    unknown = set(document) - {"organizations", "users"}
    if unknown:
        raise BootstrapInvalid(f"unknown keys: {', '.join(sorted(unknown))}")
    lines = []
    for slug, fields in _entries(document, "organizations", _ORGANIZATION_KEYS):
        lines += _load_organization(session, key_ring, slug, fields, now)
    for username, fields in _entries(document, "users", _USER_KEYS):
        lines += _load_user(session, key_ring, username, fields, now)
    return lines


def _entries(document: Mapping[str, Any], section: str, known: set[str]) -> list[tuple[str, dict[str, Any]]]:
    entries = document.get(section) or {}
    if not isinstance(entries, dict):
        raise BootstrapInvalid(f"{section}: not a mapping from names to fields")
    checked = []
    for name, fields in entries.items():
        fields = fields or {}
        if not isinstance(fields, dict):
            raise BootstrapInvalid(f"{section}.{name}: not a mapping of fields")
        unknown = set(fields) - known
        if unknown:
            raise BootstrapInvalid(f"{section}.{name}: unknown fields: {', '.join(sorted(unknown))}")
        checked.append((str(name), fields))
    return checked


def _identifier(where: str, text: Any) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(str(text))
    except ValueError:
        raise BootstrapInvalid(f"{where}.id: {text!r} is not a UUID") from None


def _load_organization(
    session: Session, key_ring: KeyRing, slug: str, fields: dict[str, Any], now: datetime
) -> list[str]:
    where = f"organizations.{slug}"
    organization_id = _identifier(where, fields.get("id"))
    slug = fields.get("slug", slug)
    organization = session.scalars(sa.select(Organization).where(Organization.slug == slug)).first()
    secret = fields.get("shared_secret")
    if secret is not None and (
        not isinstance(secret, str) or not 0 < len(secret) <= 32 or set(secret) & set(" ./\t\n")
    ):
        raise BootstrapInvalid(f"{where}.shared_secret: at most 32 characters without spaces, dots and slashes")
    if not isinstance(fields.get("context", {}), dict):
        raise BootstrapInvalid(f"{where}.context: not a mapping of variables")
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
    user_id = _identifier(where, fields.get("id"))
    username = fields.get("username", username)
    user = session.scalars(sa.select(User).where(User.username == username)).first()
    created = user is None
    password = fields.get("password")
    if user is None:
        user = create_user(session, now, id=user_id or uuid.uuid4(), username=username, password=password)
    elif user_id is not None and user_id != user.id:
        raise BootstrapInvalid(f"{where}.id: the user exists with the id {user.id}")
    elif password is not None and not verify_password(password, user.password):
        set_password(user, password, now)
    for name in ("email", "is_superuser"):
        if name in fields and getattr(user, name) != fields[name]:
            setattr(user, name, fields[name])
    groups = [_group(session, where, name) for name in fields.get("groups", ())]
    for group in groups:
        if group not in user.groups:
            user.groups.append(group)
    changed = bool(session.dirty)
    session.flush()
    for slug in fields.get("manager_of", ()):
        changed |= _make_manager(session, where, user, slug)
    if (token := fields.get("token")) is not None:
        if not isinstance(token, str) or not token.isalnum():
            raise BootstrapInvalid(f"{where}.token: letters and digits only")
        token_of(session, key_ring, user, now, key=token)
    return [f"user {username}: created"] if created else [f"user {username}: changed"] if changed else []


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
