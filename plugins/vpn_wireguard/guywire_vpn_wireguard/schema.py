"""What configurations of servers look like: netjsonconfig's schemas, with the reference's limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import jsonschema
from guywire.interfaces import ConfigurationInvalid, JSONObject
from netjsonconfig.backends.vxlan.schema import schema as vxlan_schema
from netjsonconfig.backends.wireguard.schema import schema as wireguard_schema

from guywire_vpn_wireguard.keys import is_key

LARGEST_VNI = 2**24 - 1
"""A VXLAN network identifier has 24 bits."""

# What wg-quick takes for the name of an interface. The schema takes more, and the name is a file's too.
_INTERFACE = re.compile(r"[a-zA-Z0-9_=+.-]{1,15}", re.ASCII)
_FILE = re.compile(r"/?[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*", re.ASCII)


def _with_one(schema: Mapping[str, Any], *names: str) -> JSONObject:
    """The schema, with exactly one item in some arrays. The server's private key is not the operator's business."""
    own = deepcopy(dict(schema))
    for name in names:
        own["properties"][name] |= {"minItems": 1, "maxItems": 1}
    tunnel = own["properties"]["wireguard"]["items"]
    tunnel["required"] = [name for name in tunnel["required"] if name != "private_key"]
    del tunnel["properties"]["private_key"]
    return own


def _with_24_bits(schema: JSONObject) -> JSONObject:
    """The schema without the one number too many that netjsonconfig takes for the identifier of a network."""
    kinds = schema["properties"]["vxlan"]["items"]["properties"]["vni"]["oneOf"]
    for kind in kinds:
        if "maximum" in kind:
            kind["maximum"] = LARGEST_VNI
    return schema


WIREGUARD = _with_one(wireguard_schema, "wireguard")
VXLAN = _with_24_bits(_with_one(vxlan_schema, "wireguard", "vxlan"))


def check(config: JSONObject, schema: Mapping[str, Any]) -> None:
    """Raise ConfigurationInvalid for a configuration that does not follow a schema, or that WireGuard refuses."""
    try:
        jsonschema.Draft4Validator(schema).validate(config)
    except jsonschema.ValidationError as error:
        raise ConfigurationInvalid(error.message, error.path) from error
    except RecursionError:
        raise ConfigurationInvalid("The configuration is nested too deeply.") from None
    name = config["wireguard"][0]["name"]
    if not _INTERFACE.fullmatch(name) or name in (".", ".."):
        raise ConfigurationInvalid(f"{name!r} is not the name of an interface", ("wireguard", 0, "name"))
    for index, peer in enumerate(config["wireguard"][0].get("peers", [])):
        for field in ("public_key", "preshared_key"):
            key = peer.get(field, "")
            if key and "{{" not in key and not is_key(key):
                raise ConfigurationInvalid(
                    f"{key!r} is not a key of WireGuard", ("wireguard", 0, "peers", index, field)
                )
    _check_files(config.get("files", []), {f"{name}.conf", "vxlan.json"})


def _check_files(files: list[JSONObject], taken: set[str]) -> None:
    for index, file in enumerate(files):
        path = file["path"]
        if not _FILE.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise ConfigurationInvalid(f"{path!r} is not a path in an archive", ("files", index, "path"))
        if path.removeprefix("/") in taken:
            raise ConfigurationInvalid(f"there are two files {path!r}", ("files", index, "path"))
        taken.add(path.removeprefix("/"))
