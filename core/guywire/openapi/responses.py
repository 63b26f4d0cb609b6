"""What may be answered besides what was asked for: one description for each status, shared by all operations."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

HTML = "text/html"
TEXT = "text/plain"
JSON = "application/json"

DETAIL = {
    "description": "What went wrong, in a sentence.",
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
    "additionalProperties": False,
}
FIELD_ERRORS = {
    "description": "Messages by field, nested as the body is. `__all__` and `non_field_errors` concern the whole.",
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/FieldErrors"}]}},
            {"$ref": "#/components/schemas/FieldErrors"},
        ]
    },
}

_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}

_DESCRIPTIONS: dict[int, str] = {
    400: "The body or a parameter is wrong; nothing was changed. All fields' errors are told at once.",
    401: "Nobody asks, or somebody with a token that does not serve.",
    403: "The user may not do this, or the request of a session came without its CSRF token.",
    404: "There is no such thing, or none that the user may see.",
    405: "The path has no such method. `Allow` lists those that it has.",
    406: "The client accepts neither JSON nor HTML.",
    409: "Something else depends on it.",
    413: "The body is too large.",
    415: "The body is of a type that is not read.",
    429: "Too many wrong passwords or tokens.",
    503: "The database is busy or away.",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    405: {"Allow": {"schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}

ERRORS = tuple(_DESCRIPTIONS)


def name_of(status: int, *, as_text: bool = False) -> str:
    """The name of a status's component."""
    phrase = "".join(word.capitalize() for word in _phrase(status).replace("-", " ").split())
    return f"{phrase}ForDevices" if as_text else phrase


def error(status: int, *, as_text: bool = False) -> dict[str, Any]:
    """What an answer of a status looks like; ``as_text`` at the device's door, where words are for people."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{'FieldErrors' if status in (400, 409) else 'Detail'}"}
    kinds: dict[str, Any] = {JSON: {"schema": schema}, HTML: {"schema": {"type": "string"}}}
    if as_text:
        kinds[TEXT] = {"schema": {"type": "string"}}
    response = {"description": _DESCRIPTIONS.get(status, _phrase(status)), "content": kinds}
    headers = _HEADERS.get(status)
    return {**response, "headers": headers} if headers else response


def _phrase(status: int) -> str:
    return "Content Too Large" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else HTTPStatus(status).phrase
