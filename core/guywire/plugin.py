"""Loads the plugins, checks them and tells them what happens."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

import pluggy
from sqlalchemy import event as sqlalchemy_events
from sqlalchemy.orm import Session

from guywire import hookspecs
from guywire.db import SessionFactory
from guywire.events import Event
from guywire.jobs import JobQueue

log = logging.getLogger(__name__)

_HOST = "guywire.host"
_EVENTS = "guywire.events"


class PluginError(Exception):
    """A plugin that cannot be used; the text says which and what to do."""


class PluginHost:
    """The loaded plugins and their hooks."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("guywire")
        self.manager.add_hookspecs(hookspecs)

    @property
    def hook(self) -> Any:
        """The hooks to call: ``host.hook.register_jobs()``."""
        return self.manager.hook

    def names(self) -> list[str]:
        """Names of the loaded plugins, in order of loading."""
        return [name for name, plugin in self.manager.list_name_plugin() if plugin is not None]

    def collect(self, hook_name: str) -> list[tuple[str, Any]]:
        """What each plugin contributes through a ``register_*`` hook: pairs of plugin name and thing."""
        contributions: list[tuple[str, Any]] = []
        # pluggy calls the last registered plugin first; contributions read better in the order of loading.
        for implementation in getattr(self.hook, hook_name).get_hookimpls():
            contributions.extend((implementation.plugin_name, thing) for thing in implementation.function() or ())
        return contributions


def load_plugins(builtin: Iterable[tuple[str, Any]], blocked: Iterable[str] = (), extra: Any = ()) -> PluginHost:
    """Load the built-in plugins, the installed ones (entry point group ``guywire``) and ``extra`` objects.

    ``blocked`` names are left out. Raises PluginError for a name that is used twice, a plugin that cannot be imported,
    a hook that does not exist or takes arguments that it does not have, and a blocked name that nobody has.
    """
    host = PluginHost()
    manager = host.manager
    blocked = set(blocked)
    candidates = [*builtin, *_installed(blocked), *extra]
    for name, plugin in candidates:
        if name in blocked:
            continue
        try:
            manager.register(plugin, name)
        except pluggy.PluginValidationError as error:
            raise PluginError(f"plugin {name!r}: {error}") from error
        except ValueError as error:
            raise PluginError(f"two plugins are called {name!r}; block one of them or uninstall it") from error
    unknown = blocked - {name for name, _ in candidates}
    if unknown:
        raise PluginError(f"guywire.plugins.blocked names unknown plugins: {', '.join(sorted(unknown))}")
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"plugin {error.plugin!r}: {error}; see docs/hooks for the hooks that there are") from error
    return host


def _installed(blocked: set[str]) -> list[tuple[str, Any]]:
    plugins = []
    for entry_point in sorted(entry_points(group="guywire"), key=lambda entry: entry.name):
        if entry_point.name in blocked:
            # Not imported either: a plugin that breaks at import can be blocked.
            plugins.append((entry_point.name, None))
            continue
        try:
            plugins.append((entry_point.name, entry_point.load()))
        except Exception as error:  # whatever a stranger's module raises
            raise PluginError(
                f"plugin {entry_point.name!r} ({entry_point.value}) cannot be imported: {error!r}; "
                f"to start without it, set guywire.plugins.blocked = {entry_point.name}"
            ) from error
    return plugins


def attach_host(factory: SessionFactory, host: PluginHost, jobs: JobQueue) -> None:
    """Let ``notify`` work with the sessions of ``factory``."""
    factory.configure(info={_HOST: (host, jobs)})


def notify(session: Session, event: Event) -> None:
    """Tell the plugins of ``event`` now (a veto raises) and once more after the session's commit."""
    host, _ = session.info[_HOST]
    host.hook.on_event(session=session, event=event)
    pending = session.info.get(_EVENTS)
    if pending is None:
        pending = session.info[_EVENTS] = []
    if event not in pending:
        pending.append(event)


@sqlalchemy_events.listens_for(Session, "after_commit")
def _tell_committed(session: Session) -> None:
    for event in session.info.pop(_EVENTS, ()):
        host, jobs = session.info[_HOST]
        for implementation in host.hook.after_commit.get_hookimpls():
            arguments = {"event": event, "jobs": jobs}
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception:  # the work is committed: a plugin's mistake must not tell the client otherwise
                log.exception("plugin %s failed after the commit of %s", implementation.plugin_name, event)


@sqlalchemy_events.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, previous: Any) -> None:
    if not session.in_nested_transaction():
        session.info.pop(_EVENTS, None)
