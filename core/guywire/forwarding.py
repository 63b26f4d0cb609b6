"""The outermost WSGI layer: who really asks behind trusted proxies, and no body that is too large."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from guywire.errors import BodyTooLarge

Address = tuple[int, int]

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_IPV4_IN_IPV6 = 0xFFFF
"""What stands before an IPv4 address that a socket for both families has noted (``::ffff:10.0.0.1``)."""


class TrustedProxies:
    """Believes X-Forwarded-For and X-Forwarded-Proto of the given networks, once for everything behind it.

    The client is the last address in X-Forwarded-For that is not itself a trusted proxy: what stands before it was
    written by strangers.
    """

    def __init__(self, application: Any, networks: Iterable[IPv4Network | IPv6Network], max_body_size: int) -> None:
        self.application = application
        self.registry = application.registry
        self.networks = [
            (_FAMILIES[network.version], int(network.netmask), int(network.network_address)) for network in networks
        ]
        self.max_body_size = max_body_size

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass the request on, with the client's address and scheme in it."""
        if self.networks and self._is_trusted(_parsed(environ.get("REMOTE_ADDR", ""))):
            self._resolve(environ)
        length = environ.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > self.max_body_size:
            return _refuse(start_response)
        return self.application(environ, start_response)

    def _resolve(self, environ: dict[str, Any]) -> None:
        for part in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            if text := part.strip():
                address = _parsed(text)
                if address is None:
                    break
                environ["REMOTE_ADDR"] = text
                if not self._is_trusted(address):
                    break
        scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme

    def _is_trusted(self, address: Address | None) -> bool:
        if address is not None:
            family, number = address
            for trusted_family, mask, network in self.networks:
                if family == trusted_family and number & mask == network:
                    return True
        return False


def _parsed(text: str) -> Address | None:
    """An address as family and number; None for any other text. (Every request comes here, and ``ipaddress`` would
    take more time than all else that a poll needs in Python.)
    """
    family = socket.AF_INET
    if ":" in text:
        family, text = socket.AF_INET6, text.partition("%")[0]
    try:
        number = int.from_bytes(socket.inet_pton(family, text))
    except (OSError, ValueError):
        return None
    if number >> 32 == _IPV4_IN_IPV6:
        return socket.AF_INET, number & 0xFFFFFFFF
    return family, number


def _refuse(start_response: Any) -> Iterable[bytes]:
    error = BodyTooLarge()
    body = f'{{"detail":"{error.message}"}}'.encode()
    start_response(
        "413 Content Too Large",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")],
    )
    return [body]
