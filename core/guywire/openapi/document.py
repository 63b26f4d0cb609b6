"""The OpenAPI document of an application: assembled once, from what is registered."""

from __future__ import annotations

from typing import Any

from apispec import APISpec

from guywire import __version__, csrf
from guywire.api.description import label_of
from guywire.api.naming import plural_of
from guywire.api.service import services_of
from guywire.openapi.endpoints import Endpoint, endpoints_of
from guywire.openapi.operations import operation_of, path_of
from guywire.openapi.responses import DETAIL, ERRORS, FIELD_ERRORS, error, name_of
from guywire.openapi.schemas import Components
from guywire.openapi.words import description_of
from guywire.settings import Settings

_DOOR = "Device protocol"
_DOCUMENTATION = "Documentation"

_INTRODUCTION = """\
**Who asks.** `Authorization: Bearer …` with the token of `POST /api/v1/users/token/`, or the session of a browser;
then requests that change something also carry the header `X-CSRFToken`.

**Bodies** are JSON or forms. In a form, `config.backend` is the field `backend` of the object `config`, and objects
are JSON text. Unknown fields are ignored. PUT replaces an object, PATCH changes the given fields.

**Answers** are JSON, or a page to a browser (`?format=json` and `?format=api` choose). Lists come in pages, and their
filters can be combined.

**Everywhere:** HEAD answers as GET without a body; OPTIONS describes a path; a method that a path lacks is answered
with 405. An object of an organization that the user does not manage is answered with 404, as if there were none.
"""

_DOOR_DESCRIPTION = (
    "What agents on devices speak. They prove who they are by the device's key; what they are told is text, and all "
    "answers to devices that are known have the header `X-Openwisp-Controller: true`."
)


def build(registry: Any) -> dict[str, Any]:
    """The document of the application that Pyramid's ``registry`` belongs to."""
    settings: Settings = registry.runtime.settings
    spec = APISpec(
        title="guywire",
        version=__version__,
        openapi_version="3.1.0",
        info={
            "description": _INTRODUCTION,
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        servers=[{"url": "/"}],
    )
    _add_shared(spec, settings)
    components = Components(registry.runtime.registry, spec.components.schema)
    paths: dict[str, dict[str, Any]] = {}
    tags = _Tags(registry)
    for endpoint in endpoints_of(registry):
        operation = operation_of(endpoint, tags.of(endpoint), components)
        paths.setdefault(path_of(endpoint.pattern), {})[endpoint.method.lower()] = operation
    for path, operations in paths.items():
        spec.path(path=path, operations=operations)
    for tag in tags.described():
        spec.tag(tag)
    document: dict[str, Any] = spec.to_dict()
    return document


def _add_shared(spec: APISpec, settings: Settings) -> None:
    add = spec.components
    add.security_scheme("bearer", {"type": "http", "scheme": "bearer", "description": "A token or an API key."})
    add.security_scheme("session", {"type": "apiKey", "in": "cookie", "name": csrf.SESSION_COOKIE})
    add.security_scheme(
        "csrf",
        {
            "type": "apiKey",
            "in": "header",
            "name": csrf.HEADER,
            "description": f"The value of the cookie `{csrf.COOKIE}`.",
        },
    )
    size = {"type": "integer", "minimum": 1, "maximum": settings.max_page_size, "default": settings.page_size}
    number = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "const": "last"}], "default": 1}
    kind = {"type": "string", "enum": ["json", "api"]}
    for name, description, schema in (
        ("page", "Which page.", number),
        ("page_size", "How many objects on a page.", size),
        ("format", "JSON, or a page for a browser, whatever the client accepts.", kind),
    ):
        add.parameter(name, "query", {"name": name, "description": description, "schema": schema})
    add.schema("Detail", DETAIL)
    add.schema("FieldErrors", FIELD_ERRORS)
    for status in ERRORS:
        add.response(name_of(status), error(status))
        add.response(name_of(status, as_text=True), error(status, as_text=True))


class _Tags:
    """Which group of the document an endpoint belongs to: that of the resource whose path its own begins with."""

    def __init__(self, registry: Any) -> None:
        self._resources = {service.path: service for service in services_of(registry) if service.resource is not None}
        self._used: dict[str, str] = {}

    def of(self, endpoint: Endpoint) -> str:
        """The name of the group."""
        name, description = self._find(endpoint)
        self._used.setdefault(name, description)
        return name

    def described(self) -> list[dict[str, str]]:
        """All groups that something belongs to."""
        return [{"name": name, "description": self._used[name]} for name in sorted(self._used)]

    def _find(self, endpoint: Endpoint) -> tuple[str, str]:
        if endpoint.pattern.startswith("/controller/"):
            return _DOOR, _DOOR_DESCRIPTION
        # The outermost: what belongs to an object is described with the object.
        above = sorted((path for path in self._resources if endpoint.pattern.startswith(path)), key=len)
        service = self._resources[above[0]] if above else endpoint.service
        if service is None:
            return _DOCUMENTATION, "This description."
        operation = endpoint.operation
        resource = service.resource or (operation and isinstance(operation.answer, type) and operation.answer)
        if resource:
            return plural_of(resource), description_of(resource)
        return label_of(service.title), " ".join((service.description or "").split())
