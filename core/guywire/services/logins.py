"""Logging in with a password, the same at every door."""

from __future__ import annotations

from datetime import datetime

from guywire.db import reading, writing
from guywire.models import User
from guywire.passwords import needs_rehash
from guywire.runtime import Runtime
from guywire.services import throttle
from guywire.services.accounts import set_password_hash, user_by_credentials


def log_in(runtime: Runtime, username: str, password: str, address: str | None, now: datetime) -> User | None:
    """The user with this name (or e-mail address) and password who may log in; None for anybody else.

    Failures are counted for the account and the client's address. Raises Throttled when there were too many. It opens
    its own sessions, because verifying takes its time on purpose: nobody has to wait for the database meanwhile.
    """
    throttle.check(runtime, username, address, now)
    with reading(runtime.session_factory) as session:
        user = user_by_credentials(session, username, password, now.date())
    if user is None:
        throttle.record_failure(runtime, username, address, now)
        return None
    if needs_rehash(user.password):
        with writing(runtime.session_factory) as session:
            set_password_hash(session.get_one(User, user.id), password)
    return user
