"""Stories of routers that introduce themselves: what they may say, what they are answered, what is written down."""

import hashlib
import json
import logging
from dataclasses import replace
from urllib.parse import quote
from uuid import UUID

import guywire
import pytest
import sqlalchemy as sa
from guywire.app import create_app
from guywire.db import reading, writing
from guywire.events import DeviceRegistered
from guywire.models import Device, TemplateTag
from guywire.services.bootstrap import load_document
from guywire.testing.clients import OPENWRT
from webtest import TestApp

OPENWISP = "netjsonconfig.OpenWisp"
URLS = ("/controller/register/", "/controller/device/register/")
MAC = "00:11:22:33:44:AA"
FORM = {"secret": "secret", "name": "router", "mac_address": MAC, "backend": OPENWRT}
CALLER = "81.2.69.160"


def key_of(mac_address, secret="secret"):
    """What an agent with consistent keys computes."""
    return hashlib.md5(f"{mac_address}+{secret}".encode()).hexdigest()


# What the reference says in HTML. (It says the first one in plain text, too, for an organization.)
KINDS = {
    "error: registration disabled": ("text/plain", "text/html"),
    "error: device deactivated": ("text/html",),
    "Device not found in the system, please create it first.": ("text/html",),
}


@pytest.fixture
def register(app, organization):
    """Register a device; fields may be changed, and left out with None. Returns the lines of the answer, or its text
    when the status is another one than 201."""

    def register(status=201, application=app, url=URLS[0], **changes):
        form = {name: value for name, value in (FORM | changes).items() if value is not None}
        response = application.post(url, form, status=status, extra_environ={"REMOTE_ADDR": CALLER})
        assert response.headers["X-Openwisp-Controller"] == "true"
        assert response.content_type in KINDS.get(response.text, ("text/plain",))
        return lines_of(response.text) if status == 201 else response.text

    return register


def lines_of(text):
    assert text.endswith("\n")
    return dict(line.split(": ") for line in text.splitlines())


@pytest.fixture
def app_with(settings, app):
    """Make an application on the same database with other settings."""
    made = []

    def make(**changes):
        made.append(create_app(replace(settings, **changes)))
        return TestApp(made[-1])

    yield make
    for application in made:
        application.registry.poll_reader.close()
        application.registry.runtime.close()


@pytest.fixture
def devices(runtime):
    """All devices as they are stored, by name."""

    def devices():
        with reading(runtime.session_factory) as session:
            return {device.name: device for device in session.scalars(sa.select(Device))}

    return devices


@pytest.fixture
def detail(admin):
    """A device as operators see it, given the answer to its registration."""
    return lambda answer: admin.get(f"device/{UUID(answer['uuid'])}/")


@pytest.fixture
def tag(runtime):
    """Give a template a tag."""

    def tag(template, name):
        with writing(runtime.session_factory) as session:
            session.add(TemplateTag(template_id=UUID(template["id"]), name=name))

    return tag


# New devices


@pytest.mark.parametrize("url", URLS)
def test_a_new_device_gets_its_identity_in_lines_that_the_agent_can_parse(app, organization, url, detail):
    description = {"model": "TP-Link WDR4300", "os": "OpenWrt 23.05", "system": "AR9344"}
    form = FORM | description | {"key": "", "hardware_id": "", "management_ip": "", "tags": ""}
    response = app.post(url, form, status=201, extra_environ={"REMOTE_ADDR": CALLER})
    answer = lines_of(response.text)
    uuid, key = answer["uuid"], answer["key"]
    assert response.text == (f"registration-result: success\nuuid: {uuid}\nkey: {key}\nhostname: router\nis-new: 1\n")
    assert response.headers["X-Openwisp-Controller"] == "true"
    assert (len(uuid), uuid) == (32, uuid.lower())
    device = detail(answer)
    assert device["organization"] == organization
    assert (device["name"], device["mac_address"], device["key"]) == ("router", MAC, key)
    assert (device["last_ip"], device["management_ip"]) == (CALLER, None)
    assert {name: device[name] for name in description} == description
    assert (device["config"]["backend"], device["config"]["status"]) == (OPENWRT, "modified")


