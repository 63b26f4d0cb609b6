"""Everything that a process needs besides the web: built once, alike for web, worker and command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from sqlalchemy.engine import Engine

from guywire.db import SessionFactory, create_engine, create_session_factory
from guywire.keyring_file import load_key_ring
from guywire.meta_data import MetaDataSchema
from guywire.plugin import PluginHost, attach_host, load_plugins
from guywire.queue import DatabaseQueue
from guywire.queue.broker import Broker, BrokeredQueue
from guywire.registry import Registry
from guywire.renderer import Renderer
from guywire.sealing import KeyRing, attach_key_ring
from guywire.settings import SettingInvalid, Settings

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock. Everything that needs the time gets a clock, so that tests can give another one."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Runtime:
    """One process's settings, database, plugins and what they registered."""

    settings: Settings
    key_ring: KeyRing
    engine: Engine
    session_factory: SessionFactory
    host: PluginHost
    registry: Registry
    renderer: Renderer
    meta_data_schema: MetaDataSchema
    queue: DatabaseQueue
    clock: Clock

    def close(self) -> None:
        """Give back the connections."""
        self.queue.close()
        self.engine.dispose()


def create_runtime(
    settings: Settings,
    builtin: Iterable[tuple[str, Any]],
    *,
    plugins: Iterable[tuple[str, Any]] = (),
    clock: Clock = utc_now,
) -> Runtime:
    """Load plugins and prepare the database connection; nothing is connected yet.

    Raises PluginError, KeyRingMissing, SettingInvalid.
    """
    host = load_plugins(builtin, settings.plugins_blocked, plugins)
    _check_names(settings, host)
    registry = Registry(host, settings)
    key_ring = load_key_ring(settings)
    engine = create_engine(settings)
    attach_key_ring(engine, key_ring)
    factory = create_session_factory(engine)
    labels = {job.name: job.label for job in registry.jobs.values()}
    lease = timedelta(seconds=settings.job_lease)
    queue = (
        BrokeredQueue(factory, clock, lease, labels, Broker(settings.celery_broker))
        if settings.job_runner == "celery"
        else DatabaseQueue(factory, clock, lease, labels)
    )
    attach_host(factory, host, queue)
    return Runtime(
        settings=settings,
        key_ring=key_ring,
        engine=engine,
        session_factory=factory,
        host=host,
        registry=registry,
        renderer=Renderer(registry, settings.context),
        meta_data_schema=MetaDataSchema(settings.device_group_schema),
        queue=queue,
        clock=clock,
    )


def _check_names(settings: Settings, host: PluginHost) -> None:
    """Whether the settings of plugins are of plugins that there are. Raises SettingInvalid."""
    known = {*host.names(), *host.blocked}
    for plugin in sorted(settings.of_plugins.keys() - known):
        guess = get_close_matches(plugin, known, n=1)
        raise SettingInvalid(
            f"guywire.{plugin}.{next(iter(settings.of_plugins[plugin]))}: there is no plugin {plugin!r}"
            + (f"; did you mean {guess[0]!r}?" if guess else "")
        )
