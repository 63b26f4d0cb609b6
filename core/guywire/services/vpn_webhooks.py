"""Tells VPN servers that their configuration has changed, through the webhooks that they have.

What was told is written down, so a lost wake-up or a server that is away loses nothing: it is told again, later each
time, until it answers. However many changes came meanwhile, it is told once.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import SessionFactory, reading, writing
from guywire.models import Vpn, VpnState

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds that a webhook may take. The worker waits for the slowest one."""

_AT_ONCE = 8
_AS_IT_IS = "/?:@!$&'()*+,;=%~"
"""What has a meaning in a path or a query, or has been quoted already."""

_FIRST_WAIT = timedelta(seconds=5)
_LONGEST_WAIT = timedelta(hours=1)

_HAS_WEBHOOK = Vpn.webhook_endpoint.is_not(None), Vpn.auth_token.is_not(None)


class _Webhook(NamedTuple):
    """A server that does not know of its newest configuration yet."""

    vpn_id: uuid.UUID
    checksum: str
    endpoint: str
    token: str


def announce_all(factory: SessionFactory, clock: Callable[[], datetime]) -> int:
    """Tell those servers that are to be told now. Returns how many answered."""
    waiting = _waiting(factory, clock())
    if not waiting:
        return 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        errors = list(pool.map(_tell, waiting))
    with writing(factory) as session:
        for webhook, error in zip(waiting, errors, strict=True):
            state = session.get(VpnState, webhook.vpn_id, with_for_update=True)
            if state is not None:
                _record(state, webhook, error, clock())
    return errors.count(None)


def forget(session: Session, vpn_id: uuid.UUID) -> None:
    """Have a server told at once: it has another webhook, which has been told nothing."""
    state = session.get_one(VpnState, vpn_id, with_for_update=True, populate_existing=True)
    state.announced_checksum, state.announce_at, state.announce_failures = None, None, 0


def silent(session: Session) -> Sequence[str]:
    """The names of the servers whose webhooks did not answer when they were called last."""
    query = sa.select(Vpn.name).join(VpnState, VpnState.vpn_id == Vpn.id).where(*_HAS_WEBHOOK)
    return session.scalars(query.where(VpnState.announce_failures > 0).order_by(Vpn.name)).all()


def _waiting(factory: SessionFactory, now: datetime) -> Sequence[_Webhook]:
    query = (
        sa.select(Vpn.id, VpnState.checksum, Vpn.webhook_endpoint, Vpn.auth_token)
        .join(VpnState, VpnState.vpn_id == Vpn.id)
        .where(*_HAS_WEBHOOK, VpnState.checksum.is_not(None))
        .where(VpnState.checksum.is_distinct_from(VpnState.announced_checksum))
        # Once all changes are in it: what is stale will have another checksum in a moment.
        .where(VpnState.inputs_version == VpnState.rendered_version)
        .where(sa.or_(VpnState.announce_at.is_(None), VpnState.announce_at <= now))
        .order_by(VpnState.announce_at)
        .limit(_AT_ONCE)
    )
    with reading(factory) as session:
        return [
            _Webhook(id, checksum or "", url or "", token or "") for id, checksum, url, token in session.execute(query)
        ]


def _tell(webhook: _Webhook) -> str | None:
    """POST an empty body, as the reference does. Returns what went wrong."""
    try:
        url = urlsplit(webhook.endpoint)
        if url.scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                url.hostname or "", url.port, timeout=TIMEOUT, context=context
            )
        else:
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
        query = f"{quote(url.query, safe=_AS_IT_IS)}&" if url.query else ""
        path = quote(url.path or "/", safe=_AS_IT_IS)
        try:
            connection.request("POST", f"{path}?{query}key={quote(webhook.token, safe='')}")
            status = connection.getresponse().status
        finally:
            connection.close()
    except OSError as error:
        return repr(error)
    except (http.client.HTTPException, ValueError) as error:
        # Not what it says: that may quote the token.
        return type(error).__name__
    return None if 200 <= status < 300 else f"status {status}"


def _record(state: VpnState, webhook: _Webhook, error: str | None, now: datetime) -> None:
    if error is None:
        if state.announce_failures:
            log.info("the webhook answers again: vpn=%s", webhook.vpn_id)
        state.announced_checksum, state.announce_at, state.announce_failures = webhook.checksum, None, 0
        return
    if not state.announce_failures:
        log.warning("the webhook does not answer, it is tried again: vpn=%s error=%s", webhook.vpn_id, error)
    wait = min(_FIRST_WAIT * 2 ** min(state.announce_failures, 20), _LONGEST_WAIT)
    state.announce_failures += 1
    state.announce_at = now + wait