def test_both_sides_derive_the_same_key_from_the_address_as_the_router_writes_it(register):
    assert register(mac_address=MAC.lower())["key"] == key_of(MAC)
    other = "00:11:22:33:44:BB"
    assert register(name="second", mac_address=other, key=key_of(other))["key"] == key_of(other)
    assert register(name="third", mac_address="00-11-22-33-44-cc")["key"] == key_of("00-11-22-33-44-CC")


def test_the_address_and_secret_of_the_specification_give_its_key(runtime, register):
    bootstrap(runtime, shared_secret="TESTSECRET")
    answer = register(secret="TESTSECRET", mac_address="00:11:22:33:44:55")
    assert answer["key"] == "a2e5beda58e8f358761b3de2785f7fd8"


def test_the_address_is_kept_in_upper_case_whatever_the_router_writes(register, detail):
    assert detail(register(mac_address=MAC.lower()))["mac_address"] == MAC
    dashed = register(name="second", mac_address="00-11-22-33-44-bb")
    assert detail(dashed)["mac_address"] == "00-11-22-33-44-BB"


def test_a_router_can_do_its_work_with_what_it_was_given(app, register, router):
    answer = register()
    agent = router({"id": answer["uuid"], "key": answer["key"]})
    agent.apply()
    assert agent.report() == "report-result: success\ncurrent-status: applied\n"


def test_a_registration_may_say_what_an_agent_says_and_nothing_else(register, detail, devices):
    given = {
        "id": "11111111-1111-1111-1111-111111111111",
        "pk": "11111111-1111-1111-1111-111111111111",
        "notes": "mine",
        "last_ip": "198.51.100.1",
        "created": "2001-01-01",
        "modified": "2001-01-01",
        "_is_deactivated": "1",
        "is_deactivated": "1",
        "group": "11111111-1111-1111-1111-111111111111",
        "group_id": "11111111-1111-1111-1111-111111111111",
        "organization": "11111111-1111-1111-1111-111111111111",
        "organization_id": "11111111-1111-1111-1111-111111111111",
        "config": '{"general": {}}',
        "mac_normalized": "FFFFFFFFFFFF",
    }
    shown = {"notes": "", "last_ip": CALLER, "is_deactivated": False, "group": None}
    for is_new in ("1", "0"):
        answer = register(**given, key=key_of(MAC))
        device = detail(answer)
        assert answer["is-new"] == is_new
        assert answer["uuid"] != given["id"].replace("-", "")
        assert {name: device[name] for name in shown} == shown
        assert device["created"].startswith("2026")
        assert devices()["router"].mac_normalized == "0011223344AA"


def test_a_new_device_gets_the_enabled_templates_and_those_of_its_tags(
    admin, organization, other_organization, register, detail, tag
):
    required = admin.make_template(organization, "required", required=True)
    default = admin.make_template(None, "default", default=True)
    tagged = admin.make_template(organization, "tagged")
    shared = admin.make_template(None, "shared")
    foreign = admin.make_template(other_organization, "foreign")
    legacy = admin.make_template(organization, "legacy", backend=OPENWISP)
    for template in (tagged, foreign, default):
        tag(template, "mesh")
    tag(shared, "guest")
    tag(legacy, "old")
    tag(admin.make_template(organization, "other"), "meshed")
    answer = register(tags="  guest mesh\tnone ")
    expected = [each["id"] for each in (required, default, shared, tagged)]
    assert detail(answer)["config"]["templates"] == expected
    # Tags are taken by their exact names, and do not ask for the backend.
    answer = register(name="second", mac_address="00:11:22:33:44:BB", tags="MESH old")
    assert detail(answer)["config"]["templates"] == [each["id"] for each in (required, default, legacy)]


def test_an_empty_hardware_id_is_none_and_another_one_is_unique_in_its_organization(
    register, devices, other_organization
):
    register(hardware_id="")
    register(name="second", mac_address="00:11:22:33:44:BB", hardware_id="")
    register(name="third", mac_address="00:11:22:33:44:CC", hardware_id="serial 7")
    assert [devices()[name].hardware_id for name in ("router", "second", "third")] == [None, None, "serial 7"]
    text = register(status=400, name="fourth", mac_address="00:11:22:33:44:DD", hardware_id="serial 7")
    assert text == "Device with this Hardware id and Organization already exists."
    register(secret="other-secret", name="fourth", mac_address="00:11:22:33:44:DD", hardware_id="serial 7")


