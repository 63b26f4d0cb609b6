"""What agents say and what they are told, for the OpenAPI document. The views read forms as they come."""

from __future__ import annotations

from typing import Annotated

from guywire.api import fields
from guywire.api.archives import ARCHIVE
from guywire.api.schema import Schema
from guywire.api.service import FORMS, Operation
from guywire.services import status

_TEXT = "text/plain"
_KEY = "The device's key."

_QUERY = {
    "key": fields.text(64, help=_KEY, kind="string"),
    "management_ip": fields.text(help="Where the device can be reached.", kind="string"),
}


class DeviceInfo(Schema):
    """What a device says of itself. What is left out stays."""

    key: Annotated[str, fields.text(help=_KEY, kind="string")]
    os: Annotated[str, fields.text(128, blank=True, label="Operating system")] = ""
    model: Annotated[str, fields.text(64, blank=True)] = ""
    system: Annotated[str, fields.text(128, blank=True, label="SoC / CPU")] = ""


class StatusReport(Schema):
    """Whether a device could apply what it was given."""

    key: Annotated[str, fields.text(help=_KEY, kind="string")]
    status: Annotated[str, fields.choice(lambda registry: {each: each for each in status.REPORTABLE})]
    error_reason: Annotated[str, fields.text(blank=True)] = ""


class Registration(Schema):
    """How a device introduces itself."""

    secret: Annotated[str, fields.text(help="The shared secret of its organization.", kind="password")]
    name: Annotated[str, fields.text(64, help="A hostname or a MAC address.")]
    mac_address: Annotated[str, fields.text(17, label="MAC address")]
    backend: Annotated[str, fields.choice(lambda registry: registry.backend_labels)]
    key: Annotated[str, fields.text(64, blank=True, help="By which the device is recognized if it comes again.")] = ""
    hardware_id: Annotated[str, fields.text(32, blank=True, label="Hardware ID")] = ""
    management_ip: Annotated[str, fields.text(blank=True, kind="string", label="Management IP")] = ""
    os: Annotated[str, fields.text(128, blank=True, label="Operating system")] = ""
    model: Annotated[str, fields.text(64, blank=True)] = ""
    system: Annotated[str, fields.text(128, blank=True, label="SoC / CPU")] = ""
    tags: Annotated[str, fields.text(blank=True, kind="string", help="Templates with these tags are assigned.")] = ""


CHECKSUM = Operation(parameters=_QUERY, sends=_TEXT, errors=(400, 403, 404))
DOWNLOAD = Operation(parameters=_QUERY, sends=ARCHIVE, errors=(400, 403, 404))
UPDATE_INFO = Operation(body=DeviceInfo, takes=FORMS, sends=_TEXT, errors=(400, 403, 404))
REPORT_STATUS = Operation(body=StatusReport, takes=FORMS, sends=_TEXT, errors=(400, 403, 404))
REGISTER = Operation(body=Registration, takes=FORMS, sends=_TEXT, status=201, errors=(400, 403, 404))
