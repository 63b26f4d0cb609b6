"""Stories of devices: their fields, keys, names, addresses and groups, and their way out of service and back."""

import hashlib
import io
import tarfile
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.db import writing
from guywire.models import Device, DeviceGroup, OrganizationConfigSettings
from guywire.services.accounts import set_shared_secret
from guywire.testing.clients import API, OPENWRT

OPENWISP = "netjsonconfig.OpenWisp"
MAC = "00:11:22:33:44:55"
LIST_KEYS = ["id", "name", "organization", "group", "mac_address", "key", "last_ip", "management_ip"]
LIST_KEYS += ["model", "os", "system", "notes", "config", "created", "modified"]
DETAIL_KEYS = [*LIST_KEYS[:8], "is_deactivated", *LIST_KEYS[8:]]
NOT_FOUND = {"detail": "No Device matches the given query."}
DENIED = {"detail": "You do not have permission to perform this action."}
ACTIVE = {"detail": "The device must be deactivated prior to deletion"}
SAME_MAC = {"non_field_errors": ["The fields mac_address, organization must make a unique set."]}
SAME_NAME = {"__all__": ["Device with this Name and Organization already exists."]}
SAME_KEY = {"key": ["Device with this key already exists."]}
OTHER_GROUP = {
    "group": [
        "Please ensure that the organization of this Device and the organization of the related Device Group match."
    ]
}


@pytest.fixture
def changes():
    """What is different in the application's settings."""
    return {}


@pytest.fixture
def settings(settings, changes):
    return replace(settings, **changes)


@pytest.fixture
def body(organization):
    """What a device needs."""
    return {"name": "ap", "organization": organization, "mac_address": MAC}


@pytest.fixture
def make_group(runtime):
    """Create a device group. Returns its id."""

    def make(organization, **fields):
        now = runtime.clock()
        group = DeviceGroup(name=uuid4().hex, organization_id=UUID(organization), created=now, modified=now, **fields)
        with writing(runtime.session_factory) as session:
            session.add(group)
        return str(group.id)

    return make


def path(device):
    return f"device/{device['id']}/"


def configuration(**fields):
    return {"backend": OPENWRT, "templates": [], "context": {}, "config": {"general": {"timezone": "UTC"}}} | fields


def files_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}


# Fields


def test_a_bare_device_has_the_references_defaults_in_its_order_and_no_configuration(admin, body, organization):
    made = admin.post("device/", body)
    assert list(made) == LIST_KEYS
    assert made == {
        "id": made["id"],
        "name": "ap",
        "organization": organization,
        "group": None,
        "mac_address": MAC,
        "key": hashlib.md5(f"{MAC}+secret".encode()).hexdigest(),
        "last_ip": None,
        "management_ip": None,
        "model": "",
        "os": "",
        "system": "",
        "notes": "",
        "config": None,
        "created": "2026-01-01T12:00:00Z",
        "modified": "2026-01-01T12:00:00Z",
    }
    assert UUID(made["id"]).version == 4
    [listed] = admin.get("device/")["results"]
    assert (listed, list(listed)) == (made, LIST_KEYS)
    detail = admin.get(path(made))
    assert list(detail) == DETAIL_KEYS
    assert detail == made | {"is_deactivated": False}
    assert admin.get(f"{path(made)}configuration/", 404) == {"detail": "Not found."}
    assert admin.get(f"{path(made)}state/", 404) == {"detail": "Not found."}


def test_a_list_shows_the_status_of_a_configuration_and_a_detail_all_of_it(admin, body):
    made = admin.post("device/", body | {"config": configuration(context={"a": "1"})})
    status = {"status": "modified", "error_reason": "", "backend": OPENWRT}
    assert made["config"] == admin.get("device/")["results"][0]["config"] == status
    assert list(made["config"]) == list(status)
    detail = admin.get(path(made))["config"]
    whole = status | {"templates": [], "context": {"a": "1"}, "config": {"general": {"timezone": "UTC"}}}
    assert detail == whole
    assert list(detail) == list(whole)