def test_an_address_belongs_to_the_device_that_used_it_last(register, detail):
    private = {"management_ip": "10.8.0.2"}
    first = register(**private)
    second = register(name="second", mac_address="00:11:22:33:44:BB", **private)
    assert detail(first)["management_ip"] is None
    assert detail(second)["management_ip"] == "10.8.0.2"
    # Many may sit behind one public address.
    assert [detail(answer)["last_ip"] for answer in (first, second)] == [CALLER, CALLER]


# Devices that are known


def test_a_known_key_updates_what_the_router_says_of_itself_and_nothing_else(
    admin, organization, register, detail, devices, tag
):
    template = admin.make_template(organization, "tagged")
    tag(template, "mesh")
    first = register(key=key_of(MAC), os="old", model="old", hardware_id="serial", management_ip="10.8.0.2")
    admin.make_template(organization, "late", default=True)
    admin.patch(f"device/{UUID(first['uuid'])}/", {"config": {"templates": []}})
    again = register(
        key=key_of(MAC),
        name="renamed",
        mac_address="00:11:22:33:44:BB",
        hardware_id="other",
        management_ip="10.8.0.3",
        backend=OPENWISP,
        os="",
        system="new",
        tags="mesh",
    )
    assert again == first | {"hostname": "renamed", "is-new": "0"}
    device = detail(again)
    assert (device["mac_address"], device["management_ip"], device["last_ip"]) == (MAC, "10.8.0.2", CALLER)
    assert (device["os"], device["model"], device["system"]) == ("", "old", "new")
    assert device["config"]["backend"] == OPENWRT
    assert device["config"]["templates"] == [template["id"]]
    assert devices()["renamed"].hardware_id == "serial"


def test_a_router_without_a_name_of_its_own_keeps_the_one_that_operators_gave_it(register):
    dashed = MAC.replace(":", "-")
    register(key=key_of(MAC))
    for name in (MAC, MAC.lower(), dashed, dashed.lower()):
        assert register(key=key_of(MAC), name=name)["hostname"] == "router"
    assert register(key=key_of(MAC), name="another")["hostname"] == "another"


def test_registering_again_changes_no_status_when_it_changes_no_bytes(admin, register, router, detail):
    answer = register(key=key_of(MAC))
    path = f"device/{UUID(answer['uuid'])}/"
    admin.patch(path, {"config": {"config": {"general": {"hostname": "fixed"}}}})
    router({"id": answer["uuid"], "key": answer["key"]}).apply()
    register(key=key_of(MAC), name="renamed", model="another")
    assert detail(answer)["config"]["status"] == "applied"
    admin.patch(path, {"config": {"config": {}}})
    assert detail(answer)["config"]["status"] == "modified"


def test_a_device_without_configuration_gets_one_when_it_registers(admin, organization, register, detail):
    template = admin.make_template(organization, "default", default=True)
    body = {"name": "bare", "organization": organization, "mac_address": MAC}
    device = admin.post("device/", body)
    assert device["config"] is None
    answer = register(key=device["key"], name="bare")
    assert (UUID(answer["uuid"]), answer["is-new"]) == (UUID(device["id"]), "0")
    assert detail(answer)["config"]["templates"] == [template["id"]]


def test_a_device_can_register_again_while_its_configuration_cannot_be_rendered(admin, organization, register, router):
    template = admin.make_template(organization, "radio", config={"radios": [radio("802.11n", 3, 20)]}, default=True)
    answer = register(key=key_of(MAC))
    own = {"radios": [{"name": "radio0", "protocol": "802.11n"}]}
    admin.patch(f"device/{UUID(answer['uuid'])}/", {"config": {"config": own}})
    agent = router({"id": answer["uuid"], "key": answer["key"]})
    good = agent.poll()
    admin.patch(f"template/{template['id']}/", {"config": {"radios": [radio("802.11ac", 36, 80)]}})
    assert register(key=key_of(MAC), name="renamed", os="OpenWrt 23.05")["hostname"] == "renamed"
    assert agent.update_info(model="WDR4300") == "update-info: success"
    assert agent.poll() == good
    state = admin.state({"id": UUID(answer["uuid"])})
    assert (state["status"], state["rendering_error"] is not None) == ("modified", True)


