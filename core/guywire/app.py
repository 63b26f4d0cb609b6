"""The web application: a list of includes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cornice
import pyramid_retry
import pyramid_tm
from pyramid.config import Configurator
from pyramid.router import Router

from guywire import requests
from guywire.builtin import BUILTIN
from guywire.controller.layer import PollLayer
from guywire.forwarding import TrustedProxies
from guywire.runtime import Clock, Runtime, create_runtime, utc_now
from guywire.settings import Settings


def main(global_config: dict[str, str] | None = None, **settings: str) -> Any:
    """The WSGI application of a paste ini's ``[app:main]`` (entry point ``paste.app_factory``)."""
    return create_app(Settings.from_mapping(settings))


def create_app(settings: Settings, *, plugins: Iterable[tuple[str, Any]] = (), clock: Clock = utc_now) -> Any:
    """The WSGI application: proxies, the poll layer, Pyramid. ``plugins`` come in addition to the installed ones."""
    runtime = create_runtime(settings, BUILTIN, plugins=plugins, clock=clock)
    poll_layer = PollLayer(create_router(runtime), runtime)
    return TrustedProxies(poll_layer, settings.trusted_proxies, settings.max_body_size)


def create_router(runtime: Runtime) -> Router:
    """The Pyramid application alone."""
    config = Configurator(
        settings={
            "tm.manager_hook": "pyramid_tm.explicit_manager",
            # It would ask who the user is where an answer of 401 can no longer be given.
            "tm.annotate_user": False,
            "retry.attempts": 10,
            # Cornice's own exception views: ours know the reference's bodies.
            "handle_exceptions": False,
        }
    )
    config.registry.runtime = runtime
    with config:
        config.include(pyramid_tm)
        config.include(pyramid_retry)
        config.include(cornice)
        config.include(requests)
        # The core's own resources come first, because it is the first plugin.
        for _, contribute in runtime.host.bound("configure", config=config):
            contribute()
    return config.make_wsgi_app()
