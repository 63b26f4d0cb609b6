"""Answers of the REST API: JSON, content negotiation, and errors in the shape that clients expect."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import sqlalchemy as sa
from pyramid.config import Configurator
from pyramid.events import ContextFound
from pyramid.exceptions import URLDecodeError
from pyramid.httpexceptions import HTTPException, HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response as PyramidResponse
from pyramid_retry import is_last_attempt, mark_error_retryable

from guywire.api import body
from guywire.api.negotiation import negotiate
from guywire.api.options import describe
from guywire.api.service import APIService
from guywire.api.slashes import is_forgotten
from guywire.db import is_conflict, is_overload
from guywire.errors import (
    APIError,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    Overloaded,
    Overtaken,
    ParseError,
)

log = logging.getLogger(__name__)

API = "/api/"
JSON = "application/json"


class Response(PyramidResponse):
    """A response whose Location is sent as it was set: relative ones work behind any proxy."""

    @staticmethod
    def _make_location_absolute(environ: Any, value: str) -> str:
        return value


def includeme(config: Configurator) -> None:
    """Install the renderer, the negotiation and the error views."""
    config.add_renderer("api", lambda info: _render)
    config.add_subscriber(_negotiate, ContextFound)
    config.set_request_factory(body.Request)
    config.set_response_factory(lambda request: Response())
    config.add_exception_view(_api_error, context=APIError)
    config.add_exception_view(_unexpected, context=Exception)
    config.add_exception_view(_database_error, context=sa.exc.SQLAlchemyError)
    config.add_exception_view(_undecodable, context=UnicodeDecodeError)
    config.add_exception_view(_undecodable, context=URLDecodeError)
    config.add_exception_view(_http_exception, context=HTTPException)
    config.add_notfound_view(_not_found)


def dumps(value: Any) -> bytes:
    """JSON as the reference writes it: compact, UTF-8, moments in UTC with ``Z``."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def _render(value: Any, system: dict[str, Any]) -> bytes:
    response = system["request"].response
    if response.status_code == 204:
        # No body, and nothing said about its type.
        del response.content_type
        return b""
    response.content_type = JSON
    return dumps(value)


def _answer(status: int, body: Any, headers: dict[str, str]) -> Response:
    response = Response(dumps(body), status=status, content_type=JSON)
    response.headers.update(headers)
    return response


def _negotiate(event: Any) -> None:
    """Whoever accepts nothing that there is is told so before anything else happens.

    That JSON is shown as a page to those who like HTML better is done further out, by ``guywire.browsable``.
    """
    service = event.request.current_service
    if isinstance(service, APIService):
        operation = service.operation_of(event.request.method)
        negotiate(event.request, *([operation.sends] if operation else []))


def _api_error(error: APIError, request: Request) -> Response:
    if isinstance(error, Overtaken):
        mark_error_retryable(error)
    return _answer(error.status, error.body, error.headers)


def _database_error(error: sa.exc.SQLAlchemyError, request: Request) -> Response:
    if is_conflict(error):
        # Somebody was faster. The next attempt sees what they did and answers accordingly.
        mark_error_retryable(error)
        if is_last_attempt(request) and isinstance(error, sa.exc.IntegrityError):
            # Nobody is in the way any more: a check of ours is missing.
            # The first line names the constraint; the others may quote what was to be stored.
            reason = str(error.orig).partition("\n")[0]
            log.error("%s %s: a constraint of the database refused it: %s", request.method, request.path, reason)
            return _api_error(ParseError("The change conflicts with what is stored."), request)
        return _api_error(Overloaded(), request)
    if is_overload(error):
        if getattr(error, "connection_invalidated", False):
            # The next attempt has another connection. The request's own transaction is not committed yet; what a view
            # commits by itself it must be able to do again, as when a client repeats what it got no answer to.
            mark_error_retryable(error)
        log.warning("the database is busy or away: %s", error)
        return _api_error(Overloaded(), request)
    if isinstance(error, sa.exc.DataError):
        # A value that no check of ours refused, but the database does: the client's mistake all the same.
        return _api_error(ParseError("A value cannot be stored."), request)
    return _unexpected(error, request)


def _unexpected(error: Exception, request: Request) -> Response:
    """A mistake of ours: the log tells everything, the client nothing."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _answer(500, {"detail": "Internal server error."}, {})


def _undecodable(error: Exception, request: Request) -> Response:
    try:
        request.path_info, request.GET.items()
    except UnicodeDecodeError:
        pass
    else:
        return _unexpected(error, request)
    return _api_error(ParseError("The address is not valid UTF-8."), request)


def _not_found(error: HTTPNotFound, request: Request) -> PyramidResponse:
    path = request.path_info
    if request.method in ("GET", "HEAD") and is_forgotten(request):
        query = f"?{request.query_string}" if request.query_string else ""
        return Response(status=301, location=path + "/" + query)
    if path.startswith(API):
        return _api_error(NotFound(), request)
    # Routers are used to this type. For people, it is replaced by a page further out.
    error.content_type, error.text = "text/html", "Not Found"
    return error


def _http_exception(error: HTTPException, request: Request) -> Response:
    service = getattr(request, "current_service", None)
    if error.status_code == 405 and isinstance(service, APIService):
        return _method_not_allowed(service, request)
    return error


def _method_not_allowed(service: APIService, request: Request) -> Response:
    """A method that the resource lacks. OPTIONS describes it; strangers are not told what there is."""
    try:
        identity = None if service.public else request.identity
        if identity is None and not service.public:
            raise NotAuthenticated()
    except APIError as error:  # nobody catches it: this is an exception view already
        return _api_error(error, request)
    allowed = service.allowed_methods()
    if request.method == "OPTIONS":
        return _answer(200, describe(service, identity, request.runtime.registry), {"Allow": allowed})
    return _api_error(MethodNotAllowed(request.method, allowed), request)
