"""The OpenAPI document: complete, valid, and true of what is answered."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import cornice
import pytest
import yaml
from documented import Documented
from guywire import hookimpl
from guywire.api.service import APIService, Operation, described, services_of
from guywire.api.shown import object_schema
from guywire.db import reading
from guywire.models import User
from guywire.openapi.endpoints import endpoints_of
from guywire.openapi.operations import path_of
from guywire.runtime import Runtime
from guywire.services import password_reset
from guywire.testing import Client
from guywire.testing.clients import OPENWRT
from openapi_spec_validator import OpenAPIV31SpecValidator
from pyramid.config import Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.response import Response
from webtest import TestApp

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
PASSWORD = "a long enough pass phrase"
JOBS = "/api/v1/controller/job/"
ONLY_WITH_PLUGINS = ("/api/v1/controller/vpn/", "/controller/vpn/")
"""Where there is nothing without a plugin: its tests look after them."""
UNKNOWN = str(uuid.uuid4())


class Weather:
    """A stranger's plugin, with a route of each kind."""

    service = APIService("weather", "/api/v1/weather/{place:[a-z]{2,9}}/", description="The weather.")
    bare = cornice.Service("bare_weather", "/api/v1/bare-weather/")

    @staticmethod
    @service.get(operation=Operation(answer=object_schema(sky={"type": "string"}), permission="view_device"))
    def look(request: Any) -> dict[str, str]:
        """How the sky looks. It may change."""
        return {"sky": "blue"}

    @staticmethod
    @bare.get()
    def look_barely(request: Any) -> dict[str, str]:
        return {}

    @staticmethod
    @described(Operation(sends="text/plain"))
    def tell(request: Any) -> Response:
        """In words."""
        return Response("blue", content_type="text/plain")

    @hookimpl
    def configure(self, config: Configurator) -> None:
        config.add_cornice_service(self.service)
        config.add_cornice_service(self.bare)
        config.add_route("weather_words", "/api/v1/weather-words/")
        config.add_view(self.tell, route_name="weather_words", request_method="POST")
        config.add_route("weather_page", "/weather/")
        config.add_view(self.tell, route_name="weather_page")


@pytest.fixture
def plugins() -> list[tuple[str, Any]]:
    return [("weather", Weather())]


@pytest.fixture
def document(admin: Client) -> dict[str, Any]:
    return admin.get("/api/v1/docs.json")


@pytest.fixture
def documented(app: TestApp, admin: Client, document: dict[str, Any]) -> Client:
    """A superuser who reads what the document says of every answer."""
    return Client(Documented(app.app, document), admin.token)


# What it is


def test_the_document_is_valid_and_says_what_there_is(
    app: TestApp, admin: Client, operator: Client, anonymous: Client, make_app: Callable[[], Any]
) -> None:
    answer = admin.request("GET", "/api/v1/docs.json", status=200)
    assert answer.content_type == "application/json"
    document = answer.json
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    # Every process makes the same one, and everybody reads the same one.
    client = Client(TestApp(make_app()), operator.token)
    assert client.request("GET", "/api/v1/docs.json", status=200).body == answer.body
    as_yaml = operator.request("GET", "/api/v1/docs.yaml", status=200)
    assert as_yaml.content_type == "application/yaml"
    assert yaml.safe_load(as_yaml.body) == document
    for path in ("docs.json", "docs.yaml", "docs/"):
        anonymous.request("GET", f"/api/v1/{path}", status=401)
        assert operator.request("POST", f"/api/v1/{path}", status=405).headers["Allow"] == "GET, HEAD"
    assert documented_routes(document).keys() == registered_routes(app)
    identifiers = [operation["operationId"] for operation in documented_routes(document).values()]
    assert len(set(identifiers)) == len(identifiers)
    assert_nothing_is_unsaid(document)
    assert_plugins_are_described(document)
    assert_devices_are_described(document)


