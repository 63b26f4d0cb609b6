"""New passwords for those who forgot theirs, by a token that is mailed to them.

The token is a keyed hash over the user's password hash and a time. So nothing is stored, it serves once, and only as
long as the password is the one that was forgotten.
"""

from __future__ import annotations

import hmac
import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import reading
from guywire.models import User
from guywire.runtime import Runtime
from guywire.sealing import KeyRing
from guywire.security import may_log_in
from guywire.services.accounts import named
from guywire.services.mail import deliver
from guywire.settings import Settings

JOB = "password-reset-mail"
PAGE = "/accounts/password/reset/confirm/"
"""Where the link in the mail leads."""

_PURPOSE = "password_reset.token"

_MAIL = """\
Somebody, probably you, wants a new password for {username} at {url}. Set it here:

{url}{page}?uid={uid}&token={token}

(Or send uid, token, new_password1 and new_password2 to {url}/api/v1/users/password/reset/confirm/.)

The link serves once, and for {hours} hours. If you did not ask for it, there is nothing to do: the password is still
the old one.
"""


def mail_token(runtime: Runtime, email: str) -> None:
    """The job: mail a token to the user with this address (or name), if there is one who may log in."""
    now = runtime.clock()
    with reading(runtime.session_factory) as session:
        user = session.scalars(named(email).where(may_log_in(now.date()))).first()
    if user is None or user.email is None:
        return
    settings = runtime.settings
    text = _MAIL.format(
        username=user.username,
        url=_public_url(settings),
        page=PAGE,
        uid=user.id,
        token=make_token(runtime.key_ring, user, now),
        hours=max(1, settings.password_reset_lifetime // 3600),
    )
    deliver(settings, user.email, "A new password", text)


def make_token(key_ring: KeyRing, user: User, now: datetime) -> str:
    """A token with which the user can set a new password."""
    seconds = int(now.timestamp())
    return f"{seconds:x}-{_hash(key_ring, user, seconds)}"


def user_of_token(
    session: Session, key_ring: KeyRing, uid: str, token: str, now: datetime, lifetime: int
) -> User | None:
    """The user with this id, if ``make_token`` made the token for them, not longer than ``lifetime`` seconds ago."""
    seconds_text, _, given = token.partition("-")
    try:
        user_id, seconds = uuid.UUID(uid), int(seconds_text, 16)
        age = (now - datetime.fromtimestamp(seconds, UTC)).total_seconds()
    except (ValueError, OverflowError, OSError):
        return None
    user = session.scalars(sa.select(User).where(User.id == user_id, may_log_in(now.date()))).first()
    if user is None or not 0 <= age <= lifetime:
        return None
    return user if hmac.compare_digest(given.encode(), _hash(key_ring, user, seconds).encode()) else None


def _hash(key_ring: KeyRing, user: User, seconds: int) -> str:
    return key_ring.lookup_hash(f"{user.id}\0{user.password}\0{user.email}\0{seconds}", _PURPOSE)[:40]


def _public_url(settings: Settings) -> str:
    return settings.public_url.rstrip("/") or f"http://{settings.http_host}:{settings.http_port}"
