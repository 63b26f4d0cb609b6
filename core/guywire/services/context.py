"""The variables of configurations and templates, in their order of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from guywire.interfaces import JSONObject
from guywire.models import Config, Device, Template


def device_context(
    device: Device,
    config: Config,
    templates: Iterable[Template],
    global_context: Mapping[str, Any],
    organization_context: Mapping[str, Any],
    group_context: Mapping[str, Any],
) -> JSONObject:
    """The variables of one device's configuration: the device's own win over ``system_context``."""
    return system_context(device, templates, global_context, organization_context, group_context) | config.context


def system_context(
    device: Device,
    templates: Iterable[Template],
    global_context: Mapping[str, Any],
    organization_context: Mapping[str, Any],
    group_context: Mapping[str, Any],
) -> JSONObject:
    """The variables that a device has without an operator having given them to it.

    From weak to strong: the templates' default values in order, what is known of the device, the global variables,
    the organization's, the group's. (That is what the reference does; its documentation names another order.)
    """
    context: JSONObject = {}
    for template in templates:
        context |= template.default_values
    context |= {"name": device.name, "mac_address": device.mac_address, "id": str(device.id), "key": device.key}
    context |= global_context
    context |= organization_context
    context |= group_context
    return context


def template_context(default_values: Mapping[str, Any], global_context: Mapping[str, Any]) -> JSONObject:
    """The variables that a template is validated and downloaded with: those of a device are not known."""
    return {**default_values, **global_context}
