"""What a client wants to read: JSON, or a page of HTML that shows it."""

from __future__ import annotations

from pyramid.request import Request

from guywire.errors import NotAcceptable, NotFound

JSON = "application/json"
HTML = "text/html"

_ANYTHING = ("", "*/*", JSON, "application/json, text/plain, */*")
"""What programs send: no need to look closer."""
_FORMATS = {"json": [JSON], "api": [HTML], None: [JSON, HTML]}


def negotiate(request: Request, *downloads: str) -> str:
    """The media type that the client prefers: JSON unless it likes HTML better, as browsers do.

    ``downloads`` are further types, of what is sent as it is: they are for clients that accept nothing else. With
    ``?format=json`` it is JSON whatever the client accepts, with ``?format=api`` it is a page. Raises NotFound for
    another format, NotAcceptable for an Accept header that allows nothing that there is.
    """
    if request.environ.get("HTTP_ACCEPT", "") in _ANYTHING and "format" not in request.environ.get("QUERY_STRING", ""):
        return JSON
    wanted = request.GET.get("format") or None
    offers = _FORMATS.get(wanted)
    if offers is None:
        raise NotFound()
    accept = request.accept
    if offers == [JSON] or not accept.parsed:  # none, an empty one, or one that cannot be understood
        return offers[0]
    if not wanted:
        offers = [*offers, *downloads]
    if acceptable := accept.acceptable_offers(offers):
        best: str = acceptable[0][0]
        return best
    # WebOb takes parameters seriously: nobody who writes ``application/json; indent=4`` wants to be refused.
    accepted = {range.partition(";")[0].strip().lower() for range, quality, *_ in accept.parsed if quality}
    for offer in offers:
        if offer in accepted:
            return offer
    raise NotAcceptable()
