"""What the plugins registered, by id."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any

from guywire.interfaces import ConfigBackend, Job, MigrationSource, PermissionSet
from guywire.plugin import PluginError, PluginHost


class Registry:
    """Backends, jobs, permissions, services and migrations of all loaded plugins.

    Raises PluginError when two plugins register one id.
    """

    def __init__(self, host: PluginHost) -> None:
        self.host = host
        self.config_backends: dict[str, ConfigBackend] = _by(
            "id", "config backend", host.collect("register_config_backends")
        )
        self.backend_labels = {backend.id: backend.label for backend in self.config_backends.values()}
        self.jobs: dict[str, Job] = _by("name", "job", host.collect("register_jobs"))
        self.permissions: dict[str, PermissionSet] = _by(
            "resource", "permission resource", host.collect("register_permissions")
        )
        self.services: dict[type, Any] = _services(host.collect("register_services"))
        self.migrations: list[MigrationSource] = _in_order(
            _by("owner", "migration folder", host.collect("register_migrations"))
        )


def _by(attribute: str, kind: str, contributions: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for plugin, thing in contributions:
        key = getattr(thing, attribute, None)
        if not isinstance(key, str):
            raise PluginError(f"plugin {plugin!r} registers {thing!r} as a {kind}: it has no {attribute!r}")
        if key in found:
            raise PluginError(f"{kind} {key!r} is registered by both {owners[key]!r} and {plugin!r}; block one of them")
        found[key], owners[key] = thing, plugin
    return found


def _services(contributions: Iterable[tuple[str, Any]]) -> dict[type, Any]:
    found: dict[type, Any] = {}
    owners: dict[type, str] = {}
    for plugin, item in contributions:
        protocol, service = item if isinstance(item, tuple) else (item, None)
        if not isinstance(protocol, type) or service is None:
            raise PluginError(f"plugin {plugin!r}: register_services() gives {item!r}, not a service by its Protocol")
        if protocol in found:
            raise PluginError(
                f"{protocol.__name__} is provided by both {owners[protocol]!r} and {plugin!r}; block one of them"
            )
        found[protocol], owners[protocol] = service, plugin
    return found


def _in_order(sources: dict[str, MigrationSource]) -> list[MigrationSource]:
    """The core's migrations first, then each plugin's after those that it needs."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for owner in sorted(sources):
        missing = set(sources[owner].after) - set(sources)
        if missing:
            raise PluginError(f"plugin {owner!r} needs the tables of {sorted(missing)}: install and enable them too")
        needs = set(sources[owner].after) | ({"core"} & set(sources) - {owner})
        sorter.add(owner, *sorted(needs))
    try:
        return [sources[owner] for owner in sorter.static_order()]
    except CycleError as error:
        raise PluginError(f"the migrations need each other in a circle: {error.args[1]}") from None
