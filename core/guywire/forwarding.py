"""The outermost WSGI layer: who really asks behind trusted proxies, and no body that is too large."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from guywire.errors import BodyTooLarge


class TrustedProxies:
    """Believes X-Forwarded-For and X-Forwarded-Proto of the given networks, once for everything behind it.

    The client is the last address in X-Forwarded-For that is not itself a trusted proxy: what stands before it was
    written by strangers.
    """

    def __init__(self, application: Any, networks: Iterable[IPv4Network | IPv6Network], max_body_size: int) -> None:
        self.application = application
        self.registry = application.registry
        self.networks = tuple(networks)
        self.max_body_size = max_body_size

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self.networks and self._is_trusted(environ.get("REMOTE_ADDR", "")):
            self._resolve(environ)
        length = environ.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > self.max_body_size:
            return _refuse(start_response)
        return self.application(environ, start_response)

    def _resolve(self, environ: dict[str, Any]) -> None:
        forwarded = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        for address in reversed(forwarded):
            if not _is_address(address):
                break
            environ["REMOTE_ADDR"] = address
            if not self._is_trusted(address):
                break
        scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _refuse(start_response: Any) -> Iterable[bytes]:
    error = BodyTooLarge()
    body = f'{{"detail":"{error.message}"}}'.encode()
    start_response(
        "413 Content Too Large",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")],
    )
    return [body]
