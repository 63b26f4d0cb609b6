"""What there is to describe: every method of every path of the REST API and of the device's door."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyramid.interfaces import IRoutesMapper

from guywire.api.service import APIService, Operation

PREFIXES = ("/api/", "/controller/")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Those that are described. HEAD and OPTIONS are the same everywhere."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. ``operation`` is None where nobody described it; ``service`` where it is a plain view."""

    name: str
    pattern: str
    method: str
    documentation: str
    operation: Operation | None
    service: APIService | None = None


def endpoints_of(registry: Any) -> list[Endpoint]:
    """All of them by path, in the order of METHODS: plugins' too, whether cornice serves them or Pyramid."""
    found: dict[tuple[str, str], Endpoint] = {}
    services = {service.name: service for service in registry.cornice_services.values()}
    for service in services.values():
        for method, view, _ in service.definitions:
            operations = getattr(service, "operations", {})
            ours = service if isinstance(service, APIService) else None
            documentation = _documentation(view, service)
            endpoint = Endpoint(
                service.name, service.path, method.upper(), documentation, operations.get(method.upper()), ours
            )
            found.setdefault((service.path, method.upper()), endpoint)
    for route, method, view in _plain_views(registry, known=set(services)):
        operation = getattr(view, "operation", None)
        endpoint = Endpoint(route.name, route.pattern, method, view.__doc__ or "", operation)
        found.setdefault((route.pattern, method), endpoint)
    wanted = (each for each in found.values() if each.method in METHODS and each.pattern.startswith(PREFIXES))
    return sorted(wanted, key=lambda each: (each.pattern, METHODS.index(each.method)))


def _documentation(view: Any, service: Any) -> str:
    method = getattr(service.klass, view, None) if isinstance(view, str) and hasattr(service, "klass") else view
    return getattr(method, "__doc__", None) or service.description or ""


def _plain_views(registry: Any, known: set[str]) -> Iterator[tuple[Any, str, Any]]:
    """Routes with a method and its view. A view for any method counts as GET where the route has no other."""
    mapper = registry.getUtility(IRoutesMapper)
    views: dict[str, list[Any]] = {}
    for item in registry.introspector.get_category("views") or []:
        view = item["introspectable"]
        if view["route_name"] is not None and view["route_name"] not in known:
            views.setdefault(view["route_name"], []).append(view)
    for name, each in views.items():
        route = mapper.get_route(name)
        if route is None:
            continue
        with_method = [view for view in each if view["request_methods"]]
        for view in with_method or each[:1]:
            methods = view["request_methods"] or "GET"
            for method in (methods,) if isinstance(methods, str) else methods:
                yield route, method, view["callable"]


def parts_of(pattern: str) -> Iterator[tuple[str, str]]:
    """A route's pattern as pairs of what is written there and the placeholder after it, ``{id:[0-9]{2}}`` whole."""
    literal, placeholder, depth = "", "", 0
    for character in pattern:
        depth += character == "{"
        if depth:
            placeholder += character
        else:
            literal += character
        depth -= character == "}"
        if placeholder and not depth:
            yield literal, placeholder
            literal = placeholder = ""
    if literal:
        yield literal, ""