def test_every_writable_field_comes_back_as_it_was_given(admin, body, organization, make_group, clock):
    given = body | {
        "group": make_group(organization),
        "mac_address": "aA-bB-cC-dD-eE-fF",
        "key": "a-key_of-ours",
        "last_ip": "10.40.0.1",
        "management_ip": "fd00::2",
        "model": "TP-Link TL-WDR4300 v1",
        "os": "OpenWrt 23.05.3",
        "system": "Atheros AR9344 rev 2",
        "notes": "line 1\nline 2 ☃",
    }
    made = admin.post("device/", given)
    assert {key: made[key] for key in given} == given
    clock.advance(1)
    change = {
        "name": "other",
        "group": None,
        "mac_address": "00:00:00:00:00:01",
        "key": "another",
        "last_ip": None,
        "management_ip": None,
        "model": "m",
        "os": "o",
        "system": "s",
        "notes": "",
    }
    for name, value in change.items():
        answer = admin.patch(path(made), {name: value})
        made |= {name: value, "modified": "2026-01-01T12:00:01Z", "is_deactivated": False}
        assert answer == made
    assert admin.patch(path(made), {}) == admin.get(path(made)) == made


def test_empty_addresses_are_shown_as_they_came_and_stored_as_null(admin, body):
    made = admin.post("device/", body | {"last_ip": "", "management_ip": ""})
    assert (made["last_ip"], made["management_ip"]) == ("", "")
    detail = admin.get(path(made))
    assert (detail["last_ip"], detail["management_ip"]) == (None, None)


def test_read_only_and_unknown_fields_are_ignored(admin, body):
    foreign = {"id": str(uuid4()), "created": "2001-01-01T00:00:00Z", "modified": 7}
    foreign |= {"is_deactivated": True, "hardware_id": "123", "status": "applied", "foo": "bar"}
    made = admin.post("device/", body | foreign)
    assert made["id"] != foreign["id"]
    detail = admin.get(path(made))
    assert (detail["created"], detail["is_deactivated"]) == ("2026-01-01T12:00:00Z", False)
    assert admin.patch(path(made), foreign) == detail
    with_config = admin.patch(path(made), {"config": configuration(status="applied", error_reason="x")})
    assert (with_config["config"]["status"], with_config["config"]["error_reason"]) == ("modified", "")


