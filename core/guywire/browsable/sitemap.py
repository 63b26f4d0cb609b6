"""Which services there are, by path and by what they serve: for links, breadcrumbs and the start page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pyramid.interfaces import IRoutesMapper
from pyramid.registry import Registry

from guywire.api.service import APIService, services_of


class Sitemap:
    """The REST API's services, plugins' included."""

    def __init__(self, registry: Registry) -> None:
        mapper = registry.getUtility(IRoutesMapper)
        self._routes = [(service, mapper.get_route(service.name)) for service in services_of(registry)]
        self._detail_paths = {
            service.resource.model: service.path
            for service, route in reversed(self._routes)
            if service.resource is not None and list(_placeholders(route)) == ["id"] and service.path.endswith("}/")
        }

    def at(self, path: str) -> APIService | None:
        """The service that answers at ``path``."""
        return next((service for service, route in self._routes if route.match(path) is not None), None)

    def above(self, path: str) -> list[tuple[str, APIService]]:
        """The services with a page that lie on the way to ``path``, with their addresses; its own is the last."""
        parts = path.strip("/").split("/")
        found = []
        for count in range(1, len(parts) + 1):
            prefix = "/" + "/".join(parts[:count]) + "/"
            service = self.at(prefix)
            if service is not None and (count == len(parts) or "GET" in service.operations):
                found.append((quote(prefix), service))
        return found

    def below(self, service: APIService) -> list[APIService]:
        """The services right below an object's own: what else there is to see of it and to do with it."""
        children = (other for other, _ in self._routes if other is not service and other.path.startswith(service.path))
        return [other for other in children if "{" not in other.path[len(service.path) :]]

    def lists(self) -> list[APIService]:
        """The services that list objects and need no others to be named before."""
        return [
            service
            for service, route in self._routes
            if service.resource is not None and "GET" in service.operations and not list(_placeholders(route))
        ]

    def list_of(self, model: Any) -> APIService | None:
        """The service that lists objects of ``model``."""
        return next((service for service in self.lists() if service.resource.model is model), None)

    def detail_path(self, model: Any) -> str | None:
        """Where one object of ``model`` is shown, with ``{}`` for its id."""
        path = self._detail_paths.get(model)
        return None if path is None else path[: path.index("{")] + "{}/"


def _placeholders(route: Any) -> Iterator[str]:
    """The names of a route's parts that vary."""
    depth, start = 0, 0
    for position, character in enumerate(route.pattern):
        if character == "{":
            depth += 1
            if depth == 1:
                start = position + 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                yield route.pattern[start:position].partition(":")[0]


def sitemap_of(registry: Registry) -> Sitemap:
    """The application's sitemap, made when it is first asked for: all routes are there by then."""
    found: Sitemap | None = getattr(registry, "sitemap", None)
    if found is None:
        found = registry.sitemap = Sitemap(registry)
    return found
