"""Pages for who forgot a password: ``/accounts/password/reset/`` and, linked from the mail, ``…/confirm/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from guywire import csrf
from guywire.api.answers import Response
from guywire.api.body import read_body
from guywire.api.user_password import confirm_reset, reset_password
from guywire.browsable.page import render
from guywire.errors import APIError, Invalid, Throttled
from guywire.passwords import MIN_LENGTH
from guywire.services.password_reset import PAGE

RESET = "/accounts/password/reset/"

_STALE = "The form was too old or came from elsewhere. Please try again."
_BAD_LINK = "The link has been used, is too old, or is not complete. Please ask for another one."


def includeme(config: Configurator) -> None:
    """Serve the pages."""
    for name, path, show, act in (
        ("password_reset_page", RESET, _show_reset, _reset),
        ("password_confirm_page", PAGE, _show_confirm, _confirm),
    ):
        config.add_route(name, path)
        config.add_view(show, route_name=name, request_method=("GET", "HEAD"))
        config.add_view(act, route_name=name, request_method="POST")


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
        return error, [_BAD_LINK]
    return None, []


def _with_status(page: Response, error: APIError | None) -> Response:
    if error is not None:
        page.status_code = error.status
        page.headers.update(error.headers)
    return page
