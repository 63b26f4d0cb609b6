"""Loads the plugins, checks them and tells them what happens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any

import pluggy
from sqlalchemy import event as sqlalchemy_events
from sqlalchemy.orm import Session, SessionTransaction

from guywire import hookspecs
from guywire.db import SessionFactory
from guywire.events import Event
from guywire.jobs import Gathered, JobQueue
from guywire.settings import SettingInvalid

log = logging.getLogger(__name__)

CORE = "core"
"""The name of the plugin that is guywire itself."""

_HOST = "guywire.host"
_EVENTS = "guywire.events"


class PluginError(Exception):
    """A plugin that cannot be used; the text says which and what to do."""


class PluginHost:
    """The loaded plugins and their hooks."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("guywire")
        self.manager.add_hookspecs(hookspecs)
        self.blocked: frozenset[str] = frozenset()
        """Names of plugins that the settings leave out."""

    @property
    def hook(self) -> Any:
        """The hooks to call: ``host.hook.register_jobs()``."""
        return self.manager.hook

    def names(self) -> list[str]:
        """Names of the loaded plugins, in order of loading."""
        return [name for name, plugin in self.manager.list_name_plugin() if plugin is not None]

    def bound(self, hook_name: str, **arguments: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
        """The implementations of a hook in the order of loading: the plugin's name, and what to call."""
        # pluggy itself calls the last registered plugin first; built-ins should come before what builds on them.
        for implementation in getattr(self.hook, hook_name).get_hookimpls():
            named = (arguments[name] for name in implementation.argnames)
            yield implementation.plugin_name, partial(implementation.function, *named)

    def collect(self, hook_name: str, **arguments: Any) -> list[tuple[str, Any]]:
        """What each plugin contributes through a ``register_*`` hook: pairs of plugin name and thing.

        The things of a mapping are its items. Raises PluginError; SettingInvalid where a plugin reads its settings.
        """
        contributions: list[tuple[str, Any]] = []
        for plugin, contribute in self.bound(hook_name, **arguments):
            try:
                contributed = contribute() or ()
                things = list(contributed.items() if isinstance(contributed, Mapping) else contributed)
            except SettingInvalid:
                raise
            except Exception as error:  # whatever a stranger's function raises
                raise PluginError(f"plugin {plugin!r}: {hook_name}() failed: {error!r}") from error
            contributions.extend((plugin, thing) for thing in things)
        return contributions


def load_plugins(builtin: Iterable[tuple[str, Any]], blocked: Iterable[str] = (), extra: Any = ()) -> PluginHost:
    """Load the built-in plugins, the installed ones (entry point group ``guywire``) and ``extra`` objects.

    ``blocked`` names are left out. Raises PluginError for a name that is used twice, a plugin that cannot be imported,
    a hook that does not exist or takes arguments that it does not have, a blocked name that nobody has, and for
    ``core``, without which there is nothing to plug into.
    """
    host = PluginHost()
    manager = host.manager
    blocked = set(blocked)
    host.blocked = frozenset(blocked)
    if CORE in blocked:
        raise PluginError(
            f"guywire.plugins.blocked: {CORE!r} cannot be blocked: it is guywire itself, which all plugins plug into; "
            "take it off the list (`guywire plugins INI` then shows the names that may stand there)"
        )
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
        name = manager.get_name(error.plugin)
        raise PluginError(f"plugin {name!r}: {error}; docs/hooks.md has the hooks that there are") from error
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


def contributed(session: Session, hook_name: str) -> list[Any]:
    """What the plugins contribute through a ``register_*`` hook, for one who hears of an event: there is no registry
    where there is only a session.
    """
    host, _ = session.info[_HOST]
    return [thing for _, thing in host.collect(hook_name)]


def notify(session: Session, event: Event) -> None:
    """Tell the plugins of ``event`` now (a veto raises) and once more after the session's commit."""
    host, _ = session.info[_HOST]
    for _, tell in host.bound("on_event", session=session, event=event):
        tell()
    _remember(session, event)


def inform(session: Session, event: Event) -> None:
    """``notify`` of a fact that nobody can veto, because a router did it or rendering gave it.

    A plugin that raises loses what it wrote; the router gets its answer all the same.
    """
    host, _ = session.info[_HOST]
    for plugin, tell in host.bound("on_event", session=session, event=event):
        try:
            with session.begin_nested():
                tell()
        except Exception:  # whatever a stranger raises
            log.exception("plugin %s failed to hear of %s", plugin, event)
    _remember(session, event)


def _remember(session: Session, event: Event) -> None:
    # By event: an edit may be about ten thousand devices.
    session.info.setdefault(_EVENTS, {}).setdefault(event, session.get_nested_transaction())


@sqlalchemy_events.listens_for(Session, "after_commit")
def _tell_committed(session: Session) -> None:
    savepoint = session.get_nested_transaction()
    if savepoint is not None:
        # Nothing is certain yet: what happened within it shares the fate of what is around it now.
        pending = session.info.get(_EVENTS, {})
        for event, within in pending.items():
            if within is savepoint:
                pending[event] = _around(within)
        return
    events = session.info.pop(_EVENTS, ())
    if not events:
        return
    host, jobs = session.info[_HOST]
    gathered = Gathered()
    for event in events:
        for plugin, tell in host.bound("after_commit", event=event, jobs=gathered):
            try:
                tell()
            except Exception:  # the work is committed: a plugin's mistake must not tell the client otherwise
                log.exception("plugin %s failed after the commit of %s", plugin, event)
    if gathered.wanted:
        try:
            # Together: ten thousand events must not be ten thousand commits.
            jobs.put(gathered.wanted)
        except Exception:  # likewise
            log.exception("jobs could not be asked for: %s", {each.name for each in gathered.wanted})


@sqlalchemy_events.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, previous: SessionTransaction) -> None:
    """What happened within a transaction or savepoint that is rolled back did not happen."""
    pending = session.info.get(_EVENTS, {})
    if previous.parent is None:
        session.info.pop(_EVENTS, None)
    elif previous.nested:
        session.info[_EVENTS] = {event: within for event, within in pending.items() if not _is_within(within, previous)}


def _around(savepoint: SessionTransaction) -> SessionTransaction | None:
    """The savepoint around a savepoint; None when it is directly in the transaction."""
    outer = savepoint.parent
    return outer if outer is not None and outer.nested else None


def _is_within(inner: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while inner is not None and inner is not outer:
        inner = inner.parent
    return inner is outer
