"""What an operator's words do to a device's configuration, and what is said of words that cannot be followed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from guywire.errors import MODEL, Invalid
from guywire.interfaces import ConfigurationInvalid
from guywire.models import Config, Device
from guywire.renderer import with_hostname
from guywire.runtime import Runtime
from guywire.services.devices import create_config
from guywire.services.rendering import read_inputs, render_within
from guywire.services.templates import (
    assign,
    changed_templates,
    foreign_templates,
    group_templates,
    templates_by_server,
)

CONFLICT = "There is a conflict with the specified templates. "
FOREIGN_TEMPLATES = (
    "The following templates are owned by organizations which do not match the organization of this configuration: "
)
SAME_SERVER = (
    "You cannot select multiple VPN client templates related to the same VPN server.\n"
    'The templates {templates} are all linked to the same VPN server: "{server}".'
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What of a device itself, outside of its configuration, decides the bytes that it gets."""

    name: str
    organization_id: uuid.UUID
    group_id: uuid.UUID | None
    mac_address: str
    key: str
    os: str

    @classmethod
    def of(cls, device: Device) -> Origin:
        """The device as it is now."""
        return cls(device.name, device.organization_id, device.group_id, device.mac_address, device.key, device.os)


def give(session: Session, runtime: Runtime, device: Device, given: dict[str, Any], now: datetime) -> None:
    """Give a device without configuration one of the ``given`` fields. Raises Invalid.

    One that would say nothing is left out, unless the device's group has templates for it.
    """
    default = runtime.settings.default_backend
    backend = given.get("backend", default)
    says_nothing = backend == default and not any(given.get(name) for name in ("config", "context", "templates"))
    if says_nothing and not group_templates(session, device.group_id, backend):
        return
    _require_own_templates(session, device, given)
    try:
        create_config(session, runtime.renderer, device, now, **{"backend": backend, **given})
    except ConfigurationInvalid as invalid:
        raise _explained(session, runtime, device, invalid) from None


def change(
    session: Session,
    runtime: Runtime,
    device: Device,
    config: Config,
    given: dict[str, Any],
    before: Origin,
    now: datetime,
) -> None:
    """Set the ``given`` fields of a configuration, or follow a change of the device (``before``). Raises Invalid.

    The caller holds the device's organization where templates may change.
    """
    _require_own_templates(session, device, given)
    backend = config.backend
    for name in given.keys() - {"templates"}:
        setattr(config, name, given[name])
    config.modified = now
    moved = (device.organization_id, device.group_id) != (before.organization_id, before.group_id)
    if moved or "templates" in given or config.backend != backend:
        wanted = changed_templates(
            session,
            config,
            device,
            explicit=given.get("templates"),
            previous_organization_id=before.organization_id,
            previous_group_id=before.group_id,
            previous_backend=backend,
        )
        assign(session, config.id, wanted)
    try:
        render_within(session, runtime.renderer, config, now)
    except ConfigurationInvalid as invalid:
        raise _explained(session, runtime, device, invalid) from None


def require_valid_alone(runtime: Runtime, given: dict[str, Any]) -> None:
    """Check a new configuration without what would be around it. Raises Invalid."""
    if not given.get("config"):
        return
    try:
        runtime.renderer.validate(given["backend"], with_hostname(given["config"], "device"), given["context"])
    except ConfigurationInvalid as alone:
        raise Invalid({"config": {MODEL: [str(alone)]}}) from None


def _require_own_templates(session: Session, device: Device, given: dict[str, Any]) -> None:
    wanted = given.get("templates", [])
    foreign = foreign_templates(session, wanted, device.organization_id)
    if foreign:
        raise Invalid({"config": [FOREIGN_TEMPLATES + ", ".join(foreign)]})
    for server, names in templates_by_server(session, wanted).items():
        if len(names) > 1:
            listed = " and ".join(f'"{name}"' for name in names)
            raise Invalid({"config": [SAME_SERVER.format(templates=listed, server=server)]})


def _explained(session: Session, runtime: Runtime, device: Device, invalid: ConfigurationInvalid) -> Invalid:
    """The error of a configuration that cannot be rendered: is it wrong by itself, or not with its templates?"""
    config = device.config
    if config is None:
        return Invalid({"config": [str(invalid)]})
    [inputs] = read_inputs(session, runtime.renderer, [config.id])

    def fault_of(hostname: str) -> ConfigurationInvalid | None:
        own = with_hostname(config.config, hostname)
        try:
            runtime.renderer.validate(config.backend, own, inputs.context, device_os=inputs.device_os)
        except ConfigurationInvalid as alone:
            return alone
        return None

    alone = fault_of("device")
    if alone is not None:
        return Invalid({"config": {MODEL: [str(alone)]}})
    return Invalid({"config": [("" if fault_of(device.name) else CONFLICT) + str(invalid)]})
