"""What every request has: the runtime, a database session, the time, and who asks."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.request import Request, RequestLocalCache
from pyramid.response import Response
from pyramid_retry import BeforeRetry, IBeforeRetry, is_last_attempt, mark_error_retryable
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from guywire import csrf
from guywire.db import announce_reads, announce_writes, reading
from guywire.errors import APIError, PasswordExpired
from guywire.runtime import Runtime
from guywire.security import Identity, has_expired_password, identity_of
from guywire.services import sessions
from guywire.services.preparation import STORE, MustPrepare, Store
from guywire.services.tokens import BearerTokens

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_OF_PASSWORDS = ("/accounts/", "/api/v1/users/user/password/change")
"""Where somebody may be whose password has expired. (What is public asks nobody who they are.)"""


def includeme(config: Configurator) -> None:
    """Add ``request.runtime``, ``request.db``, ``request.now`` and ``request.identity``."""
    config.add_request_method(lambda request: request.registry.runtime, "runtime", property=True)
    config.add_request_method(_session, "db", reify=True)
    config.add_request_method(_now, "now", reify=True)
    config.set_security_policy(SecurityPolicy(config.registry.runtime))
    config.add_exception_view(_answer_to_nobody, context=MustPrepare)
    config.add_subscriber(_prepare, IBeforeRetry)


def _session(request: Request) -> Session:
    """The request's session, committed with its transaction. Unsafe methods take the write lock at once."""
    runtime: Runtime = request.runtime
    session = runtime.session_factory()
    request.add_finished_callback(lambda request: session.close())
    if request.method in SAFE_METHODS:
        announce_reads(session)
        return session
    zope.sqlalchemy.register(session, initial_state="changed", transaction_manager=request.tm, keep_session=True)
    announce_writes(session)
    if not is_last_attempt(request):
        session.info[STORE] = request.environ.setdefault(STORE, Store())
    return session


def _answer_to_nobody(error: MustPrepare, request: Request) -> Response:
    """The request is repeated, once what takes long to make is there."""
    mark_error_retryable(error)
    return Response(status=503)


def _prepare(event: BeforeRetry) -> None:
    """Make what a request lacks while no lock is held."""
    if not isinstance(event.exception, MustPrepare):
        return
    runtime: Runtime = event.request.runtime
    store: Store = event.environ[STORE]
    # Without the database, the last attempt makes it itself.
    with suppress(SQLAlchemyError), reading(runtime.session_factory) as session:
        try:
            store.things.update(event.exception.make(session))
        except APIError as refusal:
            store.refusal = refusal


def _now(request: Request) -> datetime:
    """The time of the request; everything that it writes bears the same one."""
    runtime: Runtime = request.runtime
    return runtime.clock()


class SecurityPolicy:
    """Pyramid's view of ``guywire.security``: bearer tokens first, then the sessions of browsers."""

    def __init__(self, runtime: Runtime) -> None:
        self._tokens = BearerTokens(runtime)
        self._identities: RequestLocalCache[Identity | APIError | None] = RequestLocalCache(self._identify)

    def identity(self, request: Request) -> Identity | None:
        """Who asks; None for nobody.

        Raises NotAuthenticated for credentials that do not serve, Throttled after too many of them, PasswordExpired
        except where that can be mended.
        """
        found = self._identities.get_or_create(request)
        if isinstance(found, APIError):
            raise found
        if found is not None and found.password_expired and not request.environ["PATH_INFO"].startswith(_OF_PASSWORDS):
            raise PasswordExpired(request.host_url)
        return found

    def _identify(self, request: Request) -> Identity | APIError | None:
        """What ``identity`` returns or raises: a wrong token counts once, however often somebody asks."""
        try:
            return self._identify_once(request)
        except APIError as error:
            return error

    def _identify_once(self, request: Request) -> Identity | None:
        authorization = request.headers.get("Authorization")
        key = request.cookies.get(csrf.SESSION_COOKIE)
        if authorization is None and not key:
            return None
        runtime: Runtime = request.runtime
        # The session of an unsafe method waits for the write lock, which strangers must not.
        is_safe = request.method in SAFE_METHODS
        with nullcontext(request.db) if is_safe else reading(runtime.session_factory) as session:
            if authorization is not None:
                identity = self._tokens.identify(session, authorization, request.remote_addr, request.now)
                if identity is not None:
                    return identity
            if not key:
                return None
            user = sessions.user_of(session, runtime.key_ring, key, request.now)
            if user is None:
                return None
            if not is_safe:
                csrf.check(request)
            expired = has_expired_password(user, runtime.settings, request.now.date())
            return replace(identity_of(session, user), password_expired=expired)

    def authenticated_userid(self, request: Request) -> str | None:
        """The user's id as text."""
        identity = self.identity(request)
        return None if identity is None else str(identity.user_id)

    def permits(self, request: Request, context: object, permission: str) -> bool:
        """Views ask ``guywire.security`` themselves, which knows the object too."""
        return True

    def remember(self, request: Request, userid: str, **kw: object) -> list[tuple[str, str]]:
        """The cookies are set where users log in: ``guywire.browsable.login``."""
        return []

    def forget(self, request: Request, **kw: object) -> list[tuple[str, str]]:
        """See ``remember``."""
        return []
