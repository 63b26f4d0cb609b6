"""Protection of sessions against other sites' forms, spoken as clients of Django know it: a cookie and its double.

A token is a nonce and the keyed hash of the nonce and the session, so one that somebody else obtained or planted as a
cookie is worth nothing in this session, and every page may carry another one.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from pyramid.request import Request

from guywire.errors import PermissionDenied

SESSION_COOKIE = "sessionid"
COOKIE = "csrftoken"
HEADER = "X-CSRFToken"
FIELD = "csrfmiddlewaretoken"

_NONCE_DIGITS = _HASH_DIGITS = 32


def make_token(request: Request, session_key: str | None = None) -> str:
    """A new token for the request's session (or for ``session_key``, when the request only begins it)."""
    nonce = secrets.token_hex(_NONCE_DIGITS // 2)
    return nonce + _hash(request, nonce, session_key)


def is_valid(request: Request, token: str) -> bool:
    """Whether a token was made for the request's session."""
    nonce, given = token[:_NONCE_DIGITS], token[_NONCE_DIGITS:]
    return hmac.compare_digest(given.encode(), _hash(request, nonce).encode())


def check(request: Request) -> None:
    """Refuse a request that a page of ours did not send. Raises PermissionDenied in the words of the reference."""
    _check_origin(request)
    if not request.cookies.get(COOKIE):
        raise _failed("CSRF cookie not set.")
    if header := request.headers.get(HEADER):
        if not is_valid(request, header):
            raise _failed("CSRF token from the 'X-Csrftoken' HTTP header incorrect.")
        return
    field = _field(request)
    if not field:
        raise _failed("CSRF token missing.")
    if not is_valid(request, field):
        raise _failed("CSRF token from POST incorrect.")


def _check_origin(request: Request) -> None:
    """What browsers themselves say of where a request comes from. Over plain HTTP they may keep the referer back."""
    own = request.host_url
    origin = request.headers.get("Origin")
    if origin is not None:
        if origin != own:
            raise _failed(f"Origin checking failed - {origin} does not match any trusted origins.")
    elif request.scheme == "https":
        referer = request.headers.get("Referer")
        if referer is None:
            raise _failed("Referer checking failed - no Referer.")
        try:
            scheme, host, *_ = urlsplit(referer)
        except ValueError:
            raise _failed("Referer checking failed - Referer is malformed.") from None
        if f"{scheme}://{host}" != own:
            raise _failed(f"Referer checking failed - {referer} does not match any trusted origins.")


def _field(request: Request) -> str | None:
    if request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return None
    try:
        token = request.POST.get(FIELD)
    except (ValueError, DeprecationWarning):  # as in ``api.body``, which says what is wrong with the form
        return None
    return token if isinstance(token, str) else None


def _hash(request: Request, nonce: str, session_key: str | None = None) -> str:
    session_key = session_key or request.cookies.get(SESSION_COOKIE) or ""
    hashed: str = request.runtime.key_ring.lookup_hash(f"{session_key}\0{nonce}", "csrf")
    return hashed[:_HASH_DIGITS]


def _failed(reason: str) -> PermissionDenied:
    return PermissionDenied(f"CSRF Failed: {reason}")