def test_wrong_fields_are_named_all_at_once_and_nothing_is_stored(admin, body):
    unknown = str(uuid4())
    null, blank, text = ["This field may not be null."], ["This field may not be blank."], ["Not a valid string."]
    name = ["Must be either a valid hostname or mac address."]
    mac_address = ["Must be a valid mac address."]
    address = ["Enter a valid IPv4 or IPv6 address."]
    key = "This value must not contain spaces, dots or slashes."
    missing = [f'Invalid pk "{unknown}" - object does not exist.']

    def longer_than(limit):
        return f"Ensure this field has no more than {limit} characters."

    cases = [
        ({"name": ""}, {"name": blank}),
        ({"name": None}, {"name": null}),
        ({"name": ["x"]}, {"name": text}),
        ({"name": "with space"}, {"name": name}),
        ({"name": "-dash"}, {"name": name}),
        ({"name": "dash-"}, {"name": name}),
        ({"name": "under_score"}, {"name": name}),
        ({"name": "two..dots"}, {"name": name}),
        ({"name": "end."}, {"name": name}),
        ({"name": "x\ny"}, {"name": name}),
        ({"name": "ünïcode"}, {"name": name}),
        ({"name": "00:11:22:33:44:zz"}, {"name": name}),
        ({"name": "x" * 64}, {"name": name}),
        ({"name": ".".join(["x" * 32] * 2)}, {"name": [longer_than(64)]}),
        ({"organization": None}, {"organization": null}),
        ({"organization": ""}, {"organization": null}),
        ({"organization": unknown}, {"organization": missing}),
        ({"organization": "nope"}, {"organization": ["“nope” is not a valid UUID."]}),
        ({"mac_address": ""}, {"mac_address": blank}),
        ({"mac_address": None}, {"mac_address": null}),
        ({"mac_address": "0:1:2:3:4:5"}, {"mac_address": mac_address}),
        ({"mac_address": "zz:11:22:33:44:55"}, {"mac_address": mac_address}),
        ({"mac_address": "001122334455"}, {"mac_address": mac_address}),
        ({"mac_address": "00-11-22-33-44-55-66"}, {"mac_address": [*mac_address, longer_than(17)]}),
        ({"key": None}, {"key": null}),
        ({"key": "has space"}, {"key": [key]}),
        ({"key": "a.b"}, {"key": [key]}),
        ({"key": "a/b"}, {"key": [key]}),
        ({"key": "x" * 65}, {"key": [longer_than(64)]}),
        ({"group": unknown}, {"group": missing}),
        ({"group": "bad"}, {"group": ["“bad” is not a valid UUID."]}),
        ({"last_ip": "nonsense"}, {"last_ip": address}),
        ({"last_ip": "fe80::1%eth0"}, {"last_ip": address}),
        ({"management_ip": "300.1.1.1"}, {"management_ip": address}),
        ({"management_ip": 17}, {"management_ip": address}),
        ({"model": None}, {"model": null}),
        ({"model": "x" * 65}, {"model": [longer_than(64)]}),
        ({"os": "x" * 129}, {"os": [longer_than(128)]}),
        ({"system": "x" * 129}, {"system": [longer_than(128)]}),
        ({"notes": {}}, {"notes": text}),
        ({"name": "", "mac_address": "x", "os": None}, {"name": blank, "mac_address": mac_address, "os": null}),
    ]
    assert [(case, admin.post("device/", body | case, 400)) for case, _ in cases] == cases
    required = ["This field is required."]
    missing_fields = {"name": required, "organization": required, "mac_address": required}
    assert admin.post("device/", {}, 400) == missing_fields
    assert admin.get("device/")["count"] == 0


def test_a_name_is_a_hostname_or_a_mac_address(admin, body):
    names = ["x", "X.y-z.9", "host.example.org", "aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF", "1.2.3.4", "x" * 63]
    for number, name in enumerate(names):
        made = admin.post("device/", body | {"name": name, "mac_address": f"00:00:00:00:00:{number:02x}"})
        assert made["name"] == name


def test_a_name_that_cannot_be_a_routers_hostname_is_refused_with_the_configuration(admin, body):
    wrong = body | {"name": "x", "config": configuration()}
    assert admin.post("device/", wrong, 400) == {
        "config": [
            "Invalid configuration triggered by \"#/general/hostname\", validator says:\n\n'x' is not a 'hostname'"
        ]
    }
    assert admin.get("device/")["count"] == 0
    own_hostname = configuration(config={"general": {"hostname": "long-enough"}})
    assert admin.post("device/", wrong | {"config": own_hostname})["name"] == "x"


def test_an_invalid_change_leaves_the_device_as_it_was(admin, body):
    made = admin.post("device/", body | {"config": configuration()})
    before = admin.get(path(made))
    for change in (
        {"name": ""},
        {"mac_address": "xx"},
        {"organization": None},
        {"organization": str(uuid4())},
        {"group": str(uuid4())},
        {"key": "bad key"},
        {"notes": "changed", "os": None},
        {"notes": "changed", "config": {"config": {"interfaces": [{"name": "eth0"}]}}},
        {"name": "y", "config": {"config": {"general": {"timezone": "UTC"}}}},
    ):
        errors = admin.patch(path(made), change, 400)
        assert errors.keys() <= change.keys()
    assert admin.get(path(made)) == before


# Keys


def test_a_key_derives_from_the_address_as_given_and_the_shared_secret(admin, body, runtime, organization):
    with writing(runtime.session_factory) as session:
        of_organization = session.get_one(OrganizationConfigSettings, UUID(organization))
        set_shared_secret(of_organization, runtime.key_ring, "TESTSECRET")
    made = admin.post("device/", body)
    assert made["key"] == "a2e5beda58e8f358761b3de2785f7fd8"
    lower = admin.post("device/", body | {"name": "lower", "mac_address": "aa:bb:cc:dd:ee:ff", "key": ""})
    assert lower["key"] == hashlib.md5(b"aa:bb:cc:dd:ee:ff+TESTSECRET").hexdigest()


