"""Where the page of an answer leads: to the objects that it names, and to what lies below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.request import Request

from guywire.api.description import members
from guywire.api.service import JSON, APIService
from guywire.browsable.plugin_pages import links_of_object
from guywire.browsable.sitemap import Sitemap
from guywire.browsable.words import title_of
from guywire.security import Identity


@dataclass(frozen=True, slots=True)
class Related:
    """A service below the one of a page: a link, to a download or not, or a button that ``acts`` at once."""

    path: str
    title: str
    downloads: bool
    acts: bool


def related_to(
    service: APIService, body: Mapping[str, Any], request: Request, identity: Identity | None, sitemap: Sitemap
) -> list[Related]:
    """What else there is to see of an object or a list, and what the user may do with it as it is now."""
    found = []
    for path, other in sitemap.below(request.path_info):
        method = next((each for each in ("GET", "POST", "PUT") if each in other.operations), None)
        operation = other.operations[method] if method else None
        if operation is None or not operation.allows(identity):
            continue
        if operation.applies is None or operation.applies(body):
            downloads = method == "GET" and operation.sends != JSON
            query = f"?{request.query_string}" if downloads and request.query_string else ""
            acts = method == "POST" and operation.body is None
            found.append(Related(path + query, title_of(other), downloads, acts))
    if service.resource is not None and "}" in service.path:
        pages = links_of_object(request.registry, identity, service.resource.kind, body)
        found += [Related(path, title, downloads=False, acts=False) for path, title in pages]
    return found


def targets_of(resource: Any, sitemap: Sitemap) -> dict[str, Any]:
    """Where the ids in the body of an object lead, for ``highlight``."""
    targets = _of_schema(resource.schema, sitemap)
    if path := sitemap.detail_path(resource.model):
        targets["id"] = path
    return targets


def _of_schema(schema: Any, sitemap: Sitemap) -> dict[str, Any]:
    targets: dict[str, Any] = {}
    for member in members(schema):
        if member.nested is not None:
            targets[member.name] = _of_schema(member.nested, sitemap)
        elif member.field is not None and member.field.model is not None:
            targets[member.name] = sitemap.detail_path(member.field.model)
    return targets
