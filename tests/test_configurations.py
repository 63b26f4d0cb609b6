"""Stories of configurations: which templates a device gets, what its variables are, and what happens when they fail."""

import hashlib
import io
import tarfile
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import Device, DeviceGroup, DeviceGroupTemplate, OrganizationConfigSettings
from guywire.services.status import dependents_of_group, dependents_of_organization, mark_stale
from guywire.testing.clients import OPENWRT

OPENWISP = "netjsonconfig.OpenWisp"
MAC = "00:11:22:33:44:55"
DEFAULTS = {"backend": OPENWRT, "config": {}, "context": {}, "templates": []}
LONG = "averyveryverylongname"


@pytest.fixture
def changes():
    """What is different in the application's settings."""
    return {}


@pytest.fixture
def settings(settings, changes):
    return replace(settings, **changes)


@pytest.fixture
def make_group(runtime, clock):
    """Create a device group with templates. Returns its id."""

    def make(organization, templates=(), context=None):
        group = DeviceGroup(name=uuid4().hex, organization_id=UUID(organization), context=context or {})
        group.created = group.modified = clock()
        with writing(runtime.session_factory) as session:
            session.add(group)
            session.flush()
            for position, template in enumerate(templates):
                link = DeviceGroupTemplate(group_id=group.id, template_id=UUID(template["id"]), position=position)
                session.add(link)
        return str(group.id)

    return make


def path(thing):
    return f"device/{thing['id']}/"


def ids(*templates):
    return [template["id"] for template in templates]


def assigned(client, device):
    return client.get(path(device))["config"]["templates"]


def assign(client, device, *templates):
    """Give the device exactly these templates. Returns those that it has then."""
    return client.patch(path(device), {"config": {"templates": ids(*templates)}})["config"]["templates"]


def files_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}


def download(client, device):
    return files_of(client.request("GET", f"{path(device)}configuration/").body)


def file(path, contents):
    return {"files": [{"path": path, "mode": "0644", "contents": contents}]}


# Assignment


def test_templates_are_assigned_reordered_and_removed_and_the_files_follow(admin, organization):
    a, b, c = (admin.make_template(organization, name) for name in ("ta", "tb", "tc"))
    device = admin.make_device(organization, templates=ids(c, a))
    assert device["config"]["templates"] == ids(c, a)

    def interfaces():
        text = download(admin, device).get("etc/config/network", "")
        return [line.split("'")[1] for line in text.splitlines() if line.startswith("config interface")]

    assert interfaces() == ["tc", "ta"]
    for wanted in ([a], [a, b], [b, a], [c, b, a], []):
        assert assign(admin, device, *wanted) == assigned(admin, device) == ids(*wanted)
        assert interfaces() == [template["name"] for template in wanted]


def test_a_stronger_layer_overrides_a_weaker_one_and_the_device_all_of_them(admin, organization):
    def make(name):
        return admin.make_template(organization, name, config={"general": {"timezone": name}} | file("/f", name))

    weak, strong = make("Europe/Rome"), make("Europe/Vienna")
    device = admin.make_device(organization, config={"general": {"ula_prefix": "fd00::/48"}})
    assign(admin, device, weak, strong)
    assert "option zonename 'Europe/Vienna'" in download(admin, device)["etc/config/system"]
    assign(admin, device, strong, weak)
    assert "option zonename 'Europe/Rome'" in download(admin, device)["etc/config/system"]
    admin.patch(path(device), {"config": {"config": {"general": {"timezone": "UTC"}}}})
    assert "option zonename 'UTC'" in download(admin, device)["etc/config/system"]
    assert download(admin, device)["f"] == "Europe/Rome"


def test_a_new_configuration_gets_groups_required_and_default_templates_before_the_given_ones(
    admin, organization, other_organization, make_group
):
    def make(name, owner=organization, **fields):
        return admin.make_template(owner, name, **fields)

    default_b, default_a = make("default-b", default=True), make("default-a", default=True)
    required_z, required_y = make("required-z", required=True, default=True), make("required-y", required=True)
    shared = make("default-ab", None, default=True)
    make("foreign", other_organization, required=True)
    make("other-backend", required=True, backend=OPENWISP)
    make("nothing")
    of_group_2, of_group_1 = make("group-2"), make("group-1")
    group = make_group(organization, [of_group_2, of_group_1, default_a])
    given = make("given")
    body = {"name": "ap", "organization": organization, "mac_address": MAC, "group": group}
    body["config"] = DEFAULTS | {"templates": ids(given, required_z)}
    device = admin.post("device/", body)
    expected = [of_group_2, of_group_1, default_a, required_y, required_z, shared, default_b, given]
    assert assigned(admin, device) == ids(*expected)


