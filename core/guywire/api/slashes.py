"""Paths whose trailing slash somebody forgot: a redirect where nothing can get lost by it, else the same answer."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request

_SAFE = ("GET", "HEAD")


def includeme(config: Configurator) -> None:
    """Answer requests that change something under both forms of a path."""
    config.add_subscriber(_add_slash, NewRequest)


def _add_slash(event: Any) -> None:
    """A client that is redirected would leave its body behind, so nobody is redirected who may have one."""
    request = event.request
    if request.method not in _SAFE and is_forgotten(request):
        request.path_info += "/"


def is_forgotten(request: Request) -> bool:
    """Whether there is nothing at this path, but something at the one with a slash at its end."""
    path: str = request.path_info
    return not path.endswith("/") and not _has_route(request, path) and _has_route(request, f"{path}/")


def _has_route(request: Request, path: str) -> bool:
    mapper = request.registry.getUtility(IRoutesMapper)
    probe = request.copy_get()
    probe.path_info = path
    return mapper(probe)["route"] is not None
