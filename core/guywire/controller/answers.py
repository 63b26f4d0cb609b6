"""Answers of the doors: plain texts and archives, with the header that agents look for."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from guywire.controller.poll import CONTROLLER_HEADER, Answer


def refused_method(methods: tuple[str, ...]) -> Any:
    """A view for all methods but these."""
    allowed = ", ".join(sorted({*methods, "OPTIONS"}))

    def view(request: Request) -> Response:
        status = 200 if request.method == "OPTIONS" else 405
        return Response(b"", status=status, content_type="text/html", allow=allowed)

    return view


def response_of(answer: Answer) -> Response:
    """The answer to a poll, as Pyramid wants it."""
    response = Response(answer.body, status=answer.status, content_type=answer.content_type)
    response.headers.update(answer.headers)
    return response


def text(body: str, status: int = 200, content_type: str = "text/plain") -> Response:
    """A text."""
    response = Response(body, status=status, content_type=content_type)
    response.headers.update([CONTROLLER_HEADER])
    return response
