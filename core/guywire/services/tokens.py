"""Who sends a bearer token: the user whose token or API key it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.errors import NotAuthenticated
from guywire.models import APIKey, Token, User
from guywire.runtime import Runtime
from guywire.security import IDENTITY, Identity, has_expired_password, identity_of, may_log_in
from guywire.services.accounts import TOKEN_PURPOSE
from guywire.services.api_keys import KEY_PREFIX, KEY_PURPOSE, KeyUse
from guywire.services.throttle import FailedTokens


class BearerTokens:
    """Knows bearer tokens, counts wrong ones and notes when API keys were used."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._failed = FailedTokens(runtime.settings.login_rate)
        self._use = KeyUse(runtime)

    def identify(self, session: Session, authorization: str, address: str | None, now: datetime) -> Identity | None:
        """The user whose bearer token an Authorization header carries; None for another scheme.

        Raises NotAuthenticated for a token that does not serve, in the words of the reference, and Throttled where
        too many wrong ones came from ``address``. One that serves always does.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = token.strip()
        if not token:
            raise NotAuthenticated("Invalid token header. No credentials provided.")
        if " " in token:
            raise NotAuthenticated("Invalid token header. Token string should not contain spaces.")
        found = self._owner(session, token, now)
        if found is None:
            self._failed.record(address, now)
            raise NotAuthenticated("Invalid token.")
        if not found.may_log_in:
            raise NotAuthenticated("User inactive or deleted.")
        identity = identity_of(session, found)
        if found.api_key_id is not None:
            identity = replace(identity, by_api_key=True)
            if found.expires is not None and found.expires <= now:
                raise NotAuthenticated("The API key has expired.")
            self._use.note(found.api_key_id, found.last_used, now)
        elif has_expired_password(found, self._runtime.settings, now.date()):
            identity = replace(identity, password_expired=True)
        return identity

    def _owner(self, session: Session, token: str, now: datetime) -> Any:
        is_key = token.startswith(KEY_PREFIX)
        hashed = self._runtime.key_ring.lookup_hash(token, KEY_PURPOSE if is_key else TOKEN_PURPOSE)
        query = _OWNER_OF_KEY if is_key else _OWNER_OF_TOKEN
        return session.connection().execute(query, {"hash": hashed, "today": now.date()}).first()


# Made once: every request runs one of them, and building it would take longer than running it.
_USER = sa.select(*IDENTITY, may_log_in(sa.bindparam("today")).label("may_log_in"))
_OWNER_OF_KEY = (
    _USER.add_columns(APIKey.id.label("api_key_id"), APIKey.expires, APIKey.last_used)
    .join(APIKey, APIKey.user_id == User.id)
    .where(APIKey.key_hash == sa.bindparam("hash"))
)
_OWNER_OF_TOKEN = (
    _USER.add_columns(sa.null().label("api_key_id"))
    .join(Token, Token.user_id == User.id)
    .where(Token.key_hash == sa.bindparam("hash"))
)
