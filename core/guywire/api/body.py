"""Reads request bodies, in one place: JSON, forms and multipart become nested plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson
from pyramid.request import Request as PyramidRequest
from typing_extensions import override

from guywire.errors import NON_FIELD, APIError, BodyTooLarge, Invalid, ParseError, UnsupportedMediaType

MAX_DEPTH = 100
"""Deeper JSON is refused: nobody configures a router that way, and every later step would have to recurse."""

_CHUNK = 65536
_REFUSED = "guywire.refused_body"
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_INTEGERS = range(-(2**63), 2**64)


class Request(PyramidRequest):
    """A request whose body is read into memory before anything else, so that it can be read again.

    WebOb would make a temporary file that nobody closes, raise where no answer can be given any more, and read bodies
    of unknown length without end.
    """

    @override
    def make_body_seekable(self) -> None:
        if self.is_body_seekable or not self.is_body_readable:
            super().make_body_seekable()
            return
        body: bytes = b""
        try:
            body = self._read_all()
        except BodyTooLarge as error:
            self.environ[_REFUSED] = error
        except OSError:
            self.environ[_REFUSED] = ParseError("The request body ends too early.")
        self.body = body

    def _read_all(self) -> bytes:
        rest = self.registry.runtime.settings.max_body_size
        source, chunks = self.body_file, []
        while chunk := source.read(_CHUNK):
            rest -= len(chunk)
            if rest < 0:
                raise BodyTooLarge()
            chunks.append(chunk)
        return b"".join(chunks)


class FormData(dict[str, Any]):
    """A body that came as a form: all values are text (or files), and an absent checkbox means False."""


def read_body(request: Request) -> dict[str, Any]:
    """The request's body as an object.

    Raises BodyTooLarge, UnsupportedMediaType, ParseError for what cannot be read, Invalid for JSON that is not an
    object.
    """
    media_type = request.content_type.lower()
    if not read_bytes(request):
        return {}
    if media_type in ("application/json", ""):
        return _object(parse_json(request.body))
    if media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return _form(request)
    raise UnsupportedMediaType(media_type)


def read_bytes(request: Request) -> bytes:
    """The request's body as it came. Raises BodyTooLarge, ParseError for one that ends too early."""
    refused: APIError | None = request.environ.get(_REFUSED)
    if refused is not None:
        raise refused
    return bytes(request.body)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text that can be stored and given back as it is. Raises ParseError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ParseError(f"JSON parse error - {_explanation(body, str(error))}") from None
    if _is_deeper_than(value, MAX_DEPTH):
        raise ParseError(f"JSON parse error - nested deeper than {MAX_DEPTH} levels")
    if _LONG_NUMBER.search(body):
        _refuse_long_integers(body)
    return value


def require_shallow(parents: Sequence[str]) -> None:
    """Whether a dotted key has not more objects around it than JSON may have. Raises ParseError."""
    if len(parents) > MAX_DEPTH:
        raise ParseError(f"A key is nested deeper than {MAX_DEPTH} levels.")


def _refuse_long_integers(body: bytes) -> None:
    """orjson makes floats of them, and a router would be told another number than its operator wrote."""

    def check(digits: str) -> None:
        if len(digits) > 20 or int(digits) not in _INTEGERS:
            raise ParseError(f"JSON parse error - the integer {digits[:40]} is longer than 64 bits")

    json.loads(body, parse_int=check)


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
    except (ValueError, DeprecationWarning) as error:  # WebOb raises the latter for any charset but UTF-8
        raise ParseError(f"Form parse error - {error}") from None
    for name, values in fields.items():
        if name is None:
            raise ParseError("Form parse error - a part has no name")
        # What the parser puts in the place of bytes that are no UTF-8: nobody meant that.
        if any("\ufffd" in text for text in (name, *values) if isinstance(text, str)):
            raise ParseError("Form parse error - a field is not valid UTF-8")
        *parents, key = name.split(".")
        require_shallow(parents)
        target: dict[str, Any] = form
        for parent in parents:
            below = target.setdefault(parent, FormData())
            if not isinstance(below, FormData):
                raise Invalid({parent: [f'The form has both "{parent}" and fields below it.']})
            target = below
        target[key] = values[0] if len(values) == 1 else values
    return form
