"""Stories of device groups: their templates and variables reach thousands of devices, their meta data integrations."""

import io
import tarfile
import types
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire import hookimpl
from guywire.app import create_app
from guywire.db import reading, writing
from guywire.events import ConfigsCreated, ConfigsStale, DeviceGroupChanged, GroupTemplatesChanged
from guywire.interfaces import CertificateLookup
from guywire.models import Device
from guywire.settings import SettingInvalid
from guywire.testing import Client
from guywire.testing.clients import OPENWRT

OPENWISP = "netjsonconfig.OpenWisp"
KEYS = ["id", "name", "organization", "description", "templates", "context", "meta_data", "created", "modified"]
NOT_FOUND = {"detail": "No DeviceGroup matches the given query."}


class Certificates(CertificateLookup):
    """Remembers what it was asked, and knows the devices that it was told."""

    def __init__(self):
        self.devices, self.asked = [], None

    def devices_of_certificate(self, session, common_name, organization_slugs, now):
        self.asked = common_name, organization_slugs
        return self.devices


@pytest.fixture
def certificates():
    return Certificates()


@pytest.fixture
def settings(settings):
    # Whoever knows certificates by trade stands aside.
    return replace(settings, plugins_blocked=frozenset({"pki", "vpn_openvpn"}))


@pytest.fixture
def heard():
    """What after_commit told of groups."""
    return []


@pytest.fixture
def plugins(certificates, heard):
    def after_commit(event):
        if isinstance(event, (ConfigsCreated, DeviceGroupChanged, GroupTemplatesChanged, ConfigsStale)):
            heard.append(event)

    plugin = types.SimpleNamespace(
        register_services=hookimpl(lambda: {CertificateLookup: certificates}), after_commit=hookimpl(after_commit)
    )
    return [("test", plugin)]


@pytest.fixture
def make_group(admin, organization):
    def make(*templates, **fields):
        body = {"name": uuid4().hex, "organization": organization, "templates": [each["id"] for each in templates]}
        return admin.post("group/", body | fields)

    return make


@pytest.fixture
def make_bare(admin, organization):
    """A device in a group, without configuration of its own."""

    def make(group, number=1, **fields):
        body = {"name": f"bare-{number}", "organization": organization, "group": group["id"]}
        return admin.post("device/", body | {"mac_address": f"00:00:00:00:00:{number:02x}"} | fields)

    return make


def path(thing):
    return f"group/{thing['id']}/"


def templates_of(admin, device):
    config = admin.get(f"device/{device['id']}/")["config"]
    return config and config["templates"]


def ids(*things):
    return [thing["id"] for thing in things]


def file_of(admin, device, name):
    archive = admin.request("GET", f"device/{device['id']}/configuration/").body
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.extractfile(name).read().decode()


