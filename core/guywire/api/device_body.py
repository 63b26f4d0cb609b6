"""What clients may say of a device."""

from __future__ import annotations

import uuid
from typing import Annotated

from guywire.api import fields
from guywire.api.field import Field
from guywire.api.schema import Schema
from guywire.interfaces import JSONObject
from guywire.models import DeviceGroup, Organization, Template
from guywire.services import devices

_LAST_IP = "Where the device called from last."
_MANAGEMENT_IP = "Where the device is reached. As a rule it says so itself."


def _address(label: str, help: str, *, blank: bool = False) -> Field:
    rules = (devices.address_errors,)
    return fields.text(null=True, blank=blank, rules=rules, kind="string", label=label, help=help)


class ConfigBody(Schema):
    """A device's configuration."""

    backend: Annotated[str, fields.choice(lambda registry: registry.backend_labels)]
    templates: Annotated[
        list[uuid.UUID],
        fields.references(
            Template, help="In order: later ones override earlier ones. Required ones cannot be left out."
        ),
    ]
    context: Annotated[JSONObject, fields.json_object(empty=True, help="Configuration variables.")]
    config: Annotated[JSONObject, fields.json_object(fields.NOT_A_CONFIGURATION, help="NetJSON.")]


class DeviceBody(Schema):
    """A device's fields."""

    name: Annotated[str, fields.text(64, rules=(devices.name_errors,), help="A hostname or a MAC address.")]
    organization: Annotated[uuid.UUID, fields.reference(Organization)]
    group: Annotated[uuid.UUID | None, fields.reference(DeviceGroup, null=True)] = None
    mac_address: Annotated[str, fields.text(17, rules=(devices.mac_address_errors,), label="MAC address")]
    key: Annotated[
        str,
        fields.text(
            64, blank=True, rules=(devices.key_errors,), help="What the device proves itself with; empty: made."
        ),
    ] = ""
    last_ip: Annotated[str | None, _address("Last IP", _LAST_IP)] = None
    management_ip: Annotated[str | None, _address("Management IP", _MANAGEMENT_IP)] = None
    model: Annotated[str, fields.text(64, blank=True)] = ""
    os: Annotated[str, fields.text(128, blank=True, label="Operating system")] = ""
    system: Annotated[str, fields.text(128, blank=True, label="SoC / CPU")] = ""
    notes: Annotated[str, fields.text(blank=True)] = ""
    config: ConfigBody | None


class NewDeviceBody(DeviceBody):
    """A new device: the configuration may be left out but not be null, an address may be empty text."""

    last_ip: Annotated[str | None, _address("Last IP", _LAST_IP, blank=True)] = None
    management_ip: Annotated[str | None, _address("Management IP", _MANAGEMENT_IP, blank=True)] = None
    config: ConfigBody = None  # type: ignore[assignment]