def test_a_key_stays_when_address_organization_or_secret_change_and_an_emptied_one_is_made_anew(
    admin, body, runtime, organization, other_organization
):
    made = admin.post("device/", body)
    with writing(runtime.session_factory) as session:
        of_organization = session.get_one(OrganizationConfigSettings, UUID(organization))
        set_shared_secret(of_organization, runtime.key_ring, "another")
    for change in ({"mac_address": "00:11:22:33:44:56"}, {"organization": other_organization}, {"name": "renamed"}):
        assert admin.patch(path(made), change)["key"] == made["key"]
    assert admin.patch(path(made), {"key": "own"})["key"] == "own"
    derived = hashlib.md5(b"00:11:22:33:44:56+other-secret").hexdigest()
    assert admin.patch(path(made), {"key": ""})["key"] == derived


@pytest.mark.parametrize("changes", [{"consistent_registration": False}])
def test_without_consistent_registration_keys_are_random(admin, body):
    keys = {admin.post("device/", body | {"name": f"d{n}", "mac_address": f"{MAC[:-1]}{n}"})["key"] for n in range(3)}
    assert len(keys) == 3
    assert all(len(key) == 32 and key.isalnum() for key in keys)


# Uniqueness


def test_names_addresses_and_keys_are_unique(admin, body, organization, other_organization):
    first = admin.post("device/", body | {"key": "key1"})
    other_mac = "66:77:88:99:aa:bb"
    for change, errors in [
        ({"mac_address": other_mac}, SAME_NAME),
        ({"mac_address": other_mac, "name": "AP"}, SAME_NAME),
        ({"name": "b"}, SAME_MAC),
        ({"name": "b", "mac_address": MAC.replace(":", "-")}, SAME_MAC),
        ({"name": "b", "mac_address": other_mac, "key": "key1"}, SAME_KEY),
        ({"organization": other_organization, "key": "key1"}, SAME_KEY),
    ]:
        assert admin.post("device/", body | change, 400) == errors, change
    second = admin.post("device/", body | {"name": "b", "mac_address": other_mac})
    assert admin.post("device/", body | {"name": "c", "mac_address": other_mac.upper()}, 400) == SAME_MAC
    elsewhere = admin.post("device/", body | {"organization": other_organization})
    for device, change, errors in [
        (second, {"name": "Ap"}, SAME_NAME),
        (second, {"mac_address": MAC}, SAME_MAC),
        (second, {"key": "key1"}, SAME_KEY),
        (elsewhere, {"organization": organization}, SAME_MAC),
        (elsewhere, {"organization": organization, "mac_address": "00:00:00:00:00:01"}, SAME_NAME),
    ]:
        assert admin.patch(path(device), change, 400) == errors, change
    # Another spelling of its own is no obstacle.
    own = {"name": "AP", "mac_address": MAC.replace(":", "-"), "key": "key1"}
    assert admin.patch(path(first), own) == admin.get(path(first))
    assert admin.get("device/")["count"] == 3


def test_the_database_itself_refuses_the_second_of_two_equal_devices(admin, body, runtime, organization):
    """Two requests at the same time: neither sees the other's row when it checks."""
    admin.post("device/", body | {"key": "key1"})
    now = runtime.clock()
    for twin in (
        {"name": "AP", "mac_address": "00:00:00:00:00:01", "key": "key2"},
        {"name": "b", "mac_address": MAC.replace(":", "-"), "key": "key2"},
        {"name": "b", "mac_address": "00:00:00:00:00:01", "key": "key1"},
    ):
        device = Device(organization_id=UUID(organization), created=now, modified=now, **twin)
        with pytest.raises(sa.exc.IntegrityError), writing(runtime.session_factory) as session:
            session.add(device)


# Groups