def documented_routes(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (path, method.upper()): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def registered_routes(app: TestApp) -> set[tuple[str, str]]:
    """What Pyramid serves below the two doors, asked of Pyramid itself."""
    registry = app.app.registry
    patterns = {route.name: route.pattern for route in registry.getUtility(IRoutesMapper).get_routes()}
    found = set()
    for item in registry.introspector.get_category("views"):
        view = item["introspectable"]
        methods = view["request_methods"] or ()
        path = patterns.get(view["route_name"], "")
        if path.startswith(("/api/", "/controller/")):
            path = re.sub(r":(?:[^{}]|\{[^{}]*\})*\}", "}", path)
            found |= {(path, each) for each in ((methods,) if isinstance(methods, str) else methods) if each in METHODS}
    return found


def assert_nothing_is_unsaid(document: dict[str, Any]) -> None:
    for (path, method), operation in documented_routes(document).items():
        if path == "/api/v1/bare-weather/":
            continue
        assert operation["summary"], (path, method)
        statuses = set(operation["responses"])
        assert "503" in statuses
        if operation["security"] and path not in ("/api/v1/docs.json", "/api/v1/docs.yaml", "/api/v1/docs/"):
            assert statuses >= {"400", "401", "403", "404", "406", "429"}
        if "requestBody" in operation:
            assert "413" in statuses
        for status in ("200", "201"):
            for kind, content in operation["responses"].get(status, {}).get("content", {}).items():
                assert content["schema"], f"{method} {path} does not say what it answers ({kind})"
        for parameter in operation.get("parameters", ()):
            assert "$ref" in parameter or parameter["schema"]


def assert_plugins_are_described(document: dict[str, Any]) -> None:
    look = document["paths"]["/api/v1/weather/{place}/"]["get"]
    assert look["summary"] == "How the sky looks"
    assert look["x-permission"] == "view_device"
    assert "`view_device` or `change_device`" in look["description"]
    place = {
        "in": "path",
        "name": "place",
        "required": True,
        "schema": {"type": "string", "pattern": "^(?:[a-z]{2,9})$"},
    }
    assert place in look["parameters"]
    assert document["paths"]["/api/v1/weather-words/"]["post"]["summary"] == "In words"
    assert document["paths"]["/api/v1/bare-weather/"]["get"]["responses"] == {
        "default": {"description": "Nobody described it."}
    }
    assert "/weather/" not in document["paths"]


def assert_devices_are_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"Device", "DeviceDetail", "DevicePage", "DeviceBody", "NewDeviceBody", "PatchedDeviceBody"} <= set(schemas)
    body = schemas["NewDeviceBody"]
    assert body["required"] == ["name", "organization", "mac_address"]
    assert body["properties"]["name"] == {
        "type": "string",
        "maxLength": 64,
        "minLength": 1,
        "title": "Name",
        "description": "A hostname or a MAC address.",
    }
    assert body["properties"]["group"]["type"] == ["string", "null"]
    assert schemas["ConfigBody"]["properties"]["backend"]["enum"] == [OPENWRT, "netjsonconfig.OpenWisp"]
    assert "required" not in schemas["PatchedDeviceBody"]
    form = schemas["NewDeviceBodyForm"]
    assert form["properties"]["config.backend"]
    assert "config" not in form["properties"]
    assert schemas["Device"]["additionalProperties"] is False
    operations = document["paths"]["/api/v1/controller/device/"]
    assert operations["get"]["security"] == [{"bearer": []}, {"session": []}]
    assert operations["post"]["security"] == [{"bearer": []}, {"session": [], "csrf": []}]
    named = {each["name"] for each in operations["get"]["parameters"] if "name" in each}
    assert {"name", "config__status", "organization_slug", "created__gte"} <= named
    assert document["paths"]["/api/v1/users/token/"]["post"]["security"] == []


