"""Nothing that can be sent makes the server fail, or answer in a way that the OpenAPI document does not know."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from guywire.testing import Client
from guywire.testing.databases import KINDS
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from webtest import TestApp

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ORDER = ("get", "post", "patch", "put", "delete")


@pytest.fixture
def known(admin: Client, organization: str, other_organization: str) -> dict[str, list[Any]]:
    """Ids of objects that are there, by the path of their list."""
    template = admin.make_template(organization)["id"]
    group = admin.post("group/", {"name": "group", "organization": organization, "templates": [template]})["id"]
    devices = [
        admin.make_device(organization, name=f"router{number}", mac_address=f"00:00:00:00:00:0{number}")
        for number in range(2)
    ]
    users = "/api/v1/users/"
    user = admin.post(f"{users}user/", {"username": "user", "email": "user@example.org", "password": "long enough 1"})
    return {
        "/api/v1/controller/device/": [device["id"] for device in devices],
        "/api/v1/controller/template/": [template, admin.make_template(None, name="shared")["id"]],
        "/api/v1/controller/group/": [group],
        "/api/v1/controller/organization/": [organization, other_organization],
        f"{users}organization/": [organization, other_organization],
        f"{users}user/": [user["id"]],
        f"{users}group/": [each["id"] for each in admin.get(f"{users}group/")["results"]],
        f"{users}apikey/": [admin.post(f"{users}apikey/", {"name": "key"})["id"]],
        "/controller/": [device["id"] for device in devices],
        "keys": [device["key"] for device in devices],
    }


def informed(document: dict[str, Any], known: dict[str, list[Any]]) -> dict[str, Any]:
    """The document for one who knows some ids: whoever guesses them gets nowhere."""
    document = copy.deepcopy(document)
    by_model = {"Organization": "users/organization", "Template": "controller/template", "User": "users/user"}
    by_model |= {"DeviceGroup": "controller/group", "Group": "users/group"}
    for schema in _schemas(document["components"]["schemas"]):
        model = schema.get("x-model")
        if model in by_model:
            schema |= {"enum": [*known[f"/api/v1/{by_model[model]}/"], *([None] if "null" in schema["type"] else [])]}
    for path, operations in document["paths"].items():
        ids = next((ids for prefix, ids in known.items() if path.startswith(prefix) and "{" in path), None)
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if ids and parameter.get("name") in ("id", "user_id") and "email/{id}" not in path:
                    parameter["schema"] = {"enum": ids}
                if parameter.get("name") == "key":
                    parameter["schema"] = {"enum": known["keys"]}
    return document


def _schemas(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _schemas(each)


def fuzz(app: TestApp, admin: Client, known: dict[str, list[Any]], examples: int) -> Counter[int]:
    """Send what fits the document, and what does not, to every operation. Returns how often each status came."""
    schema = schemathesis.openapi.from_dict(informed(admin.get("/api/v1/docs.json"), known))
    schema.app = app.app
    statuses: Counter[int] = Counter()
    # Most of the time goes into making examples up, so each database gets others.
    number = KINDS.index(app.app.registry.runtime.engine.dialect.name)
    wrong: list[str] = []
    for operation in sorted((each.ok() for each in schema.get_all_operations()), key=turn):
        if operation.path.startswith("/api/v1/docs"):
            continue  # Nothing is sent there, and a document is long.

        @seed(number)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(
            strategies.one_of(
                operation.as_strategy(GenerationMode.POSITIVE), operation.as_strategy(GenerationMode.NEGATIVE)
            )
        )
        def send(case: Any) -> None:
            response = case.call(headers={"Authorization": f"Bearer {admin.token}"})
            statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        try:
            send()
        except FailureGroup as failures:
            wrong += [f"{operation.label}: {failure}" for failure in failures.exceptions]
    assert not wrong, "\n\n".join(wrong)
    return statuses


def turn(operation: Any) -> tuple[int, bool]:
    """When an operation has its turn: what is read or changed has to be there still."""
    return ORDER.index(operation.method), operation.path.endswith("/deactivate/")


def test_a_stranger_to_the_code_finds_no_mistake(app: TestApp, admin: Client, known: dict[str, list[Any]]) -> None:
    statuses = fuzz(app, admin, known, examples=3)
    # What is sent is neither all refused nor all accepted.
    assert min(statuses[status] for status in (200, 201, 204, 400, 404)) > 0


@pytest.mark.long
def test_a_patient_stranger_finds_no_mistake_either(app: TestApp, admin: Client, known: dict[str, list[Any]]) -> None:
    fuzz(app, admin, known, examples=60)