def test_a_device_joins_and_leaves_groups_of_its_organization(
    admin, body, organization, other_organization, make_group
):
    own, foreign = make_group(organization), make_group(other_organization)
    assert admin.post("device/", body | {"group": foreign}, 400) == OTHER_GROUP
    made = admin.post("device/", body | {"group": own})
    assert made["group"] == own
    assert admin.patch(path(made), {"group": foreign}, 400) == OTHER_GROUP
    assert admin.patch(path(made), {"organization": other_organization}, 400) == OTHER_GROUP
    moved = admin.patch(path(made), {"organization": other_organization, "group": foreign})
    assert (moved["organization"], moved["group"]) == (other_organization, foreign)
    assert admin.patch(path(made), {"organization": organization, "group": None})["group"] is None


# PUT


def test_put_needs_the_required_fields_and_null_leaves_the_configuration_alone(admin, body):
    required = ["This field is required."]
    made = admin.post("device/", body | {"notes": "n", "os": "o", "config": configuration()})
    before = admin.get(path(made))
    assert admin.put(path(made), body, 400) == {"config": required}
    missing = {"name": required, "organization": required, "mac_address": required, "config": required}
    assert admin.put(path(made), {}, 400) == missing
    assert admin.get(path(made)) == before
    put = admin.put(path(made), body | {"name": "put", "config": None})
    assert put == before | {"name": "put"}
    new = configuration(backend=OPENWISP, config={"general": {"hostname": "router1"}}, context={"a": "b"})
    replaced = admin.put(path(made), body | {"name": "put", "config": new})
    assert replaced["config"] == new | {"status": "modified", "error_reason": ""}
    incomplete = {"config": {"templates": required, "context": required}}
    assert admin.put(path(made), body | {"config": {"backend": OPENWRT, "config": {}}}, 400) == incomplete


# Lists


def test_devices_are_found_by_parts_of_names_and_addresses_in_any_case(admin, organization, clock):
    for number, name in enumerate(("Roof-1", "roof-2", "cellar.x-y")):
        mac_address = f"00:11:22:AA:bb:{number:02x}"
        admin.post("device/", {"name": name, "organization": organization, "mac_address": mac_address})
        clock.advance(1)

    def names(**query):
        answer = admin.get("device/", **query)
        assert answer["count"] == len(answer["results"])
        return [row["name"] for row in answer["results"]]

    everything = ["cellar.x-y", "roof-2", "Roof-1"]
    assert names() == names(name="") == names(unknown="x") == everything
    assert names(name="ROOF") == ["roof-2", "Roof-1"]
    assert names(name="1") == ["Roof-1"]
    assert names(name="%") == names(name="_") == names(name="x_y") == names(name="\\") == []
    assert names(name="'; DROP TABLE device; --") == names(name="☃") == []
    assert names(mac_address="aa:BB") == everything
    assert names(mac_address="bb:01") == ["roof-2"]
    assert names(mac_address="bb:01", name="cellar") == []
    page = admin.get("device/", name="roof", page_size=1)
    assert page["next"].endswith("?name=roof&page=2&page_size=1")
    assert (page["count"], page["previous"]) == (2, None)


def test_the_order_is_that_of_creation_not_of_change(admin, organization, clock):
    made = []
    for number in range(12):
        device = {"name": f"d{number}", "organization": organization, "mac_address": f"00:11:22:33:44:{number:02x}"}
        made.insert(0, admin.post("device/", device)["id"])
        clock.advance(1)
    admin.patch(f"device/{made[-1]}/", {"notes": "touched"})
    assert [row["id"] for row in admin.get("device/")["results"]] == made[:10]
    assert [row["id"] for row in admin.get("device/", page=2)["results"]] == made[10:]
    assert admin.get("device/", 404, page=3) == {"detail": "Invalid page."}


# Downloads