def test_swagger_ui_comes_from_this_server_and_runs_no_inline_scripts(
    admin: Client, anonymous: Client, app: TestApp
) -> None:
    page = admin.request("GET", "/api/v1/docs/", headers={"Accept": "text/html"}, status=200)
    assert "swagger" in page.text
    assert "<html" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    links = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.text)
    assert len(links) >= 4
    assert all(link.startswith("/static/") for link in links)
    for link in links:
        app.get(link, status=200)
    assert not re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=", page.text)
    assert app.get("/api/v1/redoc/", status=301).headers["Location"] == "/api/v1/docs/"
    refused = anonymous.request("GET", "/api/v1/docs/", headers={"Accept": "text/html"}, status=401)
    assert "/accounts/login/" in refused.text


# Whether it is true


def bodies(organization: str, template: str, number: int) -> dict[str, dict[str, Any]]:
    """Something that can be created in every list. New lists have to be added."""
    config = {"interfaces": [{"name": f"eth{number}", "type": "ethernet"}]}
    return {
        "/api/v1/controller/device/": {
            "name": f"router{number}",
            "organization": organization,
            "mac_address": f"00:11:22:33:44:{number:02}",
            "config": {"backend": OPENWRT, "config": {}, "context": {"a": "b"}, "templates": [template]},
        },
        "/api/v1/controller/group/": {
            "name": f"group{number}",
            "organization": organization,
            "templates": [],
            "meta_data": {"captive_portal": "x"},
        },
        "/api/v1/controller/template/": {
            "name": f"template{number}",
            "organization": organization,
            "backend": OPENWRT,
            "config": config,
        },
        "/api/v1/users/apikey/": {"name": f"key{number}"},
        "/api/v1/users/group/": {"name": f"group{number}", "permissions": []},
        "/api/v1/users/organization/": {"name": f"Name {number}", "slug": f"slug{number}"},
        "/api/v1/users/user/": {
            "username": f"user{number}",
            "email": f"user{number}@example.org",
            "password": PASSWORD,
        },
    }


def operations_of_the_core(app: TestApp) -> dict[str, set[tuple[str, str]]]:
    """Paths and methods by the list that they begin with ("" for others). Plugins look after theirs themselves."""
    registry = app.app.registry
    ours = [each for each in services_of(registry) if owner_of(each).startswith(("guywire.", __name__))]
    lists = [each.path for each in ours if each.resource is not None and "{" not in each.path]
    strange = [each.path for each in registry.cornice_services.values() if each not in ours]
    found: dict[str, set[tuple[str, str]]] = {path: set() for path in ("", *lists)}
    for endpoint in endpoints_of(registry):
        if endpoint.pattern not in strange:
            above = next((path for path in lists if endpoint.pattern.startswith(path)), "")
            found[above].add((path_of(endpoint.pattern), endpoint.method))
    return found


def owner_of(service: APIService) -> str:
    """The module that a service comes from."""
    view = service.definitions[0][1]
    module: str = service.resource.__module__ if service.resource is not None else view.__module__
    return module


def test_answers_are_as_the_document_says(
    app: TestApp, documented: Client, document: dict[str, Any], organization: str, runtime: Runtime
) -> None:
    template = documented.make_template(organization, name="shown")["id"]
    some, others = bodies(organization, template, 1), bodies(organization, template, 2)
    expected = operations_of_the_core(app)
    assert set(some) == set(expected) - {"", JOBS, *ONLY_WITH_PLUGINS}
    made = {path: tour_of_a_list(documented, path, some[path], document) for path in some}
    tour_of_devices(documented, made["/api/v1/controller/device/"], organization)
    tour_of_accounts(documented, made["/api/v1/users/user/"], runtime)
    tour_of_the_rest(documented, organization, template)
    tour_of_jobs(documented, runtime)
    for path in some:
        documented.post(path, others[path])
        if "delete" in document["paths"][f"{path}{{id}}/"]:
            documented.delete(f"{path}{made[path]['id']}/?force=true")
    looked_at = {(path, method) for path, method, status in documented.app.seen if status < 400}
    for path in ("", JOBS, *some):
        unseen = {each for each in expected[path] - looked_at if not each[0].startswith(ONLY_WITH_PLUGINS)}
        assert not unseen, sorted(unseen)


