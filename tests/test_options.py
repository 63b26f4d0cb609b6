"""OPTIONS: what a resource says of itself, to whom."""

from __future__ import annotations

import uuid
from typing import Any

from guywire.testing import Client

FORMS = ["application/x-www-form-urlencoded", "multipart/form-data"]
TEMPLATE_KEYS = [
    "id",
    "name",
    "organization",
    "type",
    "backend",
    "vpn",
    "tags",
    "default",
    "required",
    "notes",
    "default_values",
    "config",
    "created",
    "modified",
]


def options(client: Client, path: str) -> Any:
    return client.request("OPTIONS", path, status=200).json


def test_a_resource_describes_its_fields_to_whoever_may_write_them(operator: Client) -> None:
    answer = options(operator, "template/")
    assert list(answer) == ["name", "description", "renders", "parses", "actions"]
    assert answer["renders"] == ["application/json", "text/html"]
    assert answer["parses"] == ["application/json", *FORMS]
    assert list(answer["actions"]) == ["POST"]
    fields = answer["actions"]["POST"]
    assert list(fields) == TEMPLATE_KEYS
    assert fields["id"] == {"type": "string", "required": False, "read_only": True, "label": "Id"}
    assert fields["created"] == {"type": "datetime", "required": False, "read_only": True, "label": "Created"}
    assert fields["name"] == {
        "type": "string",
        "required": True,
        "read_only": False,
        "label": "Name",
        "max_length": 64,
    }
    assert fields["organization"]["type"] == fields["config"]["type"] == "field"
    assert fields["default"]["type"] == "boolean"
    assert fields["backend"]["choices"] == [
        {"value": "netjsonconfig.OpenWrt", "display_name": "OpenWRT"},
        {"value": "netjsonconfig.OpenWisp", "display_name": "OpenWISP Firmware 1.x"},
    ]
    assert fields["required"]["help_text"]


def test_nested_bodies_have_children(operator: Client) -> None:
    fields = options(operator, "device/")["actions"]["POST"]
    config = fields["config"]
    assert (config["type"], config["required"], config["read_only"]) == ("nested object", False, False)
    read_only = {name for name, child in config["children"].items() if child["read_only"]}
    assert read_only == {"status", "error_reason"}
    assert config["children"]["status"]["type"] == "choice"
    assert config["children"]["backend"]["choices"]
    assert config["children"]["templates"] == {
        "type": "field",
        "required": True,
        "read_only": False,
        "label": "Templates",
        "help_text": config["children"]["templates"]["help_text"],
    }


def test_details_describe_put(operator: Client, organization: str) -> None:
    device = operator.make_device(organization)
    actions = options(operator, f"device/{device['id']}/")["actions"]
    assert list(actions) == ["PUT"]
    assert actions["PUT"]["is_deactivated"]["read_only"]


def test_kinds_have_the_names_that_clients_know(admin: Client) -> None:
    fields = options(admin, "/api/v1/users/organization/")["actions"]["POST"]
    assert {name: fields[name]["type"] for name in ("slug", "email", "url", "is_active")} == {
        "slug": "slug",
        "email": "email",
        "url": "url",
        "is_active": "boolean",
    }


def test_actions_are_for_those_who_may(operator: Client, anonymous: Client) -> None:
    # An operator looks at organizations and cannot make one.
    assert "actions" not in options(operator, "/api/v1/users/organization/")
    # What takes no body has no fields; what takes nothing at all is described, too.
    assert "actions" not in options(operator, f"device/{uuid.uuid4()}/activate/")
    assert "actions" not in options(operator, f"device/{uuid.uuid4()}/configuration/")
    anonymous.request("OPTIONS", "template/", status=401)
    # Whoever wants a token is nobody yet.
    fields = options(anonymous, "/api/v1/users/token/")["actions"]["POST"]
    assert list(fields) == ["username", "password"]
