"""Login sessions of browsers: a random cookie, of which only the keyed hash is stored."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import LoginSession, User
from guywire.sealing import KeyRing
from guywire.security import IDENTITY, may_log_in

PURPOSE = "login_session.key"


def start(session: Session, key_ring: KeyRing, user_id: uuid.UUID, now: datetime, lifetime: timedelta) -> str:
    """Log a user in. Returns the secret that the browser keeps as its cookie."""
    key = secrets.token_urlsafe(32)
    # Whoever logs in sweeps: the table never holds more than what was started within one lifetime.
    session.execute(sa.delete(LoginSession).where(LoginSession.expires <= now))
    key_hash = key_ring.lookup_hash(key, PURPOSE)
    session.add(LoginSession(key_hash=key_hash, user_id=user_id, created=now, expires=now + lifetime))
    session.execute(sa.update(User).where(User.id == user_id).values(last_login=now))
    session.flush()
    return key


def user_of(session: Session, key_ring: KeyRing, key: str, now: datetime) -> Any:
    """Whose session ``key`` is, as a row for ``security.identity_of``; None if it has ended or they may not log in."""
    return session.execute(
        sa.select(*IDENTITY)
        .join(LoginSession, LoginSession.user_id == User.id)
        .where(
            LoginSession.key_hash == key_ring.lookup_hash(key, PURPOSE),
            LoginSession.expires > now,
            may_log_in(now.date()),
        )
    ).first()


def end(session: Session, key_ring: KeyRing, key: str) -> None:
    """Log out."""
    session.execute(sa.delete(LoginSession).where(LoginSession.key_hash == key_ring.lookup_hash(key, PURPOSE)))


def end_all_of(session: Session, user_id: uuid.UUID) -> None:
    """Log a user out everywhere: the password has changed, or the account is closed."""
    session.execute(sa.delete(LoginSession).where(LoginSession.user_id == user_id))
