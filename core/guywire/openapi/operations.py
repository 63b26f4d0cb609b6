"""One method of one path in the words of OpenAPI."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from guywire.api.base import UUID_PATTERN
from guywire.api.service import FORMS, JSON, Operation
from guywire.openapi.endpoints import Endpoint, parts_of
from guywire.openapi.responses import HTML, name_of
from guywire.openapi.schemas import Components, closed
from guywire.openapi.words import summary_and_description

_SAFE = ("GET",)
_BYTES = {"type": "string", "format": "binary"}
_Requirement = dict[str, list[str]]
_BEARER: _Requirement = {"bearer": []}
_SESSION: _Requirement = {"session": []}
_SESSION_THAT_WRITES: _Requirement = {"session": [], "csrf": []}
_PATTERNS: dict[str, dict[str, Any]] = {
    UUID_PATTERN: {"type": "string", "format": "uuid"},
    "[0-9]+": {"type": "integer", "minimum": 0},
    "": {"type": "string", "pattern": "^[^/]+$"},
}
_WITH_DASHES_OR_NOT = re.compile(r"\[0-9a-f]\{32}\|.*")


def path_of(pattern: str) -> str:
    """A route's pattern as an OpenAPI path."""
    return "".join(
        literal + (f"{{{_name(placeholder)}}}" if placeholder else "") for literal, placeholder in parts_of(pattern)
    )


def operation_of(endpoint: Endpoint, tag: str, components: Components) -> dict[str, Any]:
    """The OpenAPI operation of an endpoint."""
    summary, description = summary_and_description(endpoint)
    described: dict[str, Any] = {
        "tags": [tag],
        "operationId": f"{endpoint.name}_{endpoint.method.lower()}",
        "summary": summary,
        "description": description,
        "parameters": _parameters(endpoint, components),
    }
    operation = endpoint.operation
    if operation is None:
        return described | {"responses": {"default": {"description": "Nobody described it."}}}
    if body := _request_body(operation, components):
        described["requestBody"] = body
    described["responses"] = _responses(endpoint, operation, components)
    described["security"] = _security(endpoint)
    if operation.permission is not None:
        described["x-permission"] = operation.permission
    return {key: value for key, value in described.items() if value or key == "security"}


def _parameters(endpoint: Endpoint, components: Components) -> list[Any]:
    """Whole parameters, and names of those that are shared."""
    found: list[Any] = [
        {"in": "path", "name": _name(placeholder), "required": True, "schema": _path_schema(placeholder)}
        for _, placeholder in parts_of(endpoint.pattern)
        if placeholder
    ]
    operation = endpoint.operation
    if operation is not None:
        for name, field in operation.parameters.items():
            parameter = {"in": "query", "name": name, "description": field.help, "schema": components.field(field)}
            found.append({key: value for key, value in parameter.items() if value})
        if operation.page:
            found += ["page", "page_size"]
    if endpoint.service is not None:
        found.append("format")
    return found


def _name(placeholder: str) -> str:
    return placeholder[1:-1].partition(":")[0]


def _path_schema(placeholder: str) -> dict[str, Any]:
    expression = placeholder[1:-1].partition(":")[2]
    if _WITH_DASHES_OR_NOT.fullmatch(expression):
        return {"type": "string", "format": "uuid"}
    known = _PATTERNS.get(expression)
    return known if known is not None else {"type": "string", "pattern": f"^(?:{expression})$"}


def _request_body(operation: Operation, components: Components) -> dict[str, Any] | None:
    if operation.body is None:
        return None
    kinds = operation.takes or (JSON, *FORMS)
    forms, partial = components.form, operation.partial
    return {
        "required": not partial,
        "content": {
            kind: {"schema": (components.body if kind == JSON else forms)(operation.body, partial=partial)}
            for kind in kinds
        },
    }


def _responses(endpoint: Endpoint, operation: Operation, components: Components) -> dict[str, Any]:
    as_text = endpoint.service is None
    success: dict[str, Any] = {str(operation.status): _success(endpoint, operation, components)}
    if operation.may_create:
        success["201"] = success[str(operation.status)] | {"description": HTTPStatus.CREATED.phrase}
    return success | {str(status): name_of(status, as_text=as_text) for status in sorted(_errors(endpoint, operation))}


def _errors(endpoint: Endpoint, operation: Operation) -> set[int]:
    """What may really come, besides what the operation itself says."""
    errors = {503, *operation.errors}
    if endpoint.method not in _SAFE:
        errors |= {413}
    if endpoint.service is None:
        return errors
    # An address may be no UTF-8; ``format`` may name what there is not.
    errors |= {400, 404, 406}
    if operation.body is not None:
        errors |= {415}
    if not endpoint.service.public:
        errors |= {401, 403, 429}
    return errors


def _success(endpoint: Endpoint, operation: Operation, components: Components) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.status == HTTPStatus.NO_CONTENT or not operation.sends:
        return response
    schema = _answer(operation, components)
    content: dict[str, Any] = {operation.sends: {"schema": schema}}
    if endpoint.service is not None and operation.sends == JSON:
        content[HTML] = {"schema": {"type": "string"}}
    return response | {"content": content}


def _answer(operation: Operation, components: Components) -> dict[str, Any]:
    answer = operation.answer
    if answer is None:
        return {"type": "string"} if operation.sends.startswith("text/") else _BYTES if operation.sends != JSON else {}
    if isinstance(answer, type):
        if operation.page:
            return components.page(answer)
        is_new = operation.status == HTTPStatus.CREATED
        return components.shown(answer, detail=not is_new, new=is_new)
    return dict(closed(answer))


def _security(endpoint: Endpoint) -> list[dict[str, Any]]:
    operation = endpoint.operation
    if endpoint.service is not None and not endpoint.service.public:
        return [_BEARER, _SESSION if endpoint.method in _SAFE else _SESSION_THAT_WRITES]
    if endpoint.service is None and operation is not None and 401 in operation.errors:
        return [_BEARER, _SESSION]
    return []