def radio(protocol, channel, width):
    return {"name": "radio0", "protocol": protocol, "channel": channel, "channel_width": width}


def test_a_new_device_that_cannot_be_configured_is_refused_and_nothing_of_it_remains(
    admin, organization, runtime, register, devices
):
    route = {"device": "eth0", "destination": "{{subnet}}", "next": "10.0.0.1", "cost": 0}
    admin.make_template(organization, "needs a variable", config={"routes": [route]}, default=True)
    assert "{{subnet}}" in register(status=400)
    assert devices() == {}
    bootstrap(runtime, context={"subnet": "10.0.0.0/8"})
    assert register()["is-new"] == "1"


# Refusals


def test_what_is_wrong_is_answered_in_a_fixed_order(app_with, admin, organization, register, runtime, caplog):
    """A registration with which everything is wrong; then one thing after the other is put right."""
    form = {"secret": "", "name": "", "mac_address": "", "backend": "", "key": key_of(MAC), "management_ip": "junk"}
    own = app_with(registration_enabled=False)
    assert register(status=403, application=own, **form) == "error: registration disabled"
    own = app_with(registration_self_creation=False)
    for name, value in (("secret", "wrong"), ("name", "not a name"), ("mac_address", "junk"), ("backend", "none")):
        expected = f'error: missing required parameter "{name}"\n'
        assert register(status=400, application=own, **form) == expected
        assert register(status=400, application=own, **form | {name: None}) == expected
        form[name] = value
    assert register(status=403, application=own, **form) == "error: wrong backend\n"
    form["backend"] = OPENWRT
    assert register(status=403, application=own, **form) == "error: unrecognized secret"
    form["secret"] = "secret"
    bootstrap(runtime, registration_enabled=False)
    assert register(status=403, application=own, **form) == "error: registration disabled"
    bootstrap(runtime, registration_enabled=True)
    assert register(status=404, application=own, **form) == "Device not found in the system, please create it first."
    body = {"name": "known", "organization": organization, "mac_address": MAC}
    device = admin.post("device/", body)
    admin.post(f"device/{device['id']}/deactivate/", status=200)
    assert register(status=403, application=own, **form) == "error: device deactivated"
    admin.post(f"device/{device['id']}/activate/", status=200)
    # (A known device's addresses are not taken from the form.)
    rule = "Must be either a valid hostname or mac address."
    assert register(status=400, application=own, **form) == rule
    form["name"] = "renamed"
    assert register(application=own, **form)["is-new"] == "0"


def bootstrap(runtime, **fields):
    """What ``guywire bootstrap`` does for the organization."""
    with writing(runtime.session_factory) as session:
        load_document(session, runtime.key_ring, {"organizations": {"org1": fields}}, runtime.clock())


def test_nobody_registers_with_an_organization_that_is_switched_off(runtime, register):
    bootstrap(runtime, is_active=False)
    assert register(status=403) == "error: unrecognized secret"


def test_the_messages_about_wrong_values_are_joined_with_a_space(register, devices):
    hostname, mac = "Must be either a valid hostname or mac address.", "Must be a valid mac address."
    assert register(status=400, name="not a name", mac_address="junk") == f"{hostname} {mac}"
    long = "Ensure this value has at most {} characters (it has {})."
    text = register(status=400, model="x" * 65, os="x" * 129, system="x" * 129, hardware_id="x" * 33)
    assert text == " ".join([long.format(32, 33), long.format(64, 65), long.format(128, 129), long.format(128, 129)])
    assert register(status=400, name="x" * 65) == f"{hostname} {long.format(64, 65)}"
    key = "This value must not contain spaces, dots or slashes."
    for wrong in ("a b", "a.b", "a/b"):
        assert register(status=400, key=wrong) == key
    assert register(status=400, key="x" * 65) == long.format(64, 65)
    address = "Enter a valid IPv4 or IPv6 address."
    for wrong in ("junk", "10.0.0.1/8", "10.0.0.256", "fe80::1%eth0", "1"):
        assert register(status=400, management_ip=wrong) == address
    assert devices() == {}


