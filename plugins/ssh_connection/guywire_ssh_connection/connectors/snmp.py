"""SNMP: its credentials can be kept, and nothing here speaks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guywire.interfaces import ConnectionFailed, ConnectionLimits, Connector, DeviceSession, JSONObject

NO_DRIVER = "No driver for SNMP is installed: these credentials can be stored and not used."

_SCHEMA: JSONObject = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "title": "Credentials (SNMP)",
    "additionalProperties": False,
    "required": ["community", "agent"],
    "properties": {
        "community": {"type": "string", "title": "Community"},
        "agent": {"type": "string", "title": "Agent"},
        "port": {"type": "integer", "title": "Port", "default": 161, "minimum": 1, "maximum": 65535},
    },
}


class _Snmp(Connector):
    schema = _SCHEMA
    secrets = frozenset({"community"})
    executes = False

    def validate(self, params: Mapping[str, Any]) -> None:
        """There is nothing that the schema does not say."""

    def connect(
        self, address: str, params: Mapping[str, Any], host_key: str | None, limits: ConnectionLimits
    ) -> DeviceSession:
        """Raises ConnectionFailed."""
        raise ConnectionFailed(NO_DRIVER)


class OpenWrtSnmp(_Snmp):
    """SNMP of OpenWrt devices."""

    id = "openwisp_controller.connection.connectors.openwrt.snmp.OpenWRTSnmp"
    label = "OpenWRT SNMP"


class AirOsSnmp(_Snmp):
    """SNMP of Ubiquiti's AirOS."""

    id = "openwisp_controller.connection.connectors.airos.snmp.AirOsSnmp"
    label = "Ubiquiti AirOS SNMP"
