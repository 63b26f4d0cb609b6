"""What forms of our pages send, translated for the API: HTML knows two methods and no lists in an order of choice.

A form's own fields begin with an underscore: ``_method`` is the method that is meant, ``_content`` with
``_content_type`` a whole body, ``_query.<name>`` a parameter of the address. ``_optional`` names a nested body that
counts only if ``_include`` names it as well, ``_absent`` a field that browsers leave out when nothing is chosen, with
what that means as ``name=value``, ``_position.<field>.<value>`` says where a chosen value stands, ``_file`` names a
field that counts only with a file in it, and with ``_sparse`` nothing counts that is empty.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pyramid.request import Request

from guywire import csrf
from guywire.api.answers import API

METHODS = ("GET", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_FORM = "application/x-www-form-urlencoded"
_QUERY = "_query."
_SENT = "guywire.sent_form"


def translate(request: Request) -> None:
    """Turn a form that one of our pages sent into the request that it means, before anybody else looks at it.

    Whether the page was ours is decided later, by the check of every unsafe request that comes with a session: the
    form's token becomes the header that it looks for. A method that needs no check does nothing, and without a session
    there is nothing to protect: only public services let strangers in.
    """
    if request.method != "POST" or not request.environ["PATH_INFO"].startswith(API):
        return
    if "Authorization" in request.headers or request.content_type not in (_FORM, "multipart/form-data"):
        return
    try:
        sent = [(name, value) for name, value in request.POST.items() if name is not None]
    except (ValueError, DeprecationWarning):  # the API says what is wrong with it
        return
    own = {name: value for name, value in sent if name.startswith("_")}
    method = own.get("_method")
    if method not in METHODS:
        return
    token = next((value for name, value in sent if name == csrf.FIELD and isinstance(value, str)), "")
    request.headers[csrf.HEADER] = token
    parameters = {name.removeprefix(_QUERY): value for name, value in own.items() if name.startswith(_QUERY) and value}
    request.query_string = "&".join(filter(None, (request.query_string, urlencode(parameters))))
    request.environ[_SENT] = sent
    if "_content" in own:
        content = own["_content"]
        request.content_type = str(own.get("_content_type", "application/json"))
        request.body = content.encode() if isinstance(content, str) else content.value
    else:
        encoded = Request.blank("/", POST=_arranged(sent), content_type=request.content_type)
        request.body, request.headers["Content-Type"] = encoded.body, encoded.headers["Content-Type"]
    request.method = method


def sent_form(request: Request) -> list[tuple[str, Any]] | None:
    """The fields that one of our forms sent with this request; None if none did."""
    return request.environ.get(_SENT)


def _arranged(sent: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The fields that are meant, in the order that is meant."""
    own = [(name, value) for name, value in sent if name.startswith("_")]
    left_out = {value for name, value in own if name == "_optional"} - {
        value for name, value in own if name == "_include"
    }
    positions = {name.removeprefix("_position."): value for name, value in own if name.startswith("_position.")}
    fields = [(name, value) for name, value in sent if not name.startswith("_") and name != csrf.FIELD]
    given = {name for name, _ in fields}
    for name, value in own:
        field, _, meaning = value.partition("=")
        if name == "_absent" and field not in given:
            fields.append((field, meaning))
    fields = [(name, value) for name, value in fields if name.partition(".")[0] not in left_out]
    empty = {value for name, value in own if name == "_file"} | ({*given} if ("_sparse", "1") in own else set())
    fields = [(name, value) for name, value in fields if name not in empty or value not in ("", b"")]
    # Stable: fields without positions stay where they are among themselves, and only values of one field are compared.
    return sorted(fields, key=lambda pair: _position(positions.get(f"{pair[0]}.{pair[1]}")))


def _position(text: str | None) -> float:
    try:
        return float(text or "inf")
    except ValueError:
        return float("inf")