def tour_of_a_list(client: Client, path: str, body: dict[str, Any], document: dict[str, Any]) -> Any:
    """Everything that every resource has, right and wrong."""
    made = client.post(path, body)
    one, methods = f"{path}{made['id']}/", document["paths"][f"{path}{{id}}/"]
    client.get(path, page_size=1, page="last")
    client.get(one)
    if "patch" in methods:
        client.patch(one, {})
    if "put" in methods:
        client.put(one, body)
        client.put(one, {}, status=400)
    client.post(path, {}, status=400)
    client.get(path, page=99, status=404)
    client.get(f"{path}{UNKNOWN if '-' in str(made['id']) else 10**9}/", status=404)
    client.get(path, status=404, format="yaml")
    for headers, status in (({"Content-Type": "text/plain"}, 415), ({"Accept": "image/png"}, 406)):
        client.request("POST", path, body, status, headers=headers)
    assert "<html" in client.request("GET", path, query={"format": "api"}, status=200).text
    for token in (None, "wrong"):
        Client(client.app, token).get(one, status=401)
    return made


def tour_of_jobs(client: Client, runtime: Runtime) -> None:
    """Nobody makes them over REST."""
    runtime.queue.enqueue("render_organization", organization=UNKNOWN)
    [job] = client.get(JOBS, name="render_organization")["results"]
    client.get(f"{JOBS}{job['id']}/")
    client.get(f"{JOBS}{UNKNOWN}/", 404)
    client.get(JOBS, 400, state="lost")
    client.post(f"{JOBS}{job['id']}/cancel/", status=200)
    client.post(f"{JOBS}{job['id']}/cancel/", status=409)
    client.post(f"{JOBS}{UNKNOWN}/cancel/", status=404)


def tour_of_devices(client: Client, device: Any, organization: str) -> None:
    """What devices have besides, and what they themselves ask."""
    one = f"device/{device['id']}/"
    for part in ("state", "configuration", "context"):
        client.request("GET", f"{one}{part}/", status=200)
    for door in ("/controller/", "/controller/device/"):
        for call in ("checksum", "download-config"):
            client.app.get(f"{door}{call}/{device['id']}/", {"key": device["key"]}, status=200)
            client.app.get(f"{door}{call}/{device['id']}/", {"key": "wrong"}, status=403)
            client.app.get(f"{door}{call}/{device['id']}/", status=400)
            client.app.get(f"{door}{call}/{UNKNOWN}/", status=404)
        client.app.post(f"{door}update-info/{device['id']}/", {"key": device["key"], "os": "new"}, status=200)
        client.app.post(f"{door}report-status/{device['id']}/", {"key": device["key"], "status": "applied"}, status=200)
        client.app.post(f"{door}report-status/{device['id']}/", {"key": device["key"]}, status=400)
        name = f"new{len(door)}"
        form = {"secret": "secret", "name": name, "mac_address": f"02:00:00:00:00:{len(door)}", "backend": OPENWRT}
        client.app.post(f"{door}register/", form, status=201)
        client.app.post(f"{door}register/", form | {"secret": "wrong"}, status=403)
    client.post(f"{one}deactivate/", status=200)
    client.post(f"{one}deactivate/", status=404)
    client.post(f"{one}activate/", status=200)
    client.post(f"{one}deactivate/", status=200)
    exported = client.request("GET", "device/export/", status=200)
    client.app.post(
        "/api/v1/controller/device/import/",
        upload_files=[("file", "devices.csv", exported.body)],
        headers={"Authorization": f"Bearer {client.token}"},
        status="*",
    )


