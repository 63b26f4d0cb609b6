"""The core as a plugin of itself: built-ins contribute through the same hooks that strangers use."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from pyramid.config import Configurator

from guywire import api, backends, browsable, controller, hookimpl, migrations, openapi
from guywire.events import ConfigsStale, DeviceRegistered, Event, VpnsStale
from guywire.interfaces import Job, MigrationSource, PermissionSet
from guywire.jobs import JobQueue
from guywire.models import Base
from guywire.queue.care import OLD_JOBS
from guywire.runtime import Runtime
from guywire.services import password_reset, rendering_jobs, vpn_servers, vpn_webhooks

log = logging.getLogger(__name__)

VPN_SERVERS = "vpn_servers"
VPN_WEBHOOKS = "vpn_webhooks"

_WRITE = frozenset({"add", "change", "delete"})
_ALL = _WRITE | {"view"}
_VIEW = frozenset({"view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """The stock groups' permissions on the core's resources, as in the reference."""
    return [
        PermissionSet("device", "device", operator=_WRITE, administrator=_WRITE),
        PermissionSet("config", "configuration", operator=_WRITE, administrator=_WRITE),
        PermissionSet("template", "template", operator=_WRITE, administrator=_WRITE),
        PermissionSet("vpn", "VPN server", operator=_VIEW, administrator=_WRITE),
        PermissionSet("devicegroup", "device group", operator=_ALL, administrator=_ALL),
        PermissionSet("organization", "organization", operator=_VIEW, administrator=frozenset({"change"})),
        PermissionSet(
            "organizationconfigsettings",
            "organization config settings",
            operator=_VIEW,
            administrator=frozenset({"change", "view"}),
        ),
        PermissionSet("organizationuser", "organization user", administrator=_ALL),
        PermissionSet("organizationowner", "organization owner", administrator=frozenset({"change"})),
        PermissionSet("user", "user", administrator=_ALL),
        PermissionSet("group", "group", administrator=_VIEW),
        PermissionSet("job", "job", operator=_VIEW, administrator=_VIEW | {"change"}),
        PermissionSet("emailaddress", "email address", administrator=_ALL - {"add"}),
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The core's tables."""
    return [MigrationSource("core", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def register_jobs() -> list[Job]:
    """Rendering of what is stale, which sweeps by itself, so that a lost wake-up costs a second; mail."""
    return [
        *rendering_jobs.JOBS,
        Job(VPN_SERVERS, _render_vpns, every=1.0, label="Render the files of VPN servers"),
        # Apart, because a server that is away lets whoever tells it wait.
        Job(VPN_WEBHOOKS, _tell_vpns, every=1.0, label="Tell VPN servers that their files have changed"),
        Job(password_reset.JOB, password_reset.mail_token, label="Mail the link of a password reset"),
        OLD_JOBS,
    ]


def _render_vpns(runtime: Runtime) -> None:
    vpn_servers.refresh_all(runtime.session_factory, runtime.registry, runtime.settings.context)


def _tell_vpns(runtime: Runtime) -> None:
    vpn_webhooks.announce_all(runtime.session_factory, runtime.clock)


@hookimpl
def after_commit(event: Event, jobs: JobQueue) -> None:
    """Wake the worker up when there is something to render; log registrations once they are certain."""
    if isinstance(event, ConfigsStale):
        jobs.enqueue(rendering_jobs.RENDER)
    elif isinstance(event, VpnsStale):
        jobs.enqueue(VPN_SERVERS)
    elif isinstance(event, DeviceRegistered):
        log.info(
            "device registered: device=%s organization=%s new=%s",
            event.device_id,
            event.organization_id,
            event.is_new,
        )


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API, its pages and the device's door."""
    config.include(api)
    config.include(browsable)
    config.include(openapi)
    config.include(controller)


BUILTIN: list[tuple[str, Any]] = [("core", sys.modules[__name__]), ("netjsonconfig", backends)]
"""Names and modules of the built-in plugins, in order of loading."""
