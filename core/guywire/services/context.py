"""The variables of configurations and templates, in their order of precedence."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from guywire.interfaces import JSONObject
from guywire.models import Config, Device, Template
from guywire.registry import Registry
from guywire.services import vpn_clients


def device_context(
    device: Device,
    config: Config,
    templates: Iterable[Template],
    global_context: Mapping[str, Any],
    organization_context: Mapping[str, Any],
    group_context: Mapping[str, Any],
    added: Mapping[str, Any] = {},
) -> JSONObject:
    """The variables of one device's configuration: the device's own win over ``system_context``."""
    system = system_context(device, templates, global_context, organization_context, group_context, added)
    return system | config.context


def system_context(
    device: Device,
    templates: Iterable[Template],
    global_context: Mapping[str, Any],
    organization_context: Mapping[str, Any],
    group_context: Mapping[str, Any],
    added: Mapping[str, Any] = {},
) -> JSONObject:
    """The variables that a device has without an operator having given them to it.

    From weak to strong: the templates' default values in order, what is known of the device, the global variables,
    the organization's, the group's, those of ``added_context``. (That is what the reference does; its documentation
    names another order.)
    """
    context: JSONObject = {}
    for template in templates:
        context |= template.default_values
    context |= {"name": device.name, "mac_address": device.mac_address, "id": str(device.id), "key": device.key}
    context |= global_context
    context |= organization_context
    context |= group_context
    context |= added
    return context


def added_context(session: Session, registry: Registry, config_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, JSONObject]:
    """What configurations know of their VPN servers, and what plugins give to them, which wins."""
    context: dict[uuid.UUID, JSONObject] = defaultdict(dict)
    for config_id, values in vpn_clients.variables(session, registry, config_ids).items():
        context[config_id] |= values
    for _, give in registry.host.bound("config_context", session=session, config_ids=config_ids):
        for config_id, values in (give() or {}).items():
            context[config_id] |= values
    return context
