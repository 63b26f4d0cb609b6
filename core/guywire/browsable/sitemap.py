"""Which services there are, by path and by what they serve: for links, breadcrumbs and the start page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pyramid.interfaces import IRoutesMapper
from pyramid.registry import Registry

from guywire.api.service import APIService, services_of

_FAMILY = re.compile(r"/api/v1/[a-z]+/")
"""What paths begin with. Of one object there may be paths in several families: a plugin has its own."""
_NAME = re.compile(r"\{[a-z]\w*:?")


class Sitemap:
    """The REST API's services, plugins' included."""

    def __init__(self, registry: Registry) -> None:
        mapper = registry.getUtility(IRoutesMapper)
        self._routes = [(service, mapper.get_route(service.name)) for service in services_of(registry)]
        self._families = sorted({family[0] for service, _ in self._routes if (family := _FAMILY.match(service.path))})
        self._detail_paths = {
            service.resource.model: service.path
            for service, route in self._routes
            if service.resource is not None and list(_placeholders(route)) == ["id"] and service.path.endswith("}/")
        }

    def at(self, path: str) -> APIService | None:
        """The service that answers at ``path``."""
        return next((service for service, route in self._routes if route.match(path) is not None), None)

    def above(self, path: str) -> list[tuple[str, APIService]]:
        """The services with a page that lie on the way to ``path``, with their addresses; its own is the last."""
        own = self.at(path)
        found = []
        for end in (match.end() for match in re.finditer("/", path)):
            for prefix in (path[:end], *self._elsewhere(path[:end] if own else "")):
                service = self.at(prefix)
                if service is not None and (service is own or "GET" in service.operations):
                    found.append((quote(prefix), service))
                    break
        if own is not None and not path.endswith("/"):
            found.append((quote(path), own))
        return found

    def below(self, path: str) -> list[tuple[str, APIService]]:
        """The services right below that of ``path``, with their addresses: what else there is to see of an object and
        to do with it.
        """
        service, route = next((service, route) for service, route in self._routes if route.match(path) is not None)
        shape, values = _shape(service.path), list(route.match(path).values())
        found = []
        for other, other_route in self._routes:
            rest = _shape(other.path).removeprefix(shape)
            if other is not service and _shape(other.path) == shape + rest and rest and "{" not in rest:
                names = list(_placeholders(other_route))
                found.append((other_route.generate(dict(zip(names, values, strict=True))), other))
        return found

    def lists(self) -> list[APIService]:
        """The services that list objects and need no others to be named before; one for each kind of objects."""
        found = {
            service.resource.model: service
            for service, route in self._routes
            if service.resource is not None and "GET" in service.operations and not list(_placeholders(route))
        }
        return list(found.values())

    def _elsewhere(self, path: str) -> list[str]:
        """The same address in other families."""
        family = _FAMILY.match(path)
        return [] if family is None else [each + path[family.end() :] for each in self._families if each != family[0]]

    def list_of(self, model: Any) -> APIService | None:
        """The service that lists objects of ``model``."""
        return next((service for service in self.lists() if service.resource.model is model), None)

    def detail_path(self, model: Any) -> str | None:
        """Where one object of ``model`` is shown, with ``{}`` for its id."""
        path = self._detail_paths.get(model)
        return None if path is None else path[: path.index("{")] + "{}/"


def _shape(path: str) -> str:
    """A service's path as far as others continue it: without its family and the names of what varies in it."""
    return _NAME.sub("{", _FAMILY.sub("", path, count=1))


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