def test_an_operator_downloads_the_very_bytes_that_the_device_gets(admin, body, router, clock):
    made = admin.post("device/", body | {"name": MAC, "config": configuration()})
    answer = admin.request("GET", f"{path(made)}configuration/")
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={MAC}.tar.gz"
    assert answer.headers["X-Openwisp-Controller"] == "true"
    assert "option hostname '00-11-22-33-44-55'" in files_of(answer.body)["etc/config/system"]
    clock.advance(86_400)
    assert admin.request("GET", f"{path(made)}configuration/").body == answer.body
    assert admin.state(made)["served"] is None
    assert router(made).download() == answer.body
    assert hashlib.md5(answer.body).hexdigest() == admin.state(made)["desired"]["checksum"]


def test_a_download_of_what_changed_since_is_already_the_new_one(admin, body, organization):
    template = admin.make_template(organization)
    made = admin.post("device/", body | {"config": configuration(templates=[template["id"]])})
    admin.patch(f"template/{template['id']}/", {"config": {"interfaces": [{"name": "new0", "type": "ethernet"}]}})
    files = files_of(admin.request("GET", f"{path(made)}configuration/").body)
    assert "new0" in files["etc/config/network"]


# Out of service and back


def test_a_device_without_configuration_is_deactivated_at_once_and_can_be_deleted_or_taken_back(admin, body):
    made = admin.post("device/", body | {"management_ip": "10.0.0.1"})
    assert admin.delete(path(made), 403).json == ACTIVE
    gone = admin.post(f"{path(made)}deactivate/", status=200)
    assert list(gone) == DETAIL_KEYS
    assert (gone["is_deactivated"], gone["config"], gone["management_ip"]) == (True, None, "")
    assert admin.get(path(made))["management_ip"] is None
    assert admin.post(f"{path(made)}deactivate/", status=404) == NOT_FOUND
    back = admin.post(f"{path(made)}activate/", status=200)
    assert (back["is_deactivated"], back["config"]) == (False, None)
    assert admin.post(f"{path(made)}activate/", status=404) == NOT_FOUND
    admin.post(f"{path(made)}deactivate/", status=200)
    assert admin.delete(path(made)).body == b""
    assert admin.get(path(made), 404) == NOT_FOUND
    assert admin.post("device/", body)["name"] == "ap"


def test_a_device_is_deactivated_once_it_has_reported_its_emptied_configuration(admin, body, organization, router):
    template = admin.make_template(organization)
    given = configuration(templates=[template["id"]], context={"kept": "x"})
    made = admin.post("device/", body | {"management_ip": "10.0.0.1", "config": given})
    agent = router(made)
    agent.poll(management_ip="10.0.0.1")
    agent.apply()
    assert admin.get(path(made))["config"]["status"] == "applied"
    gone = admin.post(f"{path(made)}deactivate/", status=200)
    assert gone["is_deactivated"] is True
    empty = {"status": "deactivating", "error_reason": "", "backend": OPENWRT}
    empty |= {"templates": [], "context": {"kept": "x"}, "config": {}}
    assert gone["config"] == empty
    assert admin.get("device/")["results"][0]["config"]["status"] == "deactivating"
    for method in ("PUT", "PATCH"):
        assert admin.request(method, path(made), {"name": ""}, 403).json == DENIED
    assert admin.delete(path(made), 403).json == ACTIVE
    assert agent.poll() != agent.checksum
    assert list(files_of(agent.download(management_ip="10.0.0.1"))) == ["etc/config/system"]
    assert admin.delete(path(made), 403).json == ACTIVE
    assert agent.report("applied") == "report-result: success\ncurrent-status: deactivated\n"
    detail = admin.get(path(made))
    assert (detail["config"]["status"], detail["management_ip"]) == ("deactivated", None)
    assert list(files_of(admin.request("GET", f"{path(made)}configuration/").body)) == ["etc/config/system"]
    agent.poll(404)
    assert admin.patch(path(made), {"notes": "x"}, 403) == DENIED
    admin.delete(path(made))
    assert admin.get(path(made), 404) == NOT_FOUND


