"""The one rule of the poll: what a router that asks for its checksum or its configuration is answered."""

from __future__ import annotations

import hmac
import re
import uuid
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from guywire.api.archives import content_disposition
from guywire.services.devices import usable_address
from guywire.services.status import DEACTIVATED

_PATH = re.compile(
    r"/controller/(?:device/)?(checksum|download-config)/"
    r"([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/"
)
# What agents send. It holds nothing that has a meaning in a query, so it needs no parser.
_PLAIN_QUERY = re.compile(r"key=([\w-]*)(?:&management_ip=([\w.:]*))?")

CONTROLLER_HEADER = ("X-Openwisp-Controller", "true")
NOT_FOUND_PAGE = b"<!doctype html><title>Not Found</title><h1>Not Found</h1>"


class Poll(NamedTuple):
    """The facts of one request: what is asked for, by whom, from where."""

    device_hex: str
    """the device's id without dashes"""
    download: bool
    """download-config, not checksum"""
    fetches: bool
    """a GET: HEAD takes nothing away"""
    key: str
    caller: str | None
    named: str | None
    """the management address that the device gives as its own; like ``caller`` it may be any text"""

    @property
    def device_id(self) -> uuid.UUID:
        """The device's id."""
        return uuid.UUID(self.device_hex)

    @property
    def address(self) -> str | None:
        """Where the device calls from, as it is to be recorded."""
        return usable_address(self.caller)

    @property
    def management_ip(self) -> str | None:
        """The management address, as it is to be recorded."""
        return usable_address(self.named)

    def has_moved(self, last_ip: str | None, management_ip: str | None) -> bool:
        """Whether the addresses are other ones than those on record."""
        # What is on record was checked then, so the same text needs no parsing now.
        if self.caller == last_ip and self.named == management_ip:
            return False
        return (self.address, self.management_ip) != (last_ip, management_ip)


class Answer(NamedTuple):
    """What to answer; ``polled`` for a device that proved its identity."""

    status: str
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    polled: bool = False


class PollRow(Protocol):
    """What one read of the database tells of a device (see ``guywire.controller.reader``)."""

    key: str
    last_ip: str | None
    management_ip: str | None
    is_active: bool
    checksum: str | None
    look_closer: bool
    """something has to be rendered, or somebody told, before there is an answer"""
    lifecycle: str
    name: str
    served_checksum: str | None
    archive: bytes


class PollReader(Protocol):
    """Reads a device by one statement."""

    def checksum(self, device_hex: str) -> Any:
        """The PollRow without its last three attributes, or None."""

    def download(self, device_hex: str) -> Any:
        """The PollRow, or None."""


def poll_of(environ: dict[str, Any]) -> Poll | None:
    """The poll that a WSGI request is, or None for any other request."""
    method = environ["REQUEST_METHOD"]
    if method != "GET" and method != "HEAD":
        return None
    match = _PATH.fullmatch(environ["PATH_INFO"])
    if match is None:
        return None
    kind, device_id = match.groups()
    key, named = _parameters(environ.get("QUERY_STRING", ""))
    return Poll(
        device_id.replace("-", ""), kind == "download-config", method == "GET", key, environ.get("REMOTE_ADDR"), named
    )


def _parameters(query: str) -> tuple[str, str | None]:
    """The parameters ``key`` and ``management_ip``."""
    match = _PLAIN_QUERY.fullmatch(query)
    if match is not None:
        key, named = match.groups()
        return key, named
    parameters = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
    return parameters.get("key", ""), parameters.get("management_ip")


def answer(reader: PollReader, poll: Poll) -> Answer | None:
    """The answer to a poll, by one indexed read; None when something has to be written or rendered first."""
    row = reader.download(poll.device_hex) if poll.download else reader.checksum(poll.device_hex)
    refusal = refusal_of(row, poll.key)
    if refusal is not None:
        return refusal
    if row.look_closer or row.checksum is None:
        return None
    if poll.has_moved(row.last_ip, row.management_ip):
        return None
    if not poll.download:
        return Answer("200 OK", "text/plain", row.checksum.encode(), (CONTROLLER_HEADER,), polled=True)
    if not row.archive or (poll.fetches and row.served_checksum != row.checksum):
        return None
    disposition = ("Content-Disposition", content_disposition(row.name))
    headers = (CONTROLLER_HEADER, disposition)
    return Answer("200 OK", "application/octet-stream", row.archive, headers, polled=True)


def refusal_of(row: Any, key: str) -> Answer | None:
    """The answer to a device that gets nothing: unknown, out of service, or without the right key.

    ``row`` is None or has the attributes ``key``, ``is_active`` and ``lifecycle``.
    """
    if row is None or not row.is_active or row.lifecycle == DEACTIVATED:
        return Answer("404 Not Found", "text/html", NOT_FOUND_PAGE)
    if not key:
        return _text("400 Bad Request", 'error: missing required parameter "key"\n')
    if not hmac.compare_digest(key.encode(), row.key.encode()):
        return _text("403 Forbidden", "error: wrong key\n")
    return None


def _text(status: str, text: str) -> Answer:
    return Answer(status, "text/plain", text.encode(), (CONTROLLER_HEADER,))