def test_another_device_in_the_way_is_named(register, devices, other_organization):
    register()
    name = "Device with this Name and Organization already exists."
    mac = "Device with this Mac address and Organization already exists."
    key = "Device with this Key already exists."
    assert register(status=400) == f"{name} {mac} {key}"
    assert register(status=400, name="ROUTER", mac_address="00:11:22:33:44:BB") == name
    assert register(status=400, name="second", key="own") == mac
    assert register(status=400, name="second", mac_address="00-11-22-33-44-aa", key="own") == mac
    assert set(devices()) == {"router"}
    assert register(secret="other-secret")["is-new"] == "1"


def test_a_secret_opens_only_its_own_organizations_devices(register, devices, other_organization, detail):
    answer = register(key=key_of(MAC))
    before = detail(answer)
    text = register(status=400, secret="other-secret", key=key_of(MAC), name="mine-now", os="other")
    assert text == "Device with this Key already exists."
    assert answer["uuid"] not in text
    assert detail(answer) == before
    assert set(devices()) == {"router"}


def test_without_consistent_keys_the_routers_key_means_nothing(app_with, register):
    own = app_with(consistent_registration=False)
    answer = register(application=own, key=key_of(MAC))
    assert (len(answer["key"]), answer["key"].isalnum()) == (32, True)
    assert answer["key"] != key_of(MAC)
    text = register(status=400, application=own, key=answer["key"])
    assert text.startswith("Device with this Name and Organization already exists. Device with this Mac address")


def test_where_operators_create_devices_only_known_ones_may_register(app_with, admin, organization, register, devices):
    own = app_with(registration_self_creation=False)
    assert register(status=404, application=own, key=key_of(MAC)).startswith("Device not found in the system")
    admin.post("device/", {"name": "known", "organization": organization, "mac_address": MAC})
    assert register(application=own, key=key_of(MAC), name="renamed")["is-new"] == "0"
    assert set(devices()) == {"renamed"}


def test_a_device_out_of_service_is_refused_until_it_is_back(admin, register, router):
    answer = register(key=key_of(MAC))
    path = f"device/{UUID(answer['uuid'])}/"
    agent = router({"id": answer["uuid"], "key": answer["key"]})
    agent.apply()
    admin.patch(path, {"config": {"config": {"general": {"timezone": "UTC"}}}})
    agent.apply()
    assert admin.post(f"{path}deactivate/", status=200)["config"]["status"] == "deactivating"
    assert register(status=403, key=key_of(MAC)) == "error: device deactivated"
    agent.apply()
    assert admin.get(path)["config"]["status"] == "deactivated"
    assert register(status=403, key=key_of(MAC)) == "error: device deactivated"
    admin.post(f"{path}activate/", status=200)
    assert register(key=key_of(MAC))["is-new"] == "0"


def test_only_posts_register(app):
    for url in URLS:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
            response = app.request(url, method=method, status="*")
            assert (response.status_int, response.body) == (200 if method == "OPTIONS" else 405, b"")
            assert response.headers["Allow"] == "OPTIONS, POST"
            assert "X-Openwisp-Controller" not in response.headers


# What is written down


def test_each_registration_has_its_line_in_the_log(register, organization, caplog):
    caplog.set_level(logging.INFO)
    answer = register(key=key_of(MAC))
    register(key=key_of(MAC))
    logged = [record.getMessage() for record in caplog.records if "registered" in record.getMessage()]
    device = f"device={UUID(answer['uuid'])} organization={organization}"
    assert logged == [f"device registered: {device} new=True", f"device registered: {device} new=False"]
    assert key_of(MAC) not in caplog.text


def test_each_refusal_has_its_line_in_the_log_with_the_reason(register, caplog):
    for changes, status, reason in (
        ({"mac_address": None}, 400, 'missing required parameter "mac_address"'),
        ({"backend": "none"}, 403, "wrong backend"),
        ({"secret": "guessed"}, 403, "unrecognized secret"),
        ({"name": "not a name"}, 400, "Must be either a valid hostname or mac address."),
        ({"management_ip": "junk"}, 400, "Enter a valid IPv4 or IPv6 address."),
    ):
        caplog.clear()
        register(status=status, **changes)
        [line] = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert reason in line
        assert CALLER in line
        assert "guessed" not in line, "a secret, even a wrong one, is none of the log's business"


