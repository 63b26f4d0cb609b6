"""API keys: named tokens of a user's own, one for each script or machine, with an end if they are given one."""

from __future__ import annotations

import logging
import secrets
import threading
import uuid
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import writing
from guywire.models import APIKey
from guywire.runtime import Runtime
from guywire.sealing import KeyRing

log = logging.getLogger(__name__)

KEY_PREFIX = "gw_"
"""What every key begins with: so it is looked up in one table, and found by those who search texts for secrets."""

KEY_PURPOSE = "api_key.key"

USE_INTERVAL = timedelta(minutes=1)
"""How exactly ``last_used`` is kept."""


def create_api_key(
    session: Session, key_ring: KeyRing, user_id: uuid.UUID, name: str, expires: datetime | None, now: datetime
) -> tuple[APIKey, str]:
    """A new key of a user, and the secret itself, which nobody can be told a second time."""
    secret = KEY_PREFIX + secrets.token_urlsafe(30)
    key = APIKey(
        user_id=user_id,
        name=name,
        key_hash=key_ring.lookup_hash(secret, KEY_PURPOSE),
        created=now,
        expires=expires,
    )
    session.add(key)
    session.flush()
    return key, secret


class KeyUse:
    """Writes down when keys were last used: at most once a minute for each, and not at all while nobody may write."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._noted: dict[uuid.UUID, datetime] = {}

    def note(self, key_id: uuid.UUID, last_used: datetime | None, now: datetime) -> None:
        """A key was used now; ``last_used`` is what is written down."""
        with self._lock:
            # What this process noted counts too: where the database is busy, only one request a minute tries.
            noted = max((each for each in (last_used, self._noted.get(key_id)) if each is not None), default=None)
            if noted is not None and now < noted + USE_INTERVAL:
                return
            self._noted = {key: each for key, each in self._noted.items() if now < each + USE_INTERVAL} | {key_id: now}
        try:
            with writing(self._runtime.session_factory) as session:
                session.execute(sa.update(APIKey).where(APIKey.id == key_id).values(last_used=now))
        except sa.exc.SQLAlchemyError as error:
            log.warning("the last use of an API key cannot be written now: %s", error)
