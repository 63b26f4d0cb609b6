"""Pages of plugins: links that lead to them from everywhere, or from the pages of one kind of object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry

from guywire.security import Identity


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link for those who have ``permission`` (such as ``view_device``).

    ``kind`` is the kind of the objects on whose pages it stands, with ``{id}`` for theirs in ``path``; "": it stands
    at the top of every page.
    """

    path: str
    title: str
    permission: str
    kind: str = ""

    def is_for(self, identity: Identity | None) -> bool:
        """Whether the user may go there. As for reading in general: who may change may look."""
        if identity is None:
            return False
        action, _, resource = self.permission.partition("_")
        may = identity.has_permission(action, resource)
        return may or (action == "view" and identity.has_permission("change", resource))


def includeme(config: Configurator) -> None:
    """Let plugins say ``config.add_page_link(path, title, permission=…)`` in ``configure``."""
    config.add_directive("add_page_link", _add)


def _add(config: Configurator, path: str, title: str, *, permission: str, kind: str = "") -> None:
    _all(config.registry).append(PageLink(path, title, permission, kind))


def links_of(registry: Registry, identity: Identity | None, kind: str = "") -> list[PageLink]:
    """The links for a user: those at the top, or those on the pages of a kind of objects."""
    return [each for each in _all(registry) if each.kind == kind and each.is_for(identity)]


def links_of_object(
    registry: Registry, identity: Identity | None, kind: str, body: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """The addresses and titles of the links that stand on an object's page."""
    id = body.get("id")
    return [] if id is None else [(each.path.format(id=id), each.title) for each in links_of(registry, identity, kind)]


def _all(registry: Registry) -> list[PageLink]:
    found: list[PageLink] | None = getattr(registry, "page_links", None)
    if found is None:
        found = registry.page_links = []
    return found