def test_required_templates_come_first_and_cannot_be_left_out_but_defaults_can(admin, organization):
    required_z = admin.make_template(organization, "zreq", required=True)
    required_a = admin.make_template(organization, "areq", required=True)
    default = admin.make_template(organization, "default", default=True)
    a1, b1 = admin.make_template(organization, "a1"), admin.make_template(organization, "b1")
    device = admin.make_device(organization)
    assert device["config"]["templates"] == ids(required_a, required_z, default)
    assert assign(admin, device, b1, required_z, a1, required_a) == ids(required_a, required_z, b1, a1)
    assert assign(admin, device) == ids(required_a, required_z)
    assert assign(admin, device, default) == ids(required_a, required_z, default)
    put = {"name": "ap", "organization": organization, "mac_address": MAC, "config": DEFAULTS}
    assert admin.put(path(device), put)["config"]["templates"] == ids(required_a, required_z)


def test_a_required_template_reaches_new_and_existing_devices_even_with_default_false(
    admin, organization, other_organization
):
    def device(number, owner, **config):
        return admin.make_device(owner, f"device-{number}", f"00:11:22:33:44:0{number}", **config)

    own = admin.make_template(organization, "own")
    first = device(1, organization, templates=ids(own))
    other_backend = device(2, organization, backend=OPENWISP)
    elsewhere = device(3, other_organization)
    away = device(4, organization)
    admin.post(f"{path(away)}deactivate/", status=200)
    required = admin.make_template(organization, "required", required=True, default=False)
    assert (required["required"], required["default"]) == (True, False)
    assert assigned(admin, first) == ids(own, required)
    assert [assigned(admin, each) for each in (other_backend, elsewhere, away)] == [[], [], []]
    assert assigned(admin, device(5, organization)) == ids(required)
    shared = admin.make_template(None, "shared", default=True)
    assert assigned(admin, first) == ids(own, required, shared)
    assert assigned(admin, elsewhere) == ids(shared)


def test_a_template_that_becomes_default_or_required_is_appended_and_stays_when_it_is_neither(
    admin, organization, router
):
    template = admin.make_template(organization, "lan")
    device = admin.make_device(organization)
    agent = router(device)
    agent.apply()
    for change in ({"default": True}, {"default": False}, {"required": True}, {"required": False}):
        admin.patch(f"template/{template['id']}/", change)
        assert assigned(admin, device) == ids(template)
    assert agent.poll() != agent.checksum
    assert assign(admin, device) == []
    # Somebody took the default away from this device: an edit of the template does not bring it back.
    admin.patch(f"template/{template['id']}/", {"default": True})
    assert assign(admin, device) == []
    admin.patch(f"template/{template['id']}/", {"default": True, "notes": "edited"})
    assert assigned(admin, device) == []
    # To become required is another matter.
    admin.patch(f"template/{template['id']}/", {"required": True})
    assert assigned(admin, device) == ids(template)


def test_a_default_template_that_is_moved_reaches_the_devices_of_its_new_place(admin, organization, other_organization):
    """It is default there as if it had been made there."""
    device = admin.make_device(organization, "own")
    elsewhere = admin.make_device(other_organization, "elsewhere")
    template = admin.make_template(organization, "wandering", required=True)
    assert (assigned(admin, device), assigned(admin, elsewhere)) == (ids(template), [])
    admin.patch(f"template/{template['id']}/", {"organization": None})
    assert assigned(admin, elsewhere) == ids(template)


def test_templates_of_another_backend_are_only_assigned_explicitly(admin, organization):
    other = admin.make_template(organization, "other", backend=OPENWISP, default=True)
    device = admin.make_device(organization)
    assert device["config"]["templates"] == []
    assert assign(admin, device, other) == ids(other)


def test_the_same_template_twice_counts_once(admin, organization):
    a, b = admin.make_template(organization, "ta"), admin.make_template(organization, "tb")
    device = admin.make_device(organization, templates=ids(a, b, a))
    assert device["config"]["templates"] == ids(a, b)
    assert assign(admin, device, b, b, a, b) == ids(b, a)