def test_a_stranger_cannot_write_lines_of_their_own_into_the_log(register, caplog):
    register(status=400, name="x\nWARNING everything is fine", mac_address="y" * 100_000)
    [record] = [record for record in caplog.records if "refused" in record.getMessage()]
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 2000


class Listener:
    """A plugin that hears of registrations."""

    def __init__(self):
        self.heard = []
        self.look = None

    @guywire.hookimpl
    def after_commit(self, event):
        if isinstance(event, DeviceRegistered):
            self.heard.append((event.is_new, self.look(event.device_id)))


class TestPluginsHearOfRegistrations:
    @pytest.fixture
    def listener(self):
        return Listener()

    @pytest.fixture
    def plugins(self, listener):
        return [("listener", listener)]

    def test_once_they_are_committed(self, listener, register, runtime):
        def look(device_id):
            with reading(runtime.session_factory) as session:
                return session.get(Device, device_id) is not None

        listener.look = look
        register(key=key_of(MAC))
        register(key=key_of(MAC))
        register(status=400)
        assert listener.heard == [(True, True), (False, True)]


# Nonsense


def test_a_body_that_is_no_form_says_nothing(app, organization):
    as_json = json.dumps(FORM).encode()
    for body in (as_json, b"[]", b"\xff\xfe\x00", b""):
        for content_type in ("application/json", "text/plain", "application/octet-stream"):
            response = app.post(URLS[0], body, content_type=content_type, status=400)
            assert response.text == 'error: missing required parameter "secret"\n'
            assert response.headers["X-Openwisp-Controller"] == "true"


def test_no_value_of_any_field_breaks_a_registration(app, organization, devices, runtime):
    plain = {name: quote(text).encode() for name, text in FORM.items()} | {"key": b"own"}
    for value in (b"%00", b"%FF", b"a%00b", b"%C3%28", b"%ED%A0%80", b"%0A", b"x" * 100_000):
        for name in (*plain, "hardware_id", "model", "os", "system", "management_ip", "tags", "unknown"):
            body = b"&".join(key.encode() + b"=" + text for key, text in (plain | {name: value}).items())
            form = "application/x-www-form-urlencoded"
            response = app.post(URLS[0], body, content_type=form, status="*")
            assert response.status_int in (201, 400, 403), (name, value[:9], response.text)
            assert response.headers["X-Openwisp-Controller"] == "true", (name, value[:9], response.text)
            assert response.content_type == "text/plain"
            if response.status_int == 201:
                with writing(runtime.session_factory) as session:
                    session.delete(session.get_one(Device, UUID(lines_of(response.text)["uuid"])))
            assert devices() == {}


def test_more_tags_than_a_statement_takes_are_refused(register):
    tags = " ".join(str(number) for number in range(100_000))
    assert register(status=400, tags=tags) == "Ensure that there are at most 100 tags (there are 100000)."
    assert register(tags=" ".join(str(number) for number in range(100)))["is-new"] == "1"
    assert register(status=400, tags=tags, key=key_of(MAC)).startswith("Ensure that")


def test_a_form_that_cannot_be_read_is_answered_like_one_that_lacks_something(app, organization):
    for content_type, body in (
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data; boundary=\xff", b"--x\r\nnonsense"),
        ("application/x-www-form-urlencoded; charset=latin-1", b"secret=%E9"),
        ("application/x-www-form-urlencoded; charset=klingon", b"secret=%E9"),
        ("application/x-www-form-urlencoded", b"%%%&&&===;;;"),
        ("", b"secret"),
    ):
        response = app.post(URLS[0], body, content_type=content_type, status=400)
        assert response.text == 'error: missing required parameter "secret"\n'
        assert response.headers["X-Openwisp-Controller"] == "true"


def test_a_form_with_parts_is_understood_and_a_file_in_it_is_no_text(app, organization):
    upload = [("key", "key.txt", b"own")]
    response = app.post(URLS[0], FORM, upload_files=upload, status=201)
    assert lines_of(response.text)["key"] == key_of(MAC)
    response = app.post(URLS[0], FORM, upload_files=[("name", "name.txt", b"router")], status="*")
    assert response.status_int == 400


def test_a_body_that_is_too_large_is_refused_before_it_is_read(app, settings):
    body = b"x" * (settings.max_body_size + 1)
    for url in URLS:
        app.post(url, body, content_type="application/x-www-form-urlencoded", status=413)
