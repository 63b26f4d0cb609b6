"""Where people log in and out: ``/accounts/login/`` and ``/accounts/logout/``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.config import Configurator
from pyramid.request import Request

from guywire import csrf
from guywire.api.answers import Response
from guywire.api.body import read_body
from guywire.browsable.page import render, set_cookie, visitor
from guywire.db import writing
from guywire.errors import APIError, Throttled
from guywire.runtime import Runtime
from guywire.services import sessions
from guywire.services.logins import log_in

LOGIN = "/accounts/login/"
LOGOUT = "/accounts/logout/"
ALIAS = "/admin/login/"
START = "/"

WRONG = "This user name and this password do not go together. Both are case-sensitive."
TOO_OFTEN = "Too many logins failed. Please try again in {} seconds."
EXPIRED = "The form was too old or came from elsewhere. Please try again."


def includeme(config: Configurator) -> None:
    """Serve the pages."""
    for name, path in (("login", LOGIN), ("admin_login", ALIAS)):
        config.add_route(name, path)
        config.add_view(_show_login, route_name=name, request_method=("GET", "HEAD"))
        config.add_view(_log_in, route_name=name, request_method="POST")
    config.add_route("logout", LOGOUT)
    config.add_view(_show_logout, route_name="logout", request_method=("GET", "HEAD"))
    config.add_view(_log_out, route_name="logout", request_method="POST")


def _show_login(request: Request) -> Response:
    if visitor(request) is not None:
        return _to(_local(request.GET.get("next")))
    return _login_page(request, {"next": request.GET.get("next")})


def _login_page(request: Request, form: dict[str, Any], *, status: int = 200, error: str = "") -> Response:
    username = form.get("username", "")
    return render(
        request,
        "login.jinja2",
        status=status,
        error=error,
        username=username if isinstance(username, str) else "",
        next=_local(form.get("next")),
    )


def _log_in(request: Request) -> Response:
    form: dict[str, Any] = {}
    try:
        form = read_body(request)
        csrf.check(request)
    except APIError as error:
        return _login_page(request, form, status=error.status, error=EXPIRED)
    runtime: Runtime = request.runtime
    username, password = form.get("username"), form.get("password")
    if not isinstance(username, str) or not isinstance(password, str) or "\0" in username:
        return _login_page(request, form, status=400, error=WRONG)
    try:
        user = log_in(runtime, username, password, request.remote_addr, request.now)
    except Throttled as error:
        page = _login_page(request, form, status=error.status, error=TOO_OFTEN.format(error.seconds))
        page.headers.update(error.headers)
        return page
    if user is None:
        return _login_page(request, form, status=400, error=WRONG)
    return logged_in(request, user.id, _local(form.get("next")))


def logged_in(request: Request, user_id: UUID, path: str) -> Response:
    """The way to ``path``, with a new session of the user."""
    runtime: Runtime = request.runtime
    with writing(runtime.session_factory) as session:
        lifetime = timedelta(seconds=runtime.settings.session_lifetime)
        key = sessions.start(session, runtime.key_ring, user_id, request.now, lifetime)
    response = _to(path)
    set_cookie(request, response, csrf.SESSION_COOKIE, key)
    set_cookie(request, response, csrf.COOKIE, csrf.make_token(request, key), readable=True)
    return response


def _show_logout(request: Request) -> Response:
    return _to(LOGIN) if visitor(request) is None else render(request, "logout.jinja2")


def _log_out(request: Request) -> Response:
    key = request.cookies.get(csrf.SESSION_COOKIE)
    if key:
        try:
            csrf.check(request)
        except APIError as error:
            return render(request, "logout.jinja2", status=error.status)
        runtime: Runtime = request.runtime
        with writing(runtime.session_factory) as session:
            sessions.end(session, runtime.key_ring, key)
    response = _to(LOGIN)
    set_cookie(request, response, csrf.SESSION_COOKIE, None)
    set_cookie(request, response, csrf.COOKIE, None)
    return response


def _to(path: str) -> Response:
    return Response(status=303, location=path)


def _local(path: Any) -> str:
    """``path`` if it is one of ours: a link to the login page must not be able to lead to another site."""
    if not isinstance(path, str) or not path.startswith("/") or path.startswith(("//", "/\\")):
        return START
    # Browsers drop tabs and line breaks before they look at an address.
    return path if path.isprintable() and path.isascii() else START
