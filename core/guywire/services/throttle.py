"""Slows down whoever guesses passwords or tokens. Successes are never counted."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from guywire.db import reading, writing
from guywire.errors import Throttled
from guywire.models import FailedLogins
from guywire.runtime import Runtime
from guywire.settings import Rate

SPRAYING = 10
"""An address may fail this many times as often with many accounts as with one: offices share an address."""

MAILS = Rate(5, 3600)
"""How many mails strangers may have sent to one e-mail address."""

_PURPOSE = "failed_logins.key"
_TOO_MANY = 10_000
_IPV6_CLIENT_BITS = 64


def check(runtime: Runtime, account: str, address: str | None, now: datetime) -> None:
    """Whether somebody at ``address`` may try to log in as ``account``. Raises Throttled. Writes nothing."""
    rate = runtime.settings.login_rate
    if rate is None:
        return
    limits = _limits(runtime, rate, account, address)
    with reading(runtime.session_factory) as session:
        counters = session.execute(
            sa.select(FailedLogins.key_hash, FailedLogins.count, FailedLogins.until).where(
                FailedLogins.key_hash.in_(limits), FailedLogins.until > now
            )
        ).all()
    _raise_if(max((until for key, count, until in counters if count >= limits[key]), default=None), now)


def record_failure(runtime: Runtime, account: str, address: str | None, now: datetime) -> None:
    """Somebody tried and failed. Raises Throttled if that was one time too many.

    The counters are in the database, for all processes together: a password can be guessed.
    """
    rate = runtime.settings.login_rate
    if rate is None:
        return
    _count_in(runtime, _limits(runtime, rate, account, address), rate.seconds, now)


def count_mail(runtime: Runtime, email: str, address: str | None, now: datetime) -> None:
    """Somebody at ``address`` has a mail sent to ``email``. Raises Throttled if that is one too many."""
    if runtime.settings.login_rate is None:
        return
    limits = {
        _key(runtime, "mail to", email.strip().lower()): MAILS.count,
        _key(runtime, "mail from", _client(address)): MAILS.count * SPRAYING,
    }
    _count_in(runtime, limits, MAILS.seconds, now)


def _count_in(runtime: Runtime, limits: Mapping[str, int], seconds: int, now: datetime) -> None:
    exceeded = []
    with writing(runtime.session_factory) as session:
        # Whoever fails sweeps, so that the table never holds more than what failed lately.
        session.execute(sa.delete(FailedLogins).where(FailedLogins.until <= now))
        count_one_more = _COUNT[session.get_bind().dialect.name]
        for key in sorted(limits):  # always in this order: who fails at the same time waits, in no circle
            values = {"key_hash": key, "count": 1, "until": now + timedelta(seconds=seconds)}
            _, count, until = session.execute(count_one_more, values).one()
            if count > limits[key]:
                exceeded.append(until)
    _raise_if(max(exceeded, default=None), now)


def _limits(runtime: Runtime, rate: Rate, account: str, address: str | None) -> Mapping[str, int]:
    """How many failures each counter allows, by its key."""
    client = _client(address)
    return {
        _key(runtime, "account", client, account.strip().lower()): rate.count,
        _key(runtime, "address", client): rate.count * SPRAYING,
    }


def _key(runtime: Runtime, *parts: str) -> str:
    return runtime.key_ring.lookup_hash("\0".join(parts), _PURPOSE)


def _count(dialect: Any) -> Any:
    insert = dialect.insert(FailedLogins.__table__)
    return insert.on_conflict_do_update(
        index_elements=["key_hash"], set_={"count": FailedLogins.__table__.c.count + 1}
    ).returning(FailedLogins.key_hash, FailedLogins.count, FailedLogins.until)


_COUNT = {"sqlite": _count(sqlite), "postgresql": _count(postgresql)}


def _client(address: str | None) -> str:
    """Who counts as one: an IPv4 address, or the network that one subscriber of IPv6 has."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{int(parsed) >> (128 - _IPV6_CLIENT_BITS):x}::"
    return str(parsed)


def _raise_if(until: datetime | None, now: datetime) -> None:
    if until is not None:
        raise Throttled(max(1, math.ceil((until - now).total_seconds())))


class FailedTokens:
    """Counts the wrong tokens of each address, in the memory of one process.

    A token cannot be guessed: this keeps the load down that a client with an old one makes, and must itself cost
    nothing. So strangers write nothing, and several web processes allow as many failures each.
    """

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._counters: dict[str, tuple[int, datetime]] = {}

    def record(self, address: str | None, now: datetime) -> None:
        """A wrong token came from ``address``. Raises Throttled if that was one too many."""
        if self._rate is None:
            return
        client = _client(address)
        with self._lock:
            count, until = self._counters.get(client, (0, now))
            if until <= now:
                self._sweep(now)
                count, until = 0, now + timedelta(seconds=self._rate.seconds)
            self._counters[client] = (count + 1, until)
        if count >= self._rate.count:
            _raise_if(until, now)

    def _sweep(self, now: datetime) -> None:
        if len(self._counters) >= _TOO_MANY:
            self._counters = {client: each for client, each in self._counters.items() if each[1] > now}
        if len(self._counters) >= _TOO_MANY:
            # Nobody has so many clients: forgetting is better than running out of memory.
            self._counters.clear()