def test_an_activated_device_gets_its_automatic_templates_back_but_not_its_own_configuration(
    admin, body, organization, make_group, runtime, router
):
    optional = admin.make_template(organization, "optional")
    required = admin.make_template(organization, "required", required=True)
    made = admin.post("device/", body | {"config": configuration(templates=[optional["id"]])})
    agent = router(made)
    agent.apply()
    admin.post(f"{path(made)}deactivate/", status=200)
    # It stays empty, whatever becomes required meanwhile.
    late = admin.make_template(organization, "late", required=True)
    assert admin.get(path(made))["config"]["templates"] == []
    agent.apply()
    back = admin.post(f"{path(made)}activate/", status=200)
    assert back["is_deactivated"] is False
    assert back["config"]["config"] == {}
    assert back["config"]["templates"] == [late["id"], required["id"]]
    assert back["config"]["status"] == "modified"
    agent.apply()
    assert admin.get(path(made))["config"]["status"] == "applied"
    assert admin.patch(path(made), {"notes": "in service again"})["notes"] == "in service again"


def test_a_device_that_never_reported_is_modified_after_its_activation(admin, body):
    made = admin.post("device/", body | {"config": configuration()})
    admin.post(f"{path(made)}deactivate/", status=200)
    assert admin.post(f"{path(made)}activate/", status=200)["config"]["status"] == "modified"
    assert admin.get(path(made))["config"]["status"] == "modified"


def test_a_device_whose_configuration_was_empty_already_has_nothing_left_to_do(admin, body):
    empty = configuration(backend=OPENWISP, config={"general": {}})
    made = admin.post("device/", body | {"management_ip": "10.0.0.1", "config": empty})
    gone = admin.post(f"{path(made)}deactivate/", status=200)
    assert (gone["config"]["status"], gone["management_ip"]) == ("deactivated", None)
    admin.delete(path(made))


def test_only_force_with_exactly_true_deletes_a_device_in_service(admin, body):
    made = admin.post("device/", body | {"config": configuration()})
    for query in ("", "?force=false", "?force=1", "?force=True", "?force=", "?Force=true", "?force=true&force=false"):
        assert admin.delete(f"{path(made)}{query}", 403).json == ACTIVE, query
    assert admin.delete(f"{path(made)}?force=true").body == b""
    assert admin.get(path(made), 404) == NOT_FOUND
    assert admin.delete(f"{path(made)}?force=true", 404).json == NOT_FOUND


# State


def test_the_state_tells_what_is_desired_served_and_reported_and_why(admin, body, router, clock):
    made = admin.post("device/", body | {"config": configuration()})
    agent = router(made)
    state = admin.state(made)
    assert list(state) == ["status", "explanation", "desired", "served", "reported", "rendering_error", "last_poll"]
    checksum = agent.poll()
    desired = {"generation": 1, "checksum": checksum, "time": "2026-01-01T12:00:00Z"}
    assert state == {
        "status": "modified",
        "explanation": "The device has not downloaded its configuration yet.",
        "desired": desired,
        "served": None,
        "reported": None,
        "rendering_error": None,
        "last_poll": None,
    }
    clock.advance(1)
    agent.download()
    served = desired | {"time": "2026-01-01T12:00:01Z"}
    state = admin.state(made)
    assert (state["status"], state["desired"], state["served"]) == ("modified", desired, served)
    clock.advance(1)
    agent.report("error", error_reason="no space left")
    reported = desired | {"time": "2026-01-01T12:00:02Z", "status": "error", "error_reason": "no space left"}
    state = admin.state(made)
    assert (state["status"], state["reported"]) == ("error", reported)
    assert "no space left" in state["explanation"]
    config = admin.get(path(made))["config"]
    assert (config["status"], config["error_reason"]) == ("error", "no space left")
    changed = admin.patch(path(made), {"config": {"config": {"general": {"timezone": "Europe/Rome"}}}})["config"]
    assert (changed["status"], changed["error_reason"]) == ("modified", "")
    state = admin.state(made)
    assert (state["desired"]["generation"], state["served"], state["reported"]) == (2, served, reported)
    undone = admin.patch(path(made), {"config": {"config": {"general": {"timezone": "UTC"}}}})["config"]
    assert (undone["status"], undone["error_reason"]) == ("error", "no space left")
    assert admin.state(made)["explanation"] != ""


# Forms


