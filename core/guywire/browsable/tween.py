"""The outermost part of the application: forms of pages become requests, and answers become pages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from pyramid.httpexceptions import HTTPException
from pyramid.registry import Registry
from pyramid.request import Request

from guywire.api.answers import API, Response
from guywire.api.negotiation import HTML, JSON, negotiate
from guywire.browsable.answer import answer_page
from guywire.browsable.error import error_page
from guywire.browsable.form_post import sent_form, translate
from guywire.browsable.page import SECURITY_HEADERS
from guywire.browsable.password import CHANGE
from guywire.errors import APIError, PasswordExpired

log = logging.getLogger(__name__)

_NOT_OF_PAGES = ("content-type", "content-length", "location")


def factory(handler: Callable[[Request], Any], registry: Registry) -> Callable[[Request], Any]:
    """The tween. What is below knows nothing of HTML."""

    def tween(request: Request) -> Any:
        translate(request)
        response = handler(request)
        if not request.environ["PATH_INFO"].startswith(API):
            if _is_bare_error(response) and _prefers_pages(request):
                response = _page_of(request, response, error_page)
        else:
            if _is_for_a_page(request, response):
                response = _page_of(request, response, answer_page)
            response.headers.setdefault("Vary", "Accept, Cookie")
            # Not for routers: they have no frames, and get the same few bytes from the poll layer in front.
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return tween


def _is_bare_error(response: Any) -> bool:
    """Whether an answer outside the API is an error that has no page yet."""
    return response.status_code >= 400 and (isinstance(response, HTTPException) or response.content_type == JSON)


def _is_for_a_page(request: Request, response: Any) -> bool:
    """Whether the client would rather see the answer as a page. Downloads and pages stay what they are."""
    if response.status_code == 204:
        return sent_form(request) is not None
    if response.content_type != JSON or "Content-Disposition" in response.headers:
        return False
    return _prefers_pages(request)


def _prefers_pages(request: Request) -> bool:
    try:
        return negotiate(request) == HTML and bool(request.path_info)
    except (APIError, UnicodeDecodeError):  # of an address that is not UTF-8
        return False


def _page_of(request: Request, response: Any, make: Callable[[Request, Any], Response]) -> Any:
    try:
        page = make(request, response)
    except PasswordExpired:
        return Response(status=303, location=CHANGE)
    except sa.exc.SQLAlchemyError as error:
        # The answer is true as it is, and what was to be changed is changed: only its page cannot be made.
        log.warning("no page of %s %s: %s", request.method, request.path, error)
        return response
    for name, value in response.headerlist:
        if name.lower() not in _NOT_OF_PAGES:
            page.headers.add(name, value)
    return page
