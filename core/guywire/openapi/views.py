"""Where the description is read: as JSON, as YAML, and as a page, by everybody who is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
import yaml
from pyramid.config import Configurator
from pyramid.request import Request
from typing_extensions import override

from guywire.api.answers import Response
from guywire.api.service import JSON, Operation, described
from guywire.browsable.page import render, static_version
from guywire.errors import MethodNotAllowed, NotAuthenticated
from guywire.openapi.document import build

PAGE = "/api/v1/docs/"
YAML = "application/yaml"
"""Its registered media type (RFC 9512)."""

_OPENAPI = {"type": "object", "additionalProperties": True}
_VIEWS = {"docs_json": "/api/v1/docs.json", "docs_yaml": "/api/v1/docs.yaml", "docs": PAGE, "redoc": "/api/v1/redoc/"}
_STATIC = f"static/openapi-{static_version('guywire.openapi')}"
_NEVER_CHANGES = 365 * 24 * 3600


def includeme(config: Configurator) -> None:
    """Serve the description, and the files of Swagger UI."""
    config.add_static_view(_STATIC, "guywire.openapi:static", cache_max_age=_NEVER_CHANGES)
    for name, path in _VIEWS.items():
        config.add_route(name, path)
    for name, view in (("docs_json", as_json), ("docs_yaml", as_yaml), ("docs", as_page), ("redoc", to_page)):
        config.add_view(view, route_name=name, request_method=("GET", "HEAD"))
        config.add_view(_no_other_method, route_name=name)


@dataclass(frozen=True)
class Description:
    """An application's description in each of its forms, which are made when they are first asked for."""

    document: dict[str, Any]

    @cached_property
    def json(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(self.document)

    @cached_property
    def yaml(self) -> bytes:
        """The document as YAML."""
        return yaml.dump(self.document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120).encode()


def description_of(registry: Any) -> Description:
    """The application's description, made when it is first asked for: everything is registered by then."""
    found: Description | None = getattr(registry, "openapi_description", None)
    if found is None:
        found = registry.openapi_description = Description(build(registry))
    return found


@described(Operation(answer=_OPENAPI, errors=(401,)))
def as_json(request: Request) -> Response:
    """The OpenAPI document of this very server as JSON."""
    return _file(request, "openapi.json", _for_users(request).json, JSON)


@described(Operation(answer=_OPENAPI, sends=YAML, errors=(401,)))
def as_yaml(request: Request) -> Response:
    """The OpenAPI document of this very server as YAML."""
    return _file(request, "openapi.yaml", _for_users(request).yaml, YAML)


@described(Operation(sends="text/html", errors=(401,)))
def as_page(request: Request) -> Response:
    """The OpenAPI document as a page on which everything can be tried out."""
    _for_users(request)
    return render(request, "docs.jinja2", swagger=f"/{_STATIC}")


@described(Operation(status=301, sends=""))
def to_page(request: Request) -> Response:
    """Where older links to the description lead."""
    return Response(status=301, location=PAGE)


def _no_other_method(request: Request) -> Response:
    raise MethodNotAllowed(request.method, "GET, HEAD")


def _for_users(request: Request) -> Description:
    """The description, for everybody who is somebody. Raises NotAuthenticated."""
    if request.identity is None:
        raise NotAuthenticated()
    return description_of(request.registry)


def _file(request: Request, name: str, body: bytes, media_type: str) -> Response:
    response = Response(body, content_type=media_type)
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    return response


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes what occurs twice twice: not every reader of OpenAPI knows anchors."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True
