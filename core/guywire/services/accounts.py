"""Organizations, users and tokens, as every door makes them."""

from __future__ import annotations

import secrets
import uuid
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.interfaces import JSONObject
from guywire.models import Organization, OrganizationConfigSettings, Token, User
from guywire.models.organization import generate_shared_secret
from guywire.passwords import hash_password, pretend_to_verify, verify_password
from guywire.sealing import KeyRing
from guywire.security import may_log_in
from guywire.services.emails import set_email

TOKEN_PURPOSE = "token.key"
SECRET_PURPOSE = "organization_config_settings.shared_secret"


def create_organization(
    session: Session,
    key_ring: KeyRing,
    now: datetime,
    *,
    name: str,
    slug: str,
    id: uuid.UUID | None = None,
    shared_secret: str | None = None,
    registration_enabled: bool = True,
    context: JSONObject | None = None,
    **fields: object,
) -> Organization:
    """An organization with its config settings. (The reference leaves them out over REST: nothing could register.)"""
    organization = Organization(id=id or uuid.uuid4(), name=name, slug=slug, created=now, modified=now, **fields)
    organization.config_settings = OrganizationConfigSettings(
        registration_enabled=registration_enabled, context=context or {}
    )
    set_shared_secret(organization.config_settings, key_ring, shared_secret or generate_shared_secret())
    session.add(organization)
    session.flush()
    return organization


def set_shared_secret(settings: OrganizationConfigSettings, key_ring: KeyRing, secret: str) -> None:
    """Store the secret that devices register with, sealed, and the hash that finds it."""
    settings.shared_secret = secret
    settings.shared_secret_hash = key_ring.lookup_hash(secret, SECRET_PURPOSE)


def organization_by_secret(
    session: Session, key_ring: KeyRing, secret: str, now: datetime
) -> tuple[Organization, OrganizationConfigSettings] | None:
    """The active organization whose devices register with ``secret``, or did until it was rotated lately."""
    secret_hash = key_ring.lookup_hash(secret, SECRET_PURPOSE)
    is_current = OrganizationConfigSettings.shared_secret_hash == secret_hash
    row = session.execute(
        sa.select(Organization, OrganizationConfigSettings)
        .join(OrganizationConfigSettings, OrganizationConfigSettings.organization_id == Organization.id)
        .where(sa.or_(is_current, _is_in_grace(secret_hash, now)), Organization.is_active)
        .order_by(is_current.desc())
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


def rotate_shared_secret(
    session: Session, settings: OrganizationConfigSettings, key_ring: KeyRing, secret: str, now: datetime, grace: int
) -> None:
    """Give an organization another shared secret; the one of before registers devices for ``grace`` seconds more."""
    previous = settings.shared_secret_hash
    # The same secret may be a previous one elsewhere that nobody may register with any more.
    session.execute(
        sa.update(OrganizationConfigSettings)
        .where(OrganizationConfigSettings.previous_secret_hash == previous)
        .values(previous_secret_hash=None, previous_secret_until=None)
    )
    set_shared_secret(settings, key_ring, secret)
    settings.previous_secret_hash, settings.previous_secret_until = previous, now + timedelta(seconds=grace)
    session.flush()


def is_secret_taken(session: Session, key_ring: KeyRing, secret: str, now: datetime, own_id: uuid.UUID | None) -> bool:
    """Whether devices of another organization register with ``secret``."""
    secret_hash = key_ring.lookup_hash(secret, SECRET_PURPOSE)
    is_used = sa.or_(OrganizationConfigSettings.shared_secret_hash == secret_hash, _is_in_grace(secret_hash, now))
    query = sa.select(OrganizationConfigSettings.organization_id).where(
        is_used, OrganizationConfigSettings.organization_id.is_distinct_from(own_id)
    )
    return session.scalar(query.limit(1)) is not None


def _is_in_grace(secret_hash: str, now: datetime) -> Any:
    return sa.and_(
        OrganizationConfigSettings.previous_secret_hash == secret_hash,
        OrganizationConfigSettings.previous_secret_until > now,
    )


def create_user(
    session: Session,
    now: datetime,
    *,
    username: str,
    password: str | None,
    email: str | None = None,
    email_verified: bool = False,
    **fields: object,
) -> User:
    """A user; without a password nobody can log in as them."""
    user = User(username=username, date_joined=now, **fields)
    if password is not None:
        set_password(user, password, now)
    session.add(user)
    session.flush()
    if email is not None:
        set_email(session, user, email, verified=email_verified)
    return user


def set_password(user: User, password: str, now: datetime) -> None:
    """Give a user another password."""
    set_password_hash(user, password)
    user.password_updated = now.date()


def set_password_hash(user: User, password: str) -> None:
    """Store the user's password with today's method, for instance when it was stored with an older one."""
    user.password = hash_password(password)


def named(name: str) -> Any:
    """SELECT of the user whom a name or an e-mail address (in any case) means. Names come before addresses."""
    is_name = User.username == name
    return (
        sa.select(User)
        .where(sa.or_(is_name, sa.func.lower(User.email) == name.lower()))
        .order_by(is_name.desc())
        .limit(1)
    )


def user_by_credentials(session: Session, username: str, password: str, today: date) -> User | None:
    """The user with this name (or e-mail address, in any case) and password, if they may log in.

    It takes as long for an unknown name as for a wrong password.
    """
    found = session.execute(named(username).add_columns(may_log_in(today))).first()
    if found is None:
        pretend_to_verify(password)
        return None
    user: User = found[0]
    return user if verify_password(password, user.password) and found[1] else None


def token_of(session: Session, key_ring: KeyRing, user: User, now: datetime, key: str | None = None) -> str:
    """The user's bearer token (40 hex digits), made when there is none yet; ``key`` replaces it."""
    token = session.get(Token, user.id)
    if token is None:
        token = Token(user_id=user.id, created=now)
        session.add(token)
    elif key is None or key == token.key:
        return token.key
    token.key = key or secrets.token_hex(20)
    token.key_hash = key_ring.lookup_hash(token.key, TOKEN_PURPOSE)
    session.flush()
    return token.key