def test_foreign_and_unknown_templates_are_refused(admin, operator, organization, other_organization):
    foreign_b = admin.make_template(other_organization, "foreign-b")
    foreign_a = admin.make_template(other_organization, "foreign-a")
    shared = admin.make_template(None, "shared")
    device = admin.make_device(organization)
    mismatch = (
        "The following templates are owned by organizations which do not match the organization of this "
        "configuration: foreign-a, foreign-b"
    )
    wrong = {"config": {"templates": ids(shared, foreign_b, foreign_a)}}
    assert admin.patch(path(device), wrong, 400) == {"config": [mismatch]}
    new = {"name": "new", "organization": organization, "mac_address": "00:00:00:00:00:01"}
    new["config"] = DEFAULTS | wrong["config"]
    assert admin.post("device/", new, 400) == {"config": [mismatch]}
    unknown = str(uuid4())
    for client, template in ((operator, foreign_b["id"]), (operator, unknown), (admin, unknown)):
        errors = {"config": {"templates": [f'Invalid pk "{template}" - object does not exist.']}}
        assert client.patch(path(device), {"config": {"templates": [template]}}, 400) == errors
    assert operator.patch(path(device), {"config": {"templates": ids(shared)}})["config"]["templates"] == ids(shared)
    assert admin.get("device/")["count"] == 1


# The configuration of a device as a whole


