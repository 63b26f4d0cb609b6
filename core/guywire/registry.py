"""What the plugins registered, by id."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any

from guywire.interfaces import (
    CommandType,
    ConfigBackend,
    Connector,
    FieldGroup,
    Job,
    MigrationSource,
    PermissionSet,
    UpdateStrategy,
    VpnBackend,
)
from guywire.plugin import PluginError, PluginHost
from guywire.settings import Settings


class Registry:
    """Backends, jobs, permissions, services and migrations of all loaded plugins.

    The settings are a service too, for VPN backends that require ``guywire.settings.Settings``. Raises PluginError
    when two plugins register one id, SettingInvalid when a plugin does not understand what the settings say of it.
    """

    def __init__(self, host: PluginHost, settings: Settings | None = None) -> None:
        self.host = host
        settings = settings or Settings()
        self.config_backends: dict[str, ConfigBackend] = _by(
            "id", "config backend", host.collect("register_config_backends")
        )
        self.backend_labels = {backend.id: backend.label for backend in self.config_backends.values()}
        self.jobs: dict[str, Job] = _by("name", "job", host.collect("register_jobs", settings=settings))
        self.permissions: dict[str, PermissionSet] = _by(
            "resource", "permission resource", host.collect("register_permissions")
        )
        self.services: dict[type, Any] = {Settings: settings}
        self.services |= _services(host.collect("register_services"))
        self.vpn_backends: dict[str, VpnBackend] = self._vpn_backends()
        self.vpn_backend_labels = {backend.id: backend.label for backend in self.vpn_backends.values()}
        self.connectors: dict[str, Connector] = _by("id", "connector", host.collect("register_connectors"))
        self.update_strategies: dict[str, UpdateStrategy] = _by(
            "id", "update strategy", host.collect("register_update_strategies")
        )
        self.command_types: dict[str, CommandType] = _by("name", "command type", host.collect("register_command_types"))
        self.field_groups: list[FieldGroup] = _field_groups(host.collect("register_fields"))
        self.migrations: list[MigrationSource] = _in_order(
            _by("owner", "migration folder", host.collect("register_migrations"))
        )

    def _vpn_backends(self) -> dict[str, VpnBackend]:
        """One object of each class, made with the services that it requires and those that it wants."""
        contributions = self.host.collect("register_vpn_backends")
        owners = {kind: plugin for plugin, kind in contributions}
        return {
            id: kind(
                *(self._required(protocol, id, owners[kind]) for protocol in kind.requires),
                *map(self.services.get, kind.wants),
            )
            for id, kind in _by("id", "VPN backend", contributions).items()
        }

    def _required(self, protocol: type, id: str, plugin: str) -> Any:
        service = self.services.get(protocol)
        if service is not None:
            return service
        message = f"plugin {plugin!r}: the VPN backend {id!r} needs {protocol.__name__}, which no plugin provides"
        blocked = ", ".join(sorted(self.host.blocked))
        hint = (
            f"guywire.plugins.blocked leaves out {blocked}; allow the one that does, or block {plugin} too"
            if blocked
            else f"install the one that does, or block {plugin}"
        )
        raise PluginError(f"{message}: {hint}")


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


def _field_groups(contributions: Iterable[tuple[str, Any]]) -> list[FieldGroup]:
    found: dict[tuple[str, str], FieldGroup] = {}
    for plugin, group in contributions:
        key = group.resource, group.name
        if key in found:
            raise PluginError(f"plugin {plugin!r}: there is already a field group {group.name!r} of {group.resource!r}")
        found[key] = group
    return list(found.values())


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