def test_forms_and_multipart_bodies_carry_the_configuration_under_dotted_keys(admin, app, body, organization, clock):
    headers = {"Authorization": f"Bearer {admin.token}"}
    url = f"{API}device/"
    assert app.post(url, body | {"model": "M"}, headers=headers, status=201).json["config"] is None
    first, second = (admin.make_template(organization, name)["id"] for name in ("one", "two"))
    dotted = {
        "config.backend": OPENWRT,
        "config.config": '{"general": {"timezone": "UTC"}}',
        "config.context": '{"a": "b"}',
    }
    for number, (templates, options) in enumerate(
        [
            ([], {}),
            ([first], {}),
            ([second, first], {}),
            ([first, second], {"upload_files": [("unknown", "x.txt", b"ignored")]}),
        ]
    ):
        clock.advance(1)
        own = {"name": f"form{number}", "mac_address": f"00:00:00:00:00:{number:02x}"}
        form = list((body | own | dotted).items()) + [("config.templates", each) for each in templates]
        made = app.post(url, form, headers=headers, status=201, **options).json
        config = admin.get(path(made))["config"]
        assert config["templates"] == templates
        assert (config["context"], config["config"]) == ({"a": "b"}, {"general": {"timezone": "UTC"}})
        patched = app.patch(url + made["id"] + "/", {"config.context": '{"c": "d"}'}, headers=headers).json["config"]
        assert patched == config | {"context": {"c": "d"}}
    broken = body | {"name": "x", "mac_address": "00:00:00:00:00:99"} | dotted | {"config.config": "{broken"}
    answer = app.post(url, broken, headers=headers, status=400)
    assert answer.json == {"config": {"config": ["Value must be valid JSON."]}}
    both = {"config": "text", "config.backend": OPENWRT}
    answer = app.patch(f"{url}{made['id']}/", both, headers=headers, status=400)
    assert list(answer.json) == ["config"]


def test_a_multipart_header_with_two_boundaries_means_the_last_one(admin, app, body):
    """Curl sends it when ``-F`` comes with a header of one's own, as in the reference's examples."""
    parts = "".join(
        f'--real\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in body.items()
    )
    headers = {
        "Authorization": f"Bearer {admin.token}",
        "Content-Type": "multipart/form-data; boundary=made-up; boundary=real",
    }
    assert app.post(f"{API}device/", parts + "--real--\r\n", headers=headers, status=201).json["name"] == "ap"


def test_a_device_does_not_move_to_where_its_hardware_is_known(app, admin, organization, other_organization):
    ids = []
    for number, secret in enumerate(("secret", "other-secret")):
        form = {"secret": secret, "name": f"r{number}", "mac_address": f"00:11:22:33:44:0{number}"}
        answer = app.post("/controller/register/", form | {"backend": OPENWRT, "hardware_id": "HW"}, status=201).text
        ids.append(UUID(answer.partition("uuid: ")[2].partition("\n")[0]))
    errors = admin.patch(f"device/{ids[0]}/", {"organization": other_organization}, 400)
    assert errors == {"__all__": ["Device with this Hardware id and Organization already exists."]}


def test_a_word_about_a_device_without_configuration_makes_none(admin, organization):
    device = admin.post("device/", {"name": "bare", "organization": organization, "mac_address": "00:11:22:33:44:55"})
    assert admin.patch(f"device/{device['id']}/", {"notes": "x"})["config"] is None


def test_a_path_without_its_slash_is_redirected_to_read_and_served_to_write(admin, organization, anonymous):
    device = admin.make_device(organization)
    admin.request("GET", "device", status=301)
    body = {"name": "second", "organization": organization, "mac_address": "00:11:22:33:44:66"}
    second = admin.post("/api/v1/controller/device", body)
    assert admin.patch(f"device/{second['id']}", {"notes": "kept"})["notes"] == "kept"
    admin.request("DELETE", f"device/{second['id']}", status=403)
    admin.request("PUT", f"device/{device['id']}", {}, status=400)
    admin.request("POST", "nothing", {}, status=404)
    anonymous.request("POST", "device", body, status=401)
