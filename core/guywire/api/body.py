"""Reads request bodies, in one place: JSON, forms and multipart become nested plain values."""

from __future__ import annotations

import json
import sys
from typing import Any

import orjson
from pyramid.request import Request as PyramidRequest

from guywire.errors import NON_FIELD, Invalid, ParseError, UnsupportedMediaType

MAX_DEPTH = 100
"""Deeper JSON is refused: nobody configures a router that way, and every later step would have to recurse."""


class Request(PyramidRequest):
    """A request that keeps its body in memory.

    Its size is limited already, and the temporary file that WebOb would make is closed by nobody.
    """

    request_body_tempfile_limit = sys.maxsize


class FormData(dict[str, Any]):
    """A body that came as a form: all values are text (or files), and an absent checkbox means False."""


def read_body(request: Request) -> dict[str, Any]:
    """The request's body as an object.

    Raises UnsupportedMediaType, ParseError for what cannot be read, Invalid for JSON that is not an object.
    """
    media_type = request.content_type
    if not request.body and not request.POST:
        return {}
    if media_type in ("application/json", ""):
        return _object(_json(request.body))
    if media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return _form(request)
    raise UnsupportedMediaType(media_type)


def _json(body: bytes) -> Any:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ParseError(f"JSON parse error - {_explanation(body, str(error))}") from None
    if _is_deeper_than(value, MAX_DEPTH):
        raise ParseError(f"JSON parse error - nested deeper than {MAX_DEPTH} levels")
    return value


def _explanation(body: bytes, fallback: str) -> str:
    # The standard library's messages are those that clients know; orjson refuses a little more (NaN, surrogates).
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        return str(error)
    return fallback


def _is_deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if value is None:
        raise Invalid({NON_FIELD: ["No data provided"]})
    raise Invalid({NON_FIELD: [f"Invalid data. Expected a dictionary, but got {type(value).__name__}."]})


def _form(request: Request) -> FormData:
    """A form's fields; ``config.backend`` becomes a key of the object ``config``, a repeated field a list."""
    form = FormData()
    try:
        fields = request.POST.dict_of_lists()
    except (ValueError, UnicodeError) as error:
        raise ParseError(f"Form parse error - {error}") from None
    for name, values in fields.items():
        *parents, key = name.split(".")
        target: dict[str, Any] = form
        for parent in parents:
            below = target.setdefault(parent, FormData())
            if not isinstance(below, FormData):
                raise Invalid({parent: [f'The form has both "{parent}" and fields below it.']})
            target = below
        target[key] = values[0] if len(values) == 1 else values
    return form
