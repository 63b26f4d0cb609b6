"""The page of an answer that has none of its own: nothing at this address, a form that cannot be read, our mistakes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pyramid.request import Request

from guywire.api.answers import Response
from guywire.browsable.page import render

_WORDS = {
    400: "The request could not be understood.",
    403: "You may not see this page.",
    404: "There is nothing at this address.",
    500: "Something went wrong on our side. The server’s log says what.",
    503: "The server is busy. Please try again in a moment.",
}


def error_page(request: Request, response: Any) -> Response:
    """A page that says in words what an answer outside the API says by its status."""
    status = response.status_code
    title = HTTPStatus(status).phrase
    return render(request, "error.jinja2", status=status, title=title, words=_WORDS.get(status, ""))
