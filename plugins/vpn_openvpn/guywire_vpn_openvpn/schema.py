"""What configurations of servers look like: netjsonconfig's schema, with the reference's limits."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import netjsonconfig
from guywire.backends.refusals import refusing
from guywire.interfaces import ConfigurationInvalid, JSONObject
from netjsonconfig.backends.openvpn.schema import schema as openvpn_schema

ID = "openwisp_controller.vpn_backends.OpenVpn"
"""The backend's id: the reference's."""

_FILES = [("ca.pem", "{{ ca }}"), ("cert.pem", "{{ cert }}"), ("key.pem", "{{ key }}"), ("dh.pem", "{{ dh }}")]


def _with_one_server() -> JSONObject:
    own: JSONObject = deepcopy(openvpn_schema)
    own["required"] = ["openvpn"]
    own["properties"]["openvpn"] |= {"minItems": 1, "maxItems": 1}
    kinds = [{"$ref": f"#/definitions/server_{kind}"} for kind in ("bridged", "routed", "manual")]
    own["properties"]["openvpn"]["items"]["oneOf"] = kinds
    own["properties"]["files"]["default"] = [
        {"path": path, "mode": "0644", "contents": contents} for path, contents in _FILES
    ]
    return own


SCHEMA = _with_one_server()


class Server(netjsonconfig.OpenVpn):
    """netjsonconfig's backend for one server."""

    schema = SCHEMA


def check(config: JSONObject) -> None:
    """Raise ConfigurationInvalid for a configuration that does not follow the schema, or would overwrite itself."""
    try:
        with refusing():
            Server(deepcopy(config)).validate()
    except ConfigurationInvalid as invalid:
        # "#/" is the place of what concerns the whole.
        raise ConfigurationInvalid(invalid.message, invalid.path or ("",)) from invalid
    own = {conf_name(config)}
    for index, file in enumerate(config.get("files", [])):
        if file["path"].removeprefix("/") in own:
            raise ConfigurationInvalid(f"there are two files {file['path']!r}", ("files", index, "path"))


def conf_name(config: Any) -> str:
    """The name of the file that the daemon reads."""
    return f"{config['openvpn'][0]['name']}.conf"