def tour_of_accounts(client: Client, user: Any, runtime: Runtime) -> None:
    """Tokens, passwords and addresses of a user."""
    one, users = f"/api/v1/users/user/{user['id']}/", "/api/v1/users/"
    old, new, newest = PASSWORD, "another long pass phrase", "the last long pass phrase"
    emails = f"{one}email/"
    address = client.post(emails, {"email": "second@example.org"})
    client.get(emails)
    client.get(f"{emails}{address['id']}/")
    client.patch(f"{emails}{address['id']}/", {})
    client.put(f"{emails}{address['id']}/", {"email": "third@example.org"})
    client.delete(f"{emails}{address['id']}/")
    somebody = Client(client.app)
    token = somebody.post(f"{users}token/", {"username": user["username"], "password": old}, status=200)["token"]
    somebody.post(f"{users}token/", {"username": user["username"], "password": "wrong"}, status=400)
    somebody.post(f"{users}password/reset/", {"input": user["email"]}, status=200)
    change = {"old_password": old, "new_password1": new, "new_password2": new}
    Client(client.app, token).post(f"{users}user/password/change/", change, status=200)
    client.put(f"{one}password/", {"new_password": newest, "confirm_password": newest})
    with reading(runtime.session_factory) as session:
        row = session.get_one(User, uuid.UUID(user["id"]))
        mailed = password_reset.make_token(runtime.key_ring, row, runtime.clock())
    confirmation = {"uid": user["id"], "token": mailed, "new_password1": old, "new_password2": old}
    somebody.post(f"{users}password/reset/confirm/", confirmation, status=200)
    somebody.post(f"{users}password/reset/confirm/", confirmation, status=400)


def certificate_of(client: Client, organization: str, device: Any) -> Any:
    """The common name of the certificate that a device gets as a client of a VPN server."""
    body = {"name": "devices", "organization": organization}
    ca = client.post("ca/", {**body, "common_name": "devices", "key_length": "256"})
    tunnel = {"name": "tun", "mode": "server", "proto": "udp", "dev": "tun0", "dev_type": "tun"}
    backend = "openwisp_controller.vpn_backends.OpenVpn"
    server = {**body, "host": "host", "backend": backend, "ca": ca["id"], "config": {"openvpn": [tunnel]}}
    fields = {"type": "vpn", "vpn": client.post("vpn/", server)["id"], "config": {}}
    template = client.make_template(organization, "devices", **fields)
    client.patch(f"device/{device['id']}/", {"config": {"templates": [template["id"]]}})
    return client.get("cert/?ordering=-id")["results"][0]["common_name"]


def tour_of_the_rest(client: Client, organization: str, template: str) -> None:
    """Single objects, and actions."""
    settings = f"organization/{organization}/settings/"
    client.get(settings)
    client.patch(settings, {})
    client.put(settings, client.get(settings))
    client.post(f"{settings}rotate-secret/", status=200)
    client.get(f"template/{template}/tags/")
    client.put(f"template/{template}/tags/", {"tags": ["one"]})
    client.post(f"template/{template}/clone/", {"name": "clone"})
    client.request("GET", f"template/{template}/configuration/", status=200)
    device = client.make_device(organization, name="with-group", mac_address="00:00:00:00:00:99")
    client.get("cert/somebody/group/", status=404)
    group = client.post("group/", {"name": "of-certificates", "organization": organization, "templates": []})
    client.patch(f"device/{device['id']}/", {"group": group["id"]})
    client.get(f"cert/{certificate_of(client, organization, device)}/group/")
    client.get("/api/v1/weather/rome/")
    client.get("/api/v1/bare-weather/")
    client.app.post("/api/v1/weather-words/")
    for path in ("docs.json", "docs.yaml", "docs/", "redoc/"):
        client.request("GET", f"/api/v1/{path}", status="*")