def test_wrong_fields_of_a_configuration_are_named_and_no_device_is_made(admin, organization):
    required = ["This field is required."]
    neither = "is not valid under any of the given schemas"
    says = 'Invalid configuration triggered by "#/interfaces/0", validator says:\n\n'
    whole = DEFAULTS | {"config": {"general": {"timezone": "UTC"}}}
    cases = [
        ({}, {"backend": required, "templates": required, "context": required, "config": required}),
        ({"backend": OPENWRT, "config": {}}, {"templates": required, "context": required}),
        (whole | {"backend": "nope"}, {"backend": ['"nope" is not a valid choice.']}),
        (whole | {"backend": None}, {"backend": ["This field may not be null."]}),
        (whole | {"config": "text"}, {"config": ["Unexpected configuration format."]}),
        (whole | {"config": None}, {"config": ["This field may not be null."]}),
        (whole | {"context": "text"}, {"context": ["the supplied value is not a JSON object"]}),
        (whole | {"context": None}, {"context": ["This field may not be null."]}),
        (whole | {"templates": ["bad"]}, {"templates": ["“bad” is not a valid UUID."]}),
        (whole | {"templates": "text"}, {"templates": ['Expected a list of items but got type "str".']}),
        (whole | {"templates": {}}, {"templates": ['Expected a list of items but got type "dict".']}),
        (whole | {"templates": None}, {"templates": ["This field may not be null."]}),
        (whole | {"config": {"interfaces": [{"name": "eth0"}]}}, {"__all__": [f"{says}{{'name': 'eth0'}} {neither}"]}),
        ("text", {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        (None, ["This field may not be null."]),
    ]
    body = {"name": "ap", "organization": organization, "mac_address": MAC}
    answers = [(config, admin.post("device/", body | {"config": config}, 400)["config"]) for config, _ in cases]
    assert answers == cases
    for empty in ([], ""):
        assert admin.post("device/", body | {"config": whole | {"context": empty}})
        admin.delete(f"device/{admin.get('device/')['results'][0]['id']}/?force=true")
    assert admin.get("device/")["count"] == 0


def test_a_configuration_that_says_nothing_is_not_created_unless_its_backend_is_not_the_default(admin, organization):
    body = {"name": "ap", "organization": organization, "mac_address": MAC}
    admin.make_template(organization, "default", default=True)
    device = admin.post("device/", body | {"config": DEFAULTS})
    assert device["config"] is None
    assert admin.patch(path(device), {"config": DEFAULTS})["config"] is None
    assert admin.patch(path(device), {"config": {}})["config"] is None
    made = admin.patch(path(device), {"config": {"backend": OPENWISP}})["config"]
    assert made == DEFAULTS | {"backend": OPENWISP, "status": "modified", "error_reason": ""}


def test_patch_gives_a_bare_device_a_configuration(admin, organization):
    default = admin.make_template(organization, "default", default=True)
    device = admin.post("device/", {"name": "ap", "organization": organization, "mac_address": MAC})
    made = admin.patch(path(device), {"config": {"context": {"a": "b"}}})["config"]
    assert made == {
        "status": "modified",
        "error_reason": "",
        "backend": OPENWRT,
        "templates": ids(default),
        "context": {"a": "b"},
        "config": {},
    }


def test_absent_means_unchanged_and_everything_can_be_reset_to_its_default(admin, organization, clock):
    a, b = admin.make_template(organization, "ta"), admin.make_template(organization, "tb")
    device = admin.make_device(organization, templates=ids(a, b), context={"k": "v"})
    clock.advance(1)
    expected = device["config"]
    for change in (
        {"config": {"general": {"hostname": "router1"}}},
        {"context": {"other": {"z": 1, "a": [None, True]}}},
        {"backend": OPENWISP},
        {"templates": ids(b)},
        {"backend": OPENWRT},
        {},
        {"status": "applied", "error_reason": "x"},
    ):
        expected |= {name: value for name, value in change.items() if name in DEFAULTS}
        answer = admin.patch(path(device), {"config": change})
        assert answer["config"] == admin.get(path(device))["config"] == expected
    assert answer["modified"] == "2026-01-01T12:00:01Z"
    for reset in ({"context": {}}, {"config": {}}, {"templates": []}, DEFAULTS):
        expected |= reset
        assert admin.patch(path(device), {"config": reset})["config"] == expected
    assert admin.get(path(device))["config"] == DEFAULTS | {"status": "modified", "error_reason": ""}


def test_another_backend_brings_its_own_required_and_group_templates(admin, organization, make_group):
    def make(name, backend, **fields):
        return admin.make_template(organization, name, backend=backend, **fields)

    wrt_required, wisp_required = make("wrt-r", OPENWRT, required=True), make("wisp-r", OPENWISP, required=True)
    wrt_group, wisp_group = make("wrt-g", OPENWRT), make("wisp-g", OPENWISP)
    chosen = make("chosen", OPENWRT)
    body = {"name": "ap", "organization": organization, "mac_address": MAC}
    body["group"] = make_group(organization, [wrt_group, wisp_group])
    body["config"] = DEFAULTS | {"templates": ids(chosen)}
    device = admin.post("device/", body)
    assert assigned(admin, device) == ids(wrt_group, wrt_required, chosen)
    admin.patch(path(device), {"config": {"backend": OPENWISP}})
    assert assigned(admin, device) == ids(wisp_required, chosen, wisp_group)
    admin.patch(path(device), {"config": {"backend": OPENWRT}})
    assert assigned(admin, device) == ids(wrt_required, chosen, wrt_group)


def test_another_organization_takes_the_templates_away_and_brings_its_required_ones(
    admin, organization, other_organization, make_group, router
):
    own, shared = admin.make_template(organization, "own"), admin.make_template(None, "shared")
    required = admin.make_template(other_organization, "required", required=True)
    default = admin.make_template(other_organization, "default", default=True)
    of_group = admin.make_template(other_organization, "of-group")
    device = admin.make_device(organization, templates=ids(own, shared))
    agent = router(device)
    agent.apply()
    moved = admin.patch(path(device), {"organization": other_organization})
    assert moved["config"]["templates"] == ids(required)
    assert (moved["config"]["status"], moved["key"]) == ("modified", device["key"])
    back = admin.patch(path(device), {"organization": organization})
    assert back["config"]["templates"] == []
    chosen = {"organization": other_organization, "config": {"templates": ids(shared, default)}}
    assert admin.patch(path(device), chosen)["config"]["templates"] == ids(required, shared, default)
    admin.patch(path(device), {"organization": organization})
    group = make_group(other_organization, [of_group])
    with_group = admin.patch(path(device), {"organization": other_organization, "group": group})
    assert with_group["config"]["templates"] == ids(required, of_group)
    foreign = {"organization": organization, "group": None, "config": {"templates": ids(default)}}
    assert "owned by organizations which do not match" in admin.patch(path(device), foreign, 400)["config"][0]
    assert admin.get(path(device))["organization"] == other_organization


def test_a_device_takes_its_groups_templates_along_when_it_joins_and_drops_them_when_it_leaves(
    admin, organization, make_group
):
    one, two, both = (admin.make_template(organization, name) for name in ("one", "two", "both"))
    chosen = admin.make_template(organization, "chosen")
    wrong = admin.make_template(organization, "wrong", backend=OPENWISP)
    first, second = make_group(organization, [both, one, wrong]), make_group(organization, [two, both])
    device = admin.make_device(organization, templates=ids(chosen))
    for group, templates in [
        (first, (chosen, both, one)),
        (second, (chosen, both, two)),
        (None, (chosen,)),
        (first, (chosen, both, one)),
    ]:
        assert admin.patch(path(device), {"group": group})["config"]["templates"] == ids(*templates)
    # They may be removed one by one, and stay away.
    assert assign(admin, device, chosen) == ids(chosen)
    assert admin.patch(path(device), {"notes": "x"})["config"]["templates"] == ids(chosen)


def test_a_bare_device_gets_a_configuration_from_a_group_that_has_templates(admin, organization, make_group):
    template = admin.make_template(organization)
    body = {"name": "ap", "organization": organization, "mac_address": MAC}
    empty, full = make_group(organization), make_group(organization, [template])
    device = admin.post("device/", body | {"group": empty})
    assert device["config"] is None
    joined = admin.patch(path(device), {"group": full})
    assert joined["config"]["templates"] == ids(template)
    other = admin.post("device/", body | {"group": full, "name": "ap2", "mac_address": "00:00:00:00:00:01"})
    assert assigned(admin, other) == ids(template)


def test_the_same_templates_again_change_nothing(admin, organization, router):
    a, b = admin.make_template(organization, "ta"), admin.make_template(organization, "tb")
    device = admin.make_device(organization, templates=ids(a, b))
    agent = router(device)
    agent.apply()
    assign(admin, device, a, b)
    admin.patch(path(device), {"config": {"config": device["config"]["config"]}, "notes": "x", "last_ip": "10.0.0.1"})
    state = admin.state(device)
    assert (state["status"], state["desired"]["generation"]) == ("applied", 1)
    assert agent.poll() == agent.checksum


# Variables


def test_a_variable_has_the_value_of_the_strongest_layer_that_names_it(
    admin, organization, make_group, runtime, settings
):
    """From weak to strong: templates in order, global, organization, group, device."""
    layers = ["template1", "template2", "global", "organization", "group", "device"]

    def variables(layer):
        """Each layer names its own variable and those of all stronger ones."""
        return {f"v_{name}": layer for name in layers[layers.index(layer) :]}

    settings.context.update(variables("global"))
    with writing(runtime.session_factory) as session:
        session.get_one(OrganizationConfigSettings, UUID(organization)).context = variables("organization")
    first = admin.make_template(organization, "one", default_values=variables("template1"))
    second = admin.make_template(organization, "two", default_values=variables("template2"))
    contents = " ".join(f"{{{{ v_{name} }}}}" for name in layers)
    body = {"name": "ap", "organization": organization, "mac_address": MAC}
    body["group"] = make_group(organization, context=variables("group"))
    body["config"] = {
        "backend": OPENWRT,
        "templates": ids(first, second),
        "context": variables("device"),
        "config": file("/vars", contents),
    }
    device = admin.post("device/", body)
    assert download(admin, device)["vars"].split() == layers
    assign(admin, device, second, first)
    assert download(admin, device)["vars"].split() == ["template1", "template1", *layers[2:]]


def test_predefined_variables_are_stronger_than_templates_and_weaker_than_all_else(
    admin, organization, make_group, runtime
):
    contents = "{{ id }} {{ key }} {{ name }} {{ mac_address }}"
    weak = dict.fromkeys(("id", "key", "name", "mac_address"), "template")
    template = admin.make_template(organization, "weak", default_values=weak)
    device = admin.make_device(organization, templates=ids(template), config=file("/vars", contents))

    def values():
        return download(admin, device)["vars"].split()

    assert values() == [device["id"], device["key"], "router", MAC]
    change = {"name": "renamed", "mac_address": "AA:BB:CC:DD:EE:FF", "key": "own"}
    admin.patch(path(device), change)
    assert values() == [device["id"], "own", "renamed", "AA:BB:CC:DD:EE:FF"]
    with writing(runtime.session_factory) as session:
        session.get_one(OrganizationConfigSettings, UUID(organization)).context = {"key": "of-organization"}
    admin.patch(path(device), {"group": make_group(organization, context={"mac_address": "of-group"})})
    assert values() == [device["id"], "of-organization", "renamed", "of-group"]
    admin.patch(path(device), {"config": {"context": {"name": "spoofed", "id": "spoofed"}}})
    assert values() == ["spoofed", "of-organization", "spoofed", "of-group"]


@pytest.mark.parametrize("changes", [{"context": {"name": "global", "everywhere": "yes"}}])
def test_global_variables_reach_devices_and_templates(admin, organization):
    contents = "{{ name }} {{ everywhere }}"
    template = admin.make_template(
        organization, config=file("/t", contents), default_values={"name": "template", "everywhere": "no"}
    )
    device = admin.make_device(organization, templates=ids(template), config=file("/d", contents))
    assert download(admin, device)["t"] == download(admin, device)["d"] == "global yes"
    alone = admin.request("GET", f"template/{template['id']}/configuration/").body
    assert files_of(alone) == {"t": "global yes"}


def test_variables_of_any_kind_are_rendered_and_undefined_ones_stay_literal(admin, organization):
    context = {"greeting": "hello", "n": 3, "nested": {"a": "b"}, "list": [1, 2], "t": True, "back": "a\\nb", "ü": "☃"}
    contents = "{{ greeting }} {{n}} {{ nested.a }} {{ missing }} {{ missing.deep }} {{ back }}"
    device = admin.make_device(organization, context=context, config=file("/vars", contents))
    assert download(admin, device)["vars"] == "hello 3 {{ nested.a }} {{ missing }} {{ missing.deep }} a\\nb"
    assert device["config"]["context"] == context
    assert list(device["config"]["context"]) == list(context)


def test_the_kind_of_a_value_and_the_order_of_keys_count_as_a_change(admin, organization, router):
    """Python takes 1, 1.0 and true for the same, and objects in another order, too: routers do not."""
    template = admin.make_template(organization, config=file("/t", "{{ t }}"), default_values={"t": 1})
    device = admin.make_device(
        organization,
        templates=ids(template),
        context={"d": 1},
        config={"one": [{}], "two": [{}]} | file("/d", "{{ d }}"),
    )
    agent = router(device)
    for value, text in ((True, "True"), (1.0, "1.0"), (1, "1")):
        assert admin.patch(path(device), {"config": {"context": {"d": value}}})["config"]["context"] == {"d": value}
        assert admin.patch(f"template/{template['id']}/", {"default_values": {"t": value}})
        assert type(admin.get(path(device))["config"]["context"]["d"]) is type(value)
        assert type(admin.get(f"template/{template['id']}/")["default_values"]["t"]) is type(value)
        agent.apply()
        assert (files_of(agent.archive)["d"], files_of(agent.archive)["t"]) == (text, text)
    reordered = {"two": [{}], "one": [{}]} | file("/d", "{{ d }}")
    admin.patch(path(device), {"config": {"config": reordered}})
    assert list(admin.get(path(device))["config"]["config"]) == ["two", "one", "files"]


def test_variables_of_organization_and_group_reach_devices_in_service(
    admin, organization, make_group, runtime, router, worker
):
    """There is no endpoint for them yet: whoever changes them marks what depends on them."""
    device = admin.make_device(organization, config=file("/vars", "{{ org }} {{ group }}"))
    group = make_group(organization, context={"group": "g1"})
    admin.patch(path(device), {"group": group})
    agent = router(device)
    agent.apply()
    with writing(runtime.session_factory) as session:
        session.get_one(OrganizationConfigSettings, UUID(organization)).context = {"org": "o1"}
        assert mark_stale(session, dependents_of_organization(UUID(organization))) == 1
    assert admin.get("device/")["results"][0]["config"]["status"] == "modified"
    assert agent.poll() != agent.checksum
    agent.apply()
    assert files_of(agent.archive)["vars"] == "o1 g1"
    with writing(runtime.session_factory) as session:
        session.get_one(DeviceGroup, UUID(group)).context = {"group": "g2"}
        assert mark_stale(session, dependents_of_group(UUID(group))) == 1
    worker.run_due(0.0)
    agent.apply()
    assert files_of(agent.archive)["vars"] == "o1 g2"
    assert admin.state(device)["status"] == "applied"


def test_the_default_values_of_one_template_reach_the_other_layers(admin, organization, router):
    """The reference serves the old checksum and the new bytes: an agent then refuses what it downloads."""
    provider = admin.make_template(organization, "provider", default_values={"ssid": "old"})
    user = admin.make_template(organization, "user", config=file("/t", "{{ ssid }}"))
    device = admin.make_device(organization, templates=ids(user, provider), config=file("/d", "{{ ssid }}"))
    agent = router(device)
    agent.apply()
    admin.patch(f"template/{provider['id']}/", {"default_values": {"ssid": "new"}})
    checksum = agent.poll()
    files = files_of(agent.download())
    assert (files["t"], files["d"]) == ("new", "new")
    assert agent.checksum == checksum == hashlib.md5(agent.archive).hexdigest()


def test_the_devices_name_is_its_hostname_unless_its_own_configuration_names_another(admin, organization, router):
    template = admin.make_template(organization, "t", config={"general": {"hostname": "of-template"}})
    device = admin.make_device(organization, templates=ids(template))

    def hostname():
        [line] = [line for line in download(admin, device)["etc/config/system"].splitlines() if "hostname" in line]
        return line.split("'")[1]

    assert hostname() == "router"
    admin.patch(path(device), {"name": MAC})
    assert hostname() == "00-11-22-33-44-55"
    admin.patch(path(device), {"config": {"config": {"general": {"hostname": "{{ mac_address }}x"}}}}, 400)
    admin.patch(path(device), {"config": {"config": {"general": {"hostname": "own-{{ key }}"}}}})
    assert hostname() == f"own-{device['key']}"
    agent = router(device)
    agent.apply()
    # Then its name decides nothing, and a new one changes nothing.
    admin.patch(path(device), {"name": "renamed"})
    assert admin.get(path(device))["config"]["status"] == "applied"
    assert admin.get(path(device))["config"]["config"] == {"general": {"hostname": "own-{{ key }}"}}


def test_the_operating_system_decides_the_syntax(admin, organization, router):
    bridge = {"interfaces": [{"name": "lan", "type": "bridge", "bridge_members": ["eth0"]}]}
    device = admin.make_device(organization, config=bridge)
    agent = router(device)
    agent.apply()
    assert "config device" in download(admin, device)["etc/config/network"]
    admin.patch(path(device), {"os": "OpenWrt 19.07.2"})
    assert agent.poll() != agent.checksum
    assert "config device" not in download(admin, device)["etc/config/network"]
    admin.patch(path(device), {"os": "OpenWrt 23.05.3"})
    assert agent.poll() == agent.checksum


# Configurations that cannot be rendered


@pytest.fixture
def quarrel(admin, organization):
    """Two templates, each valid alone. Together the second one's variable makes the first one's interface invalid."""
    first = admin.make_template(
        organization,
        "first",
        config={"interfaces": [{"name": "{{ port }}", "type": "ethernet"}]},
        default_values={"port": "eth0"},
    )
    second = admin.make_template(organization, "second", config=file("/port", "{{ port }}"))
    return first, second


def break_(admin, second, value=LONG):
    admin.patch(f"template/{second['id']}/", {"default_values": {"port": value}})


def test_templates_that_do_not_go_together_are_refused_at_assignment(admin, organization, quarrel):
    first, second = quarrel
    break_(admin, second)
    device = admin.make_device(organization, templates=ids(first))
    before = admin.get(path(device))
    errors = admin.patch(path(device), {"config": {"templates": ids(first, second)}}, 400)
    assert list(errors) == ["config"]
    [message] = errors["config"]
    conflict = "There is a conflict with the specified templates. Invalid configuration triggered by "
    assert message.startswith(f'{conflict}"#/interfaces/0"')
    assert LONG in message
    assert admin.get(path(device)) == before
    new = {"name": "new", "organization": organization, "mac_address": "00:00:00:00:00:01"}
    new["config"] = DEFAULTS | {"templates": ids(first, second)}
    assert admin.post("device/", new, 400) == errors
    assert admin.get("device/")["count"] == 1
    # The other way round the first one's variable wins.
    assert assign(admin, device, second, first) == ids(second, first)


def test_a_template_edit_that_breaks_a_device_leaves_its_last_good_archive_in_service(
    admin, organization, quarrel, router, worker
):
    first, second = quarrel
    device = admin.make_device(organization, templates=ids(first, second))
    unharmed = admin.make_device(organization, "unharmed", "00:00:00:00:00:01", templates=ids(second))
    agent = router(device)
    agent.apply()
    break_(admin, second)
    for _ in range(2):
        assert agent.poll() == agent.checksum
        archive = agent.archive
        assert agent.download() == archive
        assert admin.request("GET", f"{path(device)}configuration/").body == archive
        state = admin.state(device)
        assert state["status"] == admin.get(path(device))["config"]["status"] == "modified"
        assert state["rendering_error"]["template"] == first["id"]
        assert 'triggered by "#/interfaces/0"' in state["rendering_error"]["message"]
        assert state["rendering_error"]["message"] in state["explanation"]
        assert state["desired"]["checksum"] == agent.checksum
        worker.run_due(0.0)
    assert files_of(admin.request("GET", f"{path(unharmed)}configuration/").body)["port"] == LONG
    break_(admin, second, "eth1")
    assert agent.poll() != agent.checksum
    assert admin.state(device)["rendering_error"] is None
    agent.apply()
    assert "eth1" in files_of(agent.archive)["etc/config/network"]
    assert admin.state(device)["status"] == "applied"


def test_fixing_the_template_by_undoing_the_edit_makes_the_device_applied_again(admin, organization, quarrel, router):
    first, second = quarrel
    device = admin.make_device(organization, templates=ids(first, second))
    agent = router(device)
    agent.apply()
    break_(admin, second)
    assert admin.state(device)["status"] == "modified"
    admin.patch(f"template/{second['id']}/", {"default_values": {}})
    state = admin.state(device)
    assert (state["status"], state["rendering_error"], state["desired"]["generation"]) == ("applied", None, 1)
    assert agent.poll() == agent.checksum


def test_a_broken_device_heals_by_any_change_that_makes_it_valid(admin, organization, quarrel, router):
    first, second = quarrel

    def healed(device, heal):
        break_(admin, second)
        assert admin.state(device)["rendering_error"] is not None
        heal(device)
        state = admin.state(device)
        assert (state["rendering_error"], state["status"]) == (None, "modified")
        router(device).apply()
        assert admin.state(device)["status"] == "applied"
        admin.patch(f"template/{second['id']}/", {"default_values": {}})

    cures = [
        lambda device: admin.patch(path(device), {"config": {"context": {"port": "eth7"}}}),
        lambda device: assign(admin, device, second, first),
        lambda device: assign(admin, device, second),
    ]
    devices = [
        admin.make_device(organization, f"d{number}", f"00:00:00:00:00:0{number}", templates=ids(first, second))
        for number in range(len(cures))
    ]
    for device, cure in zip(devices, cures, strict=True):
        healed(device, cure)
    last = admin.make_device(organization, "last", "00:00:00:00:00:0f", templates=ids(first, second))
    healed(last, lambda device: admin.delete(f"template/{first['id']}/"))


def test_a_broken_device_accepts_changes_that_are_no_cure_only_outside_of_its_configuration(
    admin, organization, quarrel
):
    first, second = quarrel
    device = admin.make_device(organization, templates=ids(first, second))
    break_(admin, second)
    assert admin.patch(path(device), {"notes": "somebody has to look at this"})["config"]["status"] == "modified"
    errors = admin.patch(path(device), {"config": {"context": {"other": "x"}}}, 400)
    assert "interfaces/0" in errors["config"][0]
    assert admin.get(path(device))["config"]["context"] == {}
    assert admin.post(f"{path(device)}deactivate/", status=200)["config"]["templates"] == []


def test_what_cannot_be_rendered_is_tried_again_only_when_an_input_changes(
    admin, organization, quarrel, router, worker, runtime, monkeypatch
):
    first, second = quarrel
    device = admin.make_device(organization, templates=ids(first, second))
    agent = router(device)
    agent.apply()
    backend = runtime.registry.config_backends[OPENWRT]
    renderings = []

    def render(config, templates, context, device_os=""):
        # The search for the culprit renders, too, but not the whole.
        if len(templates) == 2 and config:
            renderings.append(context.get("port"))
        return type(backend).render(backend, config, templates, context, device_os)

    monkeypatch.setattr(backend, "render", render)
    break_(admin, second)
    for moment in range(3):
        agent.poll()
        agent.download()
        admin.get(path(device))
        admin.state(device)
        worker.run_due(moment * 10.0)
    assert renderings == [LONG]
    admin.patch(path(device), {"notes": "no input"})
    admin.patch(f"template/{first['id']}/", {"notes": "no input"})
    worker.run_due(100.0)
    assert renderings == [LONG]
    break_(admin, second, LONG + "2")
    worker.run_due(200.0)
    agent.poll()
    assert renderings == [LONG, LONG + "2"]


def test_a_device_of_broken_templates_is_told_apart_by_its_own_layer(admin, organization, router):
    """The template is fine everywhere else: what breaks is the device's own variable in it."""
    template = admin.make_template(organization, config=file("/x", "{{ port }}"), default_values={"port": "eth0"})
    device = admin.make_device(organization, templates=ids(template), context={"port": LONG})
    router(device).apply()
    change = {"config": {"interfaces": [{"name": "{{ port }}", "type": "ethernet"}]}}
    assert admin.patch(f"template/{template['id']}/", change)["config"] == change["config"]
    error = admin.state(device)["rendering_error"]
    assert error["template"] == template["id"]
    own = admin.make_device(organization, "own", "00:00:00:00:00:01", config=change["config"], context={"port": "eth5"})
    with writing(runtime_of(admin).session_factory) as session:
        session.get_one(OrganizationConfigSettings, UUID(organization)).context = {"port": "eth6"}
        mark_stale(session, dependents_of_organization(UUID(organization)))
    assert admin.state(own)["rendering_error"] is None


def runtime_of(client):
    return client.app.app.registry.runtime


def test_a_new_device_with_a_broken_combination_of_required_templates_is_refused_with_the_reason(
    admin, organization, quarrel
):
    """Nobody chose them for this device, but it cannot be rendered with them either."""
    _, second = quarrel
    for template in quarrel:
        admin.patch(f"template/{template['id']}/", {"required": True})
    break_(admin, second)
    body = {"name": "new", "organization": organization, "mac_address": MAC}
    body["config"] = DEFAULTS | {"context": {"a": "b"}}
    assert "interfaces/0" in admin.post("device/", body, 400)["config"][0]
    assert admin.post("device/", body | {"config": DEFAULTS})["config"] is None
    with reading(runtime_of(admin).session_factory) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Device)) == 1
