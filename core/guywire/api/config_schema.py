"""The schemas of all backends, for editors of configurations: ``/config/schema.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pyramid.config import Configurator
from pyramid.request import Request

from guywire.api.answers import Response
from guywire.api.service import JSON, Operation, described
from guywire.errors import APIError
from guywire.runtime import Runtime

PATH = "/config/schema.json"


class LoginRequired(APIError):
    """403, as the reference says it here."""

    status = 403

    def __init__(self) -> None:
        super().__init__({"error": "login required"})


@dataclass(frozen=True, slots=True)
class Schemas:
    """The document, and since when this process has it."""

    body: bytes
    since: datetime


def includeme(config: Configurator) -> None:
    """Serve the schemas. They are those of the plugins that the application starts with."""
    runtime: Runtime = config.registry.runtime
    registry = runtime.registry
    found: dict[str, Any] = {id: _editable(each.schema) for id, each in registry.config_backends.items()}
    found |= {id: each.schema for id, each in registry.vpn_backends.items()}
    config.registry.config_schemas = Schemas(orjson.dumps(found), runtime.clock())
    config.add_route("config_schema", PATH)
    config.add_view(show, route_name="config_schema", request_method=("GET", "HEAD"))


def _editable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without the hostname, which is the device's name."""
    parts = dict(schema.get("properties", {}))
    if "general" in parts:
        general = parts["general"]
        others = {name: part for name, part in general.get("properties", {}).items() if name != "hostname"}
        parts["general"] = {**general, "properties": others}
    return {**schema, "properties": parts}


@described(Operation(answer={"type": "object", "additionalProperties": {"type": "object"}}, errors=(403,)))
def show(request: Request) -> Response:
    """The JSON Schema of each backend of configurations and of VPN servers, by its id."""
    if request.identity is None:
        raise LoginRequired()
    schemas: Schemas = request.registry.config_schemas
    response = Response(schemas.body, content_type=JSON, conditional_response=True)
    response.last_modified = schemas.since
    return response
