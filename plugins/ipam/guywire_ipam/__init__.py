"""IP address management: subnets, addresses, and rules that divide subnets among devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from guywire import hookimpl
from guywire.events import ConfigsCreated, DeviceMoved, Event
from guywire.interfaces import AddressProvider, FieldGroup, Job, MigrationSource, PermissionSet
from guywire.jobs import JobQueue, Priority
from guywire.models import Base, Device
from pyramid.config import Configurator
from sqlalchemy.orm import Session

from guywire_ipam import api, migrations
from guywire_ipam.api.vpn import VPN_FIELDS
from guywire_ipam.services import division, provisioning, room, variables, vpn_clients, vpn_servers
from guywire_ipam.services.events import DivisionRuleSaved
from guywire_ipam.services.provider import Addresses

_VIEW = frozenset({"view"})
_ALL = frozenset({"add", "change", "delete", "view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """The stock groups' permissions, as in the reference."""
    return [
        PermissionSet("subnet", "subnet", operator=_VIEW, administrator=_ALL),
        PermissionSet("ipaddress", "IP address", operator=_ALL, administrator=_ALL),
        PermissionSet("subnetdivisionrule", "subnet division rule", operator=_VIEW, administrator=_ALL),
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of subnets, addresses and rules."""
    return [MigrationSource("ipam", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def register_services() -> Mapping[type, Any]:
    """Addresses for whoever needs them."""
    return {AddressProvider: Addresses()}


@hookimpl
def register_fields() -> Sequence[FieldGroup]:
    """The subnet and the address of VPN servers."""
    return [VPN_FIELDS]


@hookimpl
def register_jobs() -> list[Job]:
    """The work that a new rule makes."""
    label = "Give devices what a division rule promises"
    return [Job(provisioning.PROVISION, provisioning.provision, label=label)]


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API."""
    config.scan(api)


@hookimpl
def config_context(session: Session, config_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
    """The variables of division rules."""
    return variables.config_context(session, config_ids)


@hookimpl
def on_event(session: Session, event: Event) -> None:
    """Give new configurations, and devices that move, what the rules of their organization promise; stand up for VPN
    servers whose subnet or address is touched.
    """
    vpn_servers.hear(session, event)
    vpn_clients.hear(session, event)
    room.hear(session, event)
    if isinstance(event, ConfigsCreated):
        division.provision_devices(session, event.config_ids)
    elif isinstance(event, DeviceMoved):
        division.follow_device(session, session.get_one(Device, event.device_id))


@hookimpl
def after_commit(event: Event, jobs: JobQueue) -> None:
    """A new rule is work for the worker: there may be many devices."""
    if isinstance(event, DivisionRuleSaved):
        jobs.enqueue(
            provisioning.PROVISION,
            priority=Priority.BULK,
            organization_id=event.organization_id,
            rule_id=str(event.rule_id),
        )