@contextmanager
def counted_statements(runtime):
    """The statements that run within the block."""
    statements = []

    def count(connection, cursor, statement, *rest):
        statements.append(statement)

    sa.event.listen(runtime.engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        sa.event.remove(runtime.engine, "before_cursor_execute", count)


# Fields


def test_a_group_has_nine_keys_and_keeps_what_a_patch_does_not_mention(admin, organization, make_group, clock):
    first, second = admin.make_template(organization, "first"), admin.make_template(organization, "second")
    made = make_group(second, first, second, name="g")
    assert list(made) == KEYS
    assert made == {
        "id": made["id"],
        "name": "g",
        "organization": organization,
        "description": "",
        "templates": ids(second, first),
        "context": {},
        "meta_data": {},
        "created": "2026-01-01T12:00:00Z",
        "modified": "2026-01-01T12:00:00Z",
    }
    assert admin.get("group/")["results"] == [made] == [admin.get(path(made))]
    clock.advance(1)
    changed = admin.patch(path(made), {"description": "d", "meta_data": {"a": [1]}, "context": {"b": "c"}})
    expected = {"description": "d", "meta_data": {"a": [1]}, "context": {"b": "c"}}
    assert changed == made | expected | {"modified": "2026-01-01T12:00:01Z"}
    required = "This field is required."
    assert admin.put(path(made), {"name": "x"}, 400) == {"organization": [required], "templates": [required]}
    assert admin.get(path(made)) == changed
    admin.delete(path(made))
    assert admin.get(path(made), 404) == NOT_FOUND


def test_only_templates_that_devices_do_not_get_anyway_can_be_a_groups(
    admin, organization, other_organization, make_group
):
    def refused(template):
        return {"templates": [f'Invalid pk "{template["id"]}" - object does not exist.']}

    body = {"name": "g", "organization": organization}
    for number, fields in enumerate(({"default": True}, {"required": True}, {"organization": other_organization})):
        template = admin.make_template(fields.pop("organization", organization), f"t{number}", **fields)
        assert admin.post("group/", body | {"templates": ids(template)}, 400) == refused(template)
    shared, own = admin.make_template(None, "shared"), admin.make_template(organization, "own")
    group = make_group(own, shared)
    # What became a default later does not stand in the way of other changes.
    admin.patch(f"template/{own['id']}/", {"default": True})
    assert admin.put(path(group), group | {"description": "d"})["templates"] == ids(own, shared)
    assert admin.patch(path(group), {"templates": ids(shared)})["templates"] == ids(shared)
    assert admin.patch(path(group), {"templates": ids(own)}, 400) == refused(own)
    assert admin.get(path(group))["templates"] == ids(shared)


def test_a_group_with_devices_stays_in_its_organization(admin, organization, other_organization, make_group, make_bare):
    template = admin.make_template(organization)
    group = make_group(template)
    answer = admin.patch(path(group), {"organization": other_organization}, 400)
    assert list(answer) == ["templates"]
    device = make_bare(group)
    answer = admin.patch(path(group), {"organization": other_organization, "templates": []}, 400)
    assert list(answer) == ["organization"]
    assert admin.get(path(group)) == group
    admin.patch(f"device/{device['id']}/", {"group": None})
    moved = admin.patch(path(group), {"organization": other_organization, "templates": []})
    assert (moved["organization"], moved["templates"]) == (other_organization, [])


def test_names_are_unique_in_an_organization(admin, organization, other_organization, make_group):
    group = make_group(name="g")
    same = {"non_field_errors": ["The fields organization, name must make a unique set."]}
    assert admin.post("group/", {"name": "g", "organization": organization, "templates": []}, 400) == same
    other = make_group(name="g", organization=other_organization)
    assert admin.patch(path(other), {"organization": organization}, 400) == same
    assert admin.patch(path(group), {"name": "g"})["name"] == "g"


def test_empty_finds_the_groups_without_devices(admin, organization, make_group, make_bare):
    empty, full = make_group(), make_group()
    make_bare(full)

    def found(**query):
        return {group["id"] for group in admin.get("group/", **query)["results"]}

    both = {empty["id"], full["id"]}
    assert found(empty="true") == {empty["id"]}
    assert found(empty="false") == {full["id"]}
    assert found(empty="maybe") == found(organization_slug="org1") == both
    assert found(empty="true", organization=organization) == {empty["id"]}
    assert found(organization_slug="nobody") == set()


def test_nobody_sees_or_uses_a_group_of_another_organization(admin, operator, other_organization, make_group):
    own, foreign = make_group(), make_group(organization=other_organization)
    assert [group["id"] for group in operator.get("group/")["results"]] == [own["id"]]
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert operator.request(method, path(foreign), {}, 404).json == NOT_FOUND
    assert operator.patch(path(own), {"description": "mine"})["description"] == "mine"
    answer = operator.patch(path(own), {"organization": other_organization}, 400)
    assert answer == {"organization": [f'Invalid pk "{other_organization}" - object does not exist.']}


class TestMetaData:
    """Meta data is what the setting wants it to be."""

    @pytest.fixture
    def settings(self, settings):
        schema = {"properties": {"portal": {"$ref": "#/definitions/url"}}, "definitions": {"url": {"type": "string"}}}
        return replace(settings, device_group_schema=schema)

    def test_it_follows_the_schema_of_the_setting(self, admin, make_group):
        group = make_group(meta_data={"portal": "https://portal.example.org", "more": 1})
        wrong = admin.patch(path(group), {"meta_data": {"portal": 7}}, 400)
        assert wrong == {"input": ["7 is not of type 'string'"]}
        assert admin.patch(path(group), {"meta_data": ["a"]}, 400) == {"input": ["['a'] is not of type 'object'"]}
        assert admin.patch(path(group), {"meta_data": None}, 400) == {"meta_data": ["This field may not be null."]}
        assert admin.get(path(group)) == group

    @pytest.mark.parametrize(
        ("schema", "words"),
        [
            ({"type": "objekt"}, "#/type"),
            ({"properties": {"a": {"$ref": "#/definitions/missing"}}}, "#/definitions/missing"),
            ({"$ref": "https://example.org/schema.json"}, "https://example.org/schema.json"),
        ],
    )
    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_a_schema_that_is_none_prevents_the_start(self, settings, schema, words):
        with pytest.raises(SettingInvalid, match=r"guywire\.device_group_schema") as caught:
            create_app(replace(settings, device_group_schema=schema))
        assert words in str(caught.value)


# Effects on devices


def test_devices_follow_the_templates_of_their_group(admin, organization, make_group, make_bare, router, worker):
    one, two, three = (admin.make_template(organization, name) for name in ("one", "two", "three"))
    legacy = admin.make_template(organization, "legacy", backend=OPENWISP)
    own, default = admin.make_template(organization, "own"), admin.make_template(organization, "default", default=True)
    group = make_group(one, two)
    bare = make_bare(group, 1)
    assert templates_of(admin, bare) == ids(one, two, default)
    config = {"backend": OPENWRT, "config": {}, "context": {}, "templates": ids(own)}
    rich = make_bare(group, 2, config=config)
    other = make_bare(group, 3, config=config | {"backend": OPENWISP, "templates": ids(two)})
    assert templates_of(admin, other) == ids(two)
    # An operator may take a group's template away; it does not come back by itself.
    admin.patch(f"device/{rich['id']}/", {"config": {"templates": ids(two, default, own)}})
    idle = make_bare(group, 4)
    admin.post(f"device/{idle['id']}/deactivate/", status=200)
    agent = router(bare)
    agent.apply()
    admin.patch(path(group), {"templates": ids(three, one, legacy)})
    assert admin.state(bare)["status"] == "modified"
    assert templates_of(admin, bare) == ids(one, default, three)
    assert templates_of(admin, rich) == ids(default, own, three)
    # A template of another backend was given on purpose: it is not the group's.
    assert templates_of(admin, other) == ids(two, legacy)
    assert templates_of(admin, idle) == []
    admin.post(f"device/{idle['id']}/activate/", status=200)
    assert templates_of(admin, idle) == ids(three, one, default)
    agent.apply()
    worker.run_due(0.0)
    assert admin.state(bare)["status"] == "applied"
    assert "config interface 'three'" in file_of(admin, bare, "etc/config/network")


def test_devices_without_configuration_get_one_when_their_group_gets_templates(
    admin, organization, make_group, make_bare, router, heard
):
    group = make_group()
    bare, idle = make_bare(group, 1), make_bare(group, 2)
    admin.post(f"device/{idle['id']}/deactivate/", status=200)
    legacy = admin.make_template(organization, "legacy", backend=OPENWISP)
    admin.patch(path(group), {"templates": ids(legacy)})
    assert bare["config"] is None
    assert templates_of(admin, bare) is None
    template = admin.make_template(organization)
    required = [admin.make_template(organization, name, required=True) for name in ("bbb", "aaa")]
    default = admin.make_template(None, "shared", default=True)
    admin.patch(path(group), {"templates": ids(legacy, template)})
    detail = admin.get(f"device/{bare['id']}/")["config"]
    assert detail["templates"] == ids(template, *reversed(required), default)
    assert (detail["backend"], detail["status"], detail["context"], detail["config"]) == (OPENWRT, "modified", {}, {})
    assert templates_of(admin, idle) is None
    [created] = [event for event in heard if isinstance(event, ConfigsCreated)]
    assert len(created.config_ids) == 1
    router(bare).apply()
    assert admin.state(bare)["status"] == "applied"
    # It is a configuration like any other.
    admin.patch(f"device/{bare['id']}/", {"config": {"templates": []}})
    assert templates_of(admin, bare) == ids(*reversed(required))
    # One that was out of service gets it when it comes back.
    admin.post(f"device/{idle['id']}/activate/", status=200)
    assert templates_of(admin, idle) == detail["templates"]


def test_what_became_required_stays_when_the_group_loses_it(admin, organization, make_group, make_bare):
    template, other = admin.make_template(organization), admin.make_template(organization, "other")
    group, second = make_group(template, other), make_group(other)
    device = make_bare(group)
    admin.patch(f"template/{template['id']}/", {"required": True})
    admin.patch(f"device/{device['id']}/", {"group": second["id"]})
    assert templates_of(admin, device) == ids(template, other)
    admin.patch(f"device/{device['id']}/", {"group": group["id"]})
    admin.patch(path(group), {"templates": []})
    assert templates_of(admin, device) == ids(template)


def test_plugins_hear_of_other_groups_and_other_templates(admin, organization, make_group, make_bare, heard):
    one, two = admin.make_template(organization, "one"), admin.make_template(organization, "two")
    group, other = make_group(one), make_group(two)
    device = make_bare(group)
    heard.clear()
    admin.patch(f"device/{device['id']}/", {"group": other["id"]})
    assert heard == [DeviceGroupChanged(*(UUID(each["id"]) for each in (device, other, group)))]
    assert templates_of(admin, device) == ids(two)
    heard.clear()
    group_id, one_id, two_id = (UUID(each["id"]) for each in (other, one, two))
    admin.patch(path(other), {"templates": ids(two, one)})
    assert heard == [ConfigsStale(), GroupTemplatesChanged(group_id, (two_id, one_id), (two_id,))]
    heard.clear()
    # Another order is no reason to change what devices have.
    admin.patch(path(other), {"templates": ids(one, two)})
    assert heard == [GroupTemplatesChanged(group_id, (one_id, two_id), (two_id, one_id))]
    assert templates_of(admin, device) == ids(two, one)
    heard.clear()
    admin.patch(path(other), {"templates": ids(one, two), "description": "nothing happens"})
    assert heard == []


def test_a_device_that_moves_keeps_its_own_templates_and_its_place_in_a_list_that_is_given(
    admin, organization, make_group, make_bare
):
    one, two, own = (admin.make_template(organization, name) for name in ("one", "two", "own"))
    first, second = make_group(one), make_group(two)
    config = {"backend": OPENWRT, "config": {}, "context": {}, "templates": ids(own)}
    device = make_bare(first, config=config)
    assert templates_of(admin, device) == ids(one, own)
    place = f"device/{device['id']}/"
    # As a client does that reads a device, changes its group and puts it back.
    admin.patch(place, {"group": second["id"], "config": {"templates": ids(own, one)}})
    assert templates_of(admin, device) == ids(own, two)
    admin.patch(place, {"group": None})
    assert templates_of(admin, device) == ids(own)
    legacy = admin.make_template(organization, "legacy", backend=OPENWISP)
    admin.patch(path(first), {"templates": ids(one, legacy)})
    admin.patch(place, {"group": first["id"]})
    admin.patch(place, {"config": {"backend": OPENWISP}})
    assert templates_of(admin, device) == ids(own, legacy)


def test_variables_of_a_group_reach_its_devices_until_it_is_deleted(admin, organization, make_group, make_bare, router):
    template = admin.make_template(organization)
    group = make_group(template, context={"who": "group", "own": "group"})
    files = [{"path": "/etc/who", "mode": "0644", "contents": "{{ who }} {{ own }}"}]
    config = {"backend": OPENWRT, "config": {"files": files}, "context": {"own": "device"}, "templates": []}
    device = make_bare(group, config=config)
    agent = router(device)
    agent.apply()
    assert file_of(admin, device, "etc/who") == "group device"
    admin.patch(path(group), {"context": {"who": "changed"}})
    assert admin.state(device)["status"] == "modified"
    assert file_of(admin, device, "etc/who") == "changed device"
    agent.apply()
    admin.patch(path(group), {"meta_data": {"who": "nobody"}, "description": "d", "context": {"who": "changed"}})
    assert admin.state(device)["status"] == "applied"
    admin.delete(path(group))
    assert admin.get(f"device/{device['id']}/")["group"] is None
    assert templates_of(admin, device) == ids(template)
    assert file_of(admin, device, "etc/who") == "{{ who }} device"


def test_templates_that_a_device_cannot_use_do_not_hinder_the_others(
    admin, organization, make_group, make_bare, router
):
    def file_template(name, contents):
        files = [{"path": "/etc/same", "mode": "0644", "contents": contents}]
        return admin.make_template(organization, name, config={"files": files})

    group = make_group(admin.make_template(organization))
    healthy, odd = make_bare(group, 1), make_bare(group, 2, config={
        "backend": OPENWRT, "templates": [], "config": {}, "context": {"mtu": "many"},
    })  # fmt: skip
    interface = {"name": "eth0", "type": "ethernet", "mac": "{{ mac }}"}
    template = admin.make_template(
        organization, "mac", config={"interfaces": [interface]}, default_values={"mac": "00:00:00:00:00:01"}
    )
    admin.patch(f"device/{odd['id']}/", {"config": {"context": {"mac": "no address"}}})
    agents = [router(healthy), router(odd)]
    for agent in agents:
        agent.apply()
    admin.patch(path(group), {"templates": [*group["templates"], template["id"]]})
    assert admin.state(healthy)["rendering_error"] is None
    assert admin.state(odd)["rendering_error"]["template"] == template["id"]
    before = agents[1].checksum
    assert agents[1].poll() == before
    assert agents[0].poll() != agents[0].checksum


def test_a_group_of_many_costs_as_many_statements_as_a_group_of_two(admin, organization, make_group, runtime, clock):
    def fill(group, count):
        with writing(runtime.session_factory) as session:
            for number in range(count):
                name = f"{group['name'][:8]}-{number}"
                session.add(
                    Device(name=name, organization_id=UUID(organization), group_id=UUID(group["id"]), key=uuid4().hex,
                           mac_address=uuid4().hex[:12], created=clock(), modified=clock())
                )  # fmt: skip

    one, two = admin.make_template(organization, "one"), admin.make_template(organization, "two")
    counts = []
    # The first wakes the worker, which happens once.
    for count in (1, 2, 40):
        group = make_group()
        fill(group, count)
        with counted_statements(runtime) as statements:
            admin.patch(path(group), {"templates": ids(one)})
            admin.patch(path(group), {"templates": ids(two), "context": {"a": "b"}})
        counts.append(len(statements))
        with reading(runtime.session_factory) as session:
            assert session.scalar(sa.text("SELECT count(*) FROM config_archive")) == 0
        assert admin.get("device/", group=group["id"], config__status="modified")["count"] == count
    assert counts[1] == counts[2]


# The group of a certificate


def test_the_group_of_a_certificate_is_found_through_whoever_knows_certificates(
    admin, operator, anonymous, certificates, make_group, make_bare, other_organization
):
    group = make_group(meta_data={"portal": "1"})
    device, bare = make_bare(group), make_bare({"id": None}, 2)
    foreign_group = make_group(organization=other_organization)
    foreign = make_bare(foreign_group, 3, organization=other_organization)
    address = "cert/00:11:22:33:44:55-dv-4Lptc9DC/group/"
    for devices in ([], [bare], [{"id": str(uuid4())}]):
        certificates.devices = [UUID(each["id"]) for each in devices]
        assert admin.get(address, 404) == {"detail": "Not found."}
    certificates.devices = [UUID(each["id"]) for each in (bare, foreign, device)]
    assert admin.get(address) == foreign_group
    assert operator.get(address) == group
    assert certificates.asked == ("00:11:22:33:44:55-dv-4Lptc9DC", None)
    assert operator.get(address, org="org1,org2") == group
    assert certificates.asked[1] == ["org1", "org2"]
    certificates.devices = [UUID(foreign["id"])]
    assert operator.get(address, 404) == {"detail": "Not found."}
    anonymous.get(address, 401)


def test_without_anybody_who_knows_certificates_no_group_is_found(admin, settings, clock):
    made = create_app(settings, clock=clock)
    try:
        answer = Client(type(admin.app)(made), admin.token).get("cert/x/group/", 404)
        assert answer == {"detail": "Not found."}
    finally:
        made.registry.poll_reader.close()
        made.registry.runtime.close()
