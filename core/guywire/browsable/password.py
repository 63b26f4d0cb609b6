"""Pages for new passwords: ``/accounts/password/change/`` for one's own, ``…/reset/`` for who forgot it, and what the
mail links to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from guywire import csrf
from guywire.api.answers import Response
from guywire.api.body import read_body
from guywire.api.user_password import change_own_password, confirm_reset, reset_password
from guywire.browsable.login import LOGIN, START, logged_in
from guywire.browsable.page import render, visitor
from guywire.errors import APIError, Invalid, Throttled
from guywire.passwords import MIN_LENGTH
from guywire.security import Identity
from guywire.services.password_reset import PAGE

CHANGE = "/accounts/password/change/"
RESET = "/accounts/password/reset/"

_STALE = "The form was too old or came from elsewhere. Please try again."
_BAD_LINK = "The link has been used, is too old, or is not complete. Please ask for another one."


def includeme(config: Configurator) -> None:
    """Serve the pages."""
    for name, path, show, act in (
        ("password_change_page", CHANGE, _show_change, _change),
        ("password_reset_page", RESET, _show_reset, _reset),
        ("password_confirm_page", PAGE, _show_confirm, _confirm),
    ):
        config.add_route(name, path)
        config.add_view(show, route_name=name, request_method=("GET", "HEAD"))
        config.add_view(act, route_name=name, request_method="POST")


def _show_change(request: Request) -> Response:
    identity = visitor(request)
    return _to_login() if identity is None else _change_page(request, identity, [])


def _change(request: Request) -> Response:
    identity = visitor(request)
    if identity is None:
        return _to_login()
    error, problems = _tried(request, change_own_password)
    if problems:
        return _with_status(_change_page(request, identity, problems), error)
    # The session has ended with the password that it was had for.
    return logged_in(request, identity.user_id, START)


def _change_page(request: Request, identity: Identity, problems: list[str]) -> Response:
    values: dict[str, Any] = {"problems": problems, "min_length": MIN_LENGTH, "expired": identity.password_expired}
    return render(request, "password_change.jinja2", **values)


def _to_login() -> Response:
    return Response(status=303, location=f"{LOGIN}?next={CHANGE}")


def _show_reset(request: Request) -> Response:
    return render(request, "password_reset.jinja2", problems=[], sent=False)


def _reset(request: Request) -> Response:
    error, problems = _tried(request, reset_password)
    return _with_status(render(request, "password_reset.jinja2", problems=problems, sent=not problems), error)


def _show_confirm(request: Request) -> Response:
    return _confirm_page(request, request.GET.get("uid", ""), request.GET.get("token", ""), [])


def _confirm(request: Request) -> Response:
    error, problems = _tried(request, confirm_reset)
    uid, token = ("", "") if not problems else (str(request.POST.get(name, "")) for name in ("uid", "token"))
    return _with_status(_confirm_page(request, uid, token, problems, done=not problems), error)


def _confirm_page(request: Request, uid: str, token: str, problems: list[str], *, done: bool = False) -> Response:
    values: dict[str, Any] = {"uid": uid, "token": token, "problems": problems, "done": done, "min_length": MIN_LENGTH}
    return render(request, "password_confirm.jinja2", **values)


def _tried(request: Request, endpoint: Callable[[Request], Any]) -> tuple[APIError | None, list[str]]:
    """Do what the endpoint of the API does with the same form. Returns what went wrong, in words for people."""
    try:
        read_body(request)
        csrf.check(request)
    except APIError as error:
        return error, [_STALE]
    try:
        endpoint(request)
    except Throttled as error:
        return error, [f"That was too often. Please try again in {error.seconds} seconds."]
    except Invalid as error:
        if {"uid", "token"} & set(error.body):
            return error, [_BAD_LINK]
        return error, [message for messages in error.body.values() for message in messages]
    except APIError as error:
        return error, [_STALE]
    return None, []


def _with_status(page: Response, error: APIError | None) -> Response:
    if error is not None:
        page.status_code = error.status
        page.headers.update(error.headers)
    return page
