"""Stories of templates: their fields, names, variables, pages and archives."""

import io
import json
import tarfile
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.db import writing
from guywire.models import Template, TemplateTag
from guywire.testing.clients import API, OPENWRT

OPENWISP = "netjsonconfig.OpenWisp"
KEYS = ["id", "name", "organization", "type", "backend", "vpn", "tags", "default", "required", "notes"]
KEYS += ["default_values", "config", "created", "modified"]
ETHERNET = {"interfaces": [{"name": "eth0", "type": "ethernet"}]}
NOT_FOUND = {"detail": "No Template matches the given query."}
EMPTY = "The configuration field cannot be empty."
SHARED = "Shared objects are visible to all organizations and must have unique names to avoid confusion."


@pytest.fixture
def body(organization):
    """What a template needs."""
    return {"name": "t", "organization": organization, "backend": OPENWRT, "config": ETHERNET}


def path(template):
    return f"template/{template['id']}/"


def files_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}


def download(client, template):
    return files_of(client.request("GET", f"{path(template)}configuration/").body)


def refused(admin, body, cases):
    """POST ``body`` with each change and compare the errors; nothing is stored."""
    before = admin.get("template/")["count"]
    answers = [(changes, admin.post("template/", body | changes, 400)) for changes, _ in cases]
    assert answers == cases
    assert admin.get("template/")["count"] == before


# Fields


def test_a_minimal_template_has_the_references_defaults_in_its_order_in_list_and_detail(admin, body, organization):
    made = admin.post("template/", body)
    assert list(made) == KEYS
    assert made == {
        "id": made["id"],
        "name": "t",
        "organization": organization,
        "type": "generic",
        "backend": OPENWRT,
        "vpn": None,
        "tags": [],
        "default": False,
        "required": False,
        "notes": "",
        "default_values": {},
        "config": ETHERNET,
        "created": "2026-01-01T12:00:00Z",
        "modified": "2026-01-01T12:00:00Z",
    }
    assert UUID(made["id"]).version == 4
    for again in (admin.get(path(made)), admin.get("template/")["results"][0]):
        assert again == made
        assert list(again) == KEYS
    assert admin.delete(path(made)).body == b""
    assert admin.get(path(made), 404) == NOT_FOUND
    assert admin.delete(path(made), 404).json == NOT_FOUND


def test_every_writable_field_comes_back_as_it_was_given_and_in_its_order(admin, clock):
    clock.advance(0.25)
    given = {
        "name": "ünïcødé ☃",
        "organization": None,
        "type": "generic",
        "backend": OPENWISP,
        "vpn": None,
        "default": True,
        "required": True,
        "notes": "some notes\nsecond line",
        "default_values": {"z": "1", "a": 2, "b": True, "l": [1, 2.5, None], "o": {"k": None, "": "ü"}},
        "config": {"general": {"timezone": "UTC", "hostname": "router1"}, "zeta": [{"config_name": "z"}]},
    }
    made = admin.post("template/", given)
    assert {key: made[key] for key in given} == given
    for key in ("default_values", "config"):
        assert json.dumps(admin.get(path(made))[key]) == json.dumps(given[key])
    assert made["created"] == made["modified"] == "2026-01-01T12:00:00.250000Z"


def test_read_only_and_unknown_fields_are_ignored(admin, body, runtime):
    foreign = {"id": str(uuid4()), "created": "2001-01-01T00:00:00Z", "modified": 7, "tags": ["mesh"], "auto_cert": "x"}
    made = admin.post("template/", body | foreign)
    assert made["id"] != foreign["id"]
    assert made["created"] == "2026-01-01T12:00:00Z"
    assert made["tags"] == []
    with writing(runtime.session_factory) as session:
        session.add_all(TemplateTag(template_id=UUID(made["id"]), name=name) for name in ("wifi", "mesh"))
    changed = admin.patch(path(made), foreign)
    assert changed == made | {"tags": ["mesh", "wifi"]}


def test_names_are_trimmed_and_numbers_are_taken_as_text(admin, body):
    assert admin.post("template/", body | {"name": "  trimmed \t"})["name"] == "trimmed"
    assert admin.post("template/", body | {"name": 12, "notes": 1.5})["name"] == "12"
    longest = "x" * 64
    assert admin.post("template/", body | {"name": longest})["name"] == longest


def test_wrong_fields_are_named_all_at_once(admin, body):
    unknown = str(uuid4())
    null, blank = ["This field may not be null."], ["This field may not be blank."]
    not_an_object = ["the supplied value is not a JSON object"]
    refused(
        admin,
        body | {"type": "generic"},
        [
            ({"name": None}, {"name": null}),
            ({"name": ""}, {"name": blank}),
            ({"name": "   "}, {"name": blank}),
            ({"name": {"a": 1}}, {"name": ["Not a valid string."]}),
            ({"name": "x" * 65}, {"name": ["Ensure this field has no more than 64 characters."]}),
            ({"organization": unknown}, {"organization": [f'Invalid pk "{unknown}" - object does not exist.']}),
            ({"organization": "not-a-uuid"}, {"organization": ["“not-a-uuid” is not a valid UUID."]}),
            ({"organization": 12}, {"organization": ['Invalid pk "12" - object does not exist.']}),
            ({"backend": ""}, {"backend": ['"" is not a valid choice.']}),
            ({"backend": "netjsonconfig.Nope"}, {"backend": ['"netjsonconfig.Nope" is not a valid choice.']}),
            ({"backend": None}, {"backend": null}),
            ({"type": "other"}, {"type": ['"other" is not a valid choice.']}),
            ({"type": None}, {"type": null}),
            ({"default": "maybe"}, {"default": ["Must be a valid boolean."]}),
            ({"default": None}, {"default": null}),
            ({"required": 7}, {"required": ["Must be a valid boolean."]}),
            ({"vpn": unknown}, {"vpn": [f'Invalid pk "{unknown}" - object does not exist.']}),
            ({"vpn": "nope"}, {"vpn": ["“nope” is not a valid UUID."]}),
            ({"notes": None}, {"notes": null}),
            ({"default_values": "text"}, {"default_values": not_an_object}),
            ({"default_values": [1]}, {"default_values": not_an_object}),
            ({"default_values": None}, {"default_values": null}),
            ({"config": None}, {"config": null}),
            ({"config": []}, {"config": ["Unexpected configuration format."]}),
            ({"config": "text"}, {"config": ["Unexpected configuration format."]}),
            ({"config": 17}, {"config": ["Unexpected configuration format."]}),
            ({"config": {}}, {"config": [EMPTY]}),
            ({"type": "vpn"}, {"vpn": ['A VPN must be selected when template type is "VPN"']}),
            (
                {"name": "", "backend": "x", "required": "x", "config": None},
                {
                    "name": blank,
                    "backend": ['"x" is not a valid choice.'],
                    "required": ["Must be a valid boolean."],
                    "config": null,
                },
            ),
        ],
    )
    assert admin.post("template/", {}, 400) == {
        "name": ["This field is required."],
        "backend": ["This field is required."],
    }


def test_an_empty_configuration_is_refused_whether_the_type_is_given_or_not(admin, body):
    """Under ``config`` when the type is in the body, else under ``__all__``: clients of the reference know both."""
    refused(admin, body, [({"config": {}}, {"__all__": [EMPTY]})])
    del body["config"]
    refused(admin, body, [({}, {"__all__": [EMPTY]})])


def test_default_values_that_are_empty_mean_none(admin, body):
    for number, empty in enumerate(({}, [], "", 0, False)):
        made = admin.post("template/", body | {"name": str(number), "default_values": empty})
        assert made["default_values"] == {}
    assert admin.patch(path(made), {"default_values": {"a": "b"}})["default_values"] == {"a": "b"}
    assert admin.patch(path(made), {"default_values": []})["default_values"] == {}


def test_the_configuration_is_validated_against_the_schema_of_its_backend(admin, body):
    def says(place, message):
        return {"__all__": [f'Invalid configuration triggered by "#/{place}", validator says:\n\n{message}']}

    neither = "is not valid under any of the given schemas"
    long = "averyveryverylongname"
    refused(
        admin,
        body,
        [
            ({"config": config}, says(place, message))
            for config, place, message in [
                ({"interfaces": [{"name": "eth0"}]}, "interfaces/0", f"{{'name': 'eth0'}} {neither}"),
                ({"interfaces": {"name": "eth0"}}, "interfaces", "{'name': 'eth0'} is not of type 'array'"),
                ({"general": {"hostname": [1]}}, "general/hostname", "[1] is not of type 'string'"),
                ({"general": {"hostname": 12}}, "general/hostname", "12 is not of type 'string'"),
                ({"files": [{"path": "/x", "mode": "0644"}]}, "files/0", "'contents' is a required property"),
                ({"dns_servers": [1]}, "dns_servers/0", "1 is not of type 'string'"),
                (
                    {"interfaces": [{"name": "eth0", "type": "ethernet", "mtu": "big"}]},
                    "interfaces/0",
                    f"{{'name': 'eth0', 'type': 'ethernet', 'mtu': 'big'}} {neither}",
                ),
                (
                    {"interfaces": [{"name": long, "type": "ethernet"}]},
                    "interfaces/0",
                    f"{{'name': '{long}', 'type': 'ethernet'}} {neither}",
                ),
                (
                    {"interfaces": [{"name": "{{ name", "type": "ethernet"}]},
                    "interfaces/0",
                    f"{{'name': '{{{{ name', 'type': 'ethernet'}} {neither}",
                ),
            ]
        ],
    )


def test_what_stock_netjsonconfig_stumbles_over_is_a_clear_400(admin, body):
    for config in (
        {"radios": [{"name": "radio0"}]},
        {"radios": [{}]},
        {"interfaces": [{"name": "{% if %}", "type": "ethernet"}]},
        {"files": [{"path": "/x", "mode": "0644", "contents": "{% if %}"}]},
        {"files": [{"path": "/x", "mode": "0644", "contents": "{{ 1/0 }}"}]},
        {"general": {"description": "{% endfor %}"}},
    ):
        answer = admin.request("POST", "template/", body | {"config": config}, status=[201, 400])
        if answer.status_code == 201:
            # What it takes literally is delivered literally.
            download(admin, answer.json)
            admin.delete(path(answer.json))
        else:
            assert list(answer.json) == ["__all__"], config
            assert answer.json["__all__"][0]


def test_sections_that_the_schema_does_not_know_are_allowed(admin, body):
    config = ETHERNET | {"unknown_section": [{"config_name": "foo", "config_value": "bar"}]}
    assert admin.post("template/", body | {"config": config})["config"] == config


# Variables


def test_variables_in_checked_places_need_a_default_value_and_numbers_cannot_be_variables(admin, body):
    """The template is validated alone, with its own variables: those of a device are not known."""
    hostname = {"config": {"general": {"hostname": "{{host_name}}"}}}
    assert list(admin.post("template/", body | hostname, 400)) == ["__all__"]
    assert list(admin.post("template/", body | {"config": {"general": {"hostname": "{{name}}"}}}, 400)) == ["__all__"]
    made = admin.post("template/", body | hostname | {"default_values": {"host_name": "ap1"}})
    assert "option hostname 'ap1'" in download(admin, made)["etc/config/system"]
    assert list(admin.patch(path(made), {"default_values": {"host_name": "not a host name"}}, 400)) == ["__all__"]
    assert list(admin.patch(path(made), {"default_values": {}}, 400)) == ["__all__"]
    assert admin.get(path(made)) == made
    mtu = {"interfaces": [{"name": "eth0", "type": "ethernet", "mtu": "{{mtu}}"}]}
    wrong = body | {"name": "mtu", "config": mtu, "default_values": {"mtu": 1500}}
    assert list(admin.post("template/", wrong, 400)) == ["__all__"]


def test_an_archive_of_a_template_has_its_own_variables_and_leaves_the_others_literal(admin, body):
    contents = "{{ ssid }}/{{channel}}/{{ name }} {{ undefined_one }} {{ list }}"
    config = {"files": [{"path": "/etc/wifi", "mode": "0600", "contents": contents}]}
    made = admin.post("template/", body | {"config": config, "default_values": {"ssid": "guest", "channel": 6}})
    assert download(admin, made) == {"etc/wifi": "guest/6/{{ name }} {{ undefined_one }} {{ list }}"}


# Downloads


def test_a_download_is_a_deterministic_archive_named_after_the_template(admin, body, clock):
    for name, filename in [
        ("plain", "plain"),
        ("with space", "with space"),
        ('quote"d; x=y', 'quote"d; x=y'),
        ("snow ☃", "snow ☃"),
    ]:
        made = admin.post("template/", body | {"name": name})
        first = admin.request("GET", f"{path(made)}configuration/")
        clock.advance(86_400)
        again = admin.request("GET", f"{path(made)}configuration/")
        assert first.body == again.body
        assert first.content_type == "application/octet-stream"
        disposition = first.headers["Content-Disposition"].encode("latin-1").decode()
        assert disposition == f"attachment; filename={filename}.tar.gz"
        assert first.headers["X-Openwisp-Controller"] == "true"
        head = admin.request("HEAD", f"{path(made)}configuration/")
        assert head.body == b""
        assert head.headers["Content-Length"] == str(len(first.body))
        admin.delete(path(made))
    with tarfile.open(fileobj=io.BytesIO(first.body)) as tar:
        [member] = tar.getmembers()
        assert (member.name, member.mtime, member.mode) == ("etc/config/network", 0, 0o644)
    assert admin.get(f"template/{uuid4()}/configuration/", 404) == NOT_FOUND


def test_a_name_with_line_breaks_cannot_add_headers(admin, body):
    answer = admin.request("POST", "template/", body | {"name": "a\r\nX-Evil: 1"}, status=[201, 400])
    if answer.status_code == 201:
        download_answer = admin.request("GET", f"{path(answer.json)}configuration/")
        assert "X-Evil" not in download_answer.headers
        assert "\n" not in download_answer.headers["Content-Disposition"]


# Changes


def test_put_replaces_what_it_gives_keeps_what_is_optional_and_needs_what_is_required(admin, body, organization, clock):
    made = admin.post("template/", body | {"notes": "n", "default_values": {"a": "b"}, "default": True})
    clock.advance(1)
    required = ["This field is required."]
    assert admin.put(path(made), {}, 400) == {"name": required, "backend": required}
    assert admin.put(path(made), {"name": "put"}, 400) == {"backend": required}
    assert admin.get(path(made)) == made
    config = {"general": {"hostname": "router1"}}
    put = admin.put(path(made), {"name": "put", "backend": OPENWISP, "config": config})
    assert put == made | {
        "name": "put",
        "backend": OPENWISP,
        "config": config,
        "modified": "2026-01-01T12:00:01Z",
    }
    assert put["organization"] == organization
    assert admin.get(path(made)) == put
    assert admin.put(path(made), {"name": "put", "backend": OPENWISP, "organization": None})["organization"] is None


def test_patch_changes_only_what_it_gives_and_can_reset_to_the_defaults(admin, body, clock):
    made = admin.post("template/", body)
    changes = [
        {"name": "patched"},
        {"notes": "hello"},
        {"backend": OPENWISP},
        {"required": True},
        {"default": True},
        {"default_values": {"x": "y"}},
        {"config": {"interfaces": [{"name": "wan0", "type": "ethernet"}]}},
        {"type": "generic"},
        {"vpn": None},
        {},
    ]
    expected = dict(made)
    for change in changes:
        clock.advance(1)
        expected |= change
        answer = admin.patch(path(made), change)
        assert answer == expected | {"modified": answer["modified"]}
    assert answer["modified"] == "2026-01-01T12:00:10Z"
    reset = {"notes": "", "required": False, "default": False, "default_values": {}, "organization": None}
    assert admin.patch(path(made), reset) == answer | reset
    assert admin.get(path(made)) == answer | reset


def test_an_invalid_change_leaves_the_template_as_it_was(admin, body):
    made = admin.post("template/", body)
    unknown = str(uuid4())
    for change, errors in [
        ({"name": ""}, {"name": ["This field may not be blank."]}),
        ({"backend": "x"}, {"backend": ['"x" is not a valid choice.']}),
        ({"type": "vpn"}, {"vpn": ['A VPN must be selected when template type is "VPN"']}),
        ({"organization": unknown}, {"organization": [f'Invalid pk "{unknown}" - object does not exist.']}),
        ({"config": {}}, {"__all__": [EMPTY]}),
        ({"config": {}, "type": "generic"}, {"config": [EMPTY]}),
        ({"notes": "changed", "default": None}, {"default": ["This field may not be null."]}),
    ]:
        assert admin.patch(path(made), change, 400) == errors
    assert list(admin.patch(path(made), {"config": {"interfaces": [{"name": "eth0"}]}}, 400)) == ["__all__"]
    assert admin.get(path(made)) == made


def test_required_without_default_is_stored_and_shown_as_it_was_given(admin, body):
    made = admin.post("template/", body | {"required": True, "default": False})
    assert (made["required"], made["default"]) == (True, False)
    assert (admin.get(path(made))["required"], admin.get(path(made))["default"]) == (True, False)
    assert admin.patch(path(made), {"default": False}) == made


# Names


def test_names_are_unique_in_an_organization_and_against_shared_ones(admin, body, organization, other_organization):
    own = admin.post("template/", body)
    unique_set = {"non_field_errors": ["The fields organization, name must make a unique set."]}
    another_shared = {"name": [f"There is already another shared template with this name. {SHARED}"]}
    of_another = {"name": [f"There is already a template of another organization with this name. {SHARED}"]}
    assert admin.post("template/", body, 400) == unique_set
    foreign = admin.post("template/", body | {"organization": other_organization})
    assert admin.post("template/", body | {"organization": None}, 400) == of_another
    shared = admin.post("template/", body | {"organization": None, "name": "shared"})
    assert admin.post("template/", body | {"organization": None, "name": "shared"}, 400) == another_shared
    assert admin.post("template/", body | {"name": "shared"}, 400) == another_shared
    # The same rules hold for renaming and moving; its own name is no obstacle.
    assert admin.patch(path(own), {"name": "t"})["name"] == "t"
    assert admin.patch(path(own), {"name": "shared"}, 400) == another_shared
    assert admin.patch(path(own), {"organization": other_organization}, 400) == unique_set
    assert admin.patch(path(foreign), {"organization": None}, 400) == of_another
    assert admin.patch(path(shared), {"organization": organization, "name": "t"}, 400) == unique_set
    assert admin.patch(path(shared), {"organization": organization})["organization"] == organization
    assert admin.post("template/", body | {"name": "T"})["name"] == "T"
    assert admin.get("template/")["count"] == 4


def test_the_database_itself_refuses_the_second_of_two_equal_names(admin, body, runtime, organization):
    """Two requests at the same time: neither sees the other's row when it checks."""
    admin.post("template/", body)
    admin.post("template/", body | {"organization": None, "name": "shared"})
    now = runtime.clock()
    for name, owner in (("t", UUID(organization)), ("shared", None)):
        twin = Template(name=name, organization_id=owner, backend=OPENWRT, created=now, modified=now)
        with pytest.raises(sa.exc.IntegrityError), writing(runtime.session_factory) as session:
            session.add(twin)


# Lists


@pytest.fixture
def many(runtime, organization):
    """Write so many templates, the first one first, one second after the other. Returns their ids, newest first."""

    def make(count):
        ids = []
        with writing(runtime.session_factory) as session:
            for number in range(count):
                now = runtime.clock()
                made = Template(id=uuid4(), name=f"t{number}", organization_id=UUID(organization), backend=OPENWRT)
                made.config, made.created, made.modified = ETHERNET, now, now
                session.add(made)
                ids.insert(0, str(made.id))
                runtime.clock.advance(1)
        return ids

    return make


def test_lists_come_in_pages_newest_first_with_links_that_keep_the_query(admin, many):
    ids = many(25)
    base = f"http://localhost{API}template/"

    def page(**query):
        answer = admin.get("template/", **query)
        assert list(answer) == ["count", "next", "previous", "results"]
        assert answer["count"] == 25
        return answer["next"], answer["previous"], [row["id"] for row in answer["results"]]

    assert page() == (f"{base}?page=2", None, ids[:10])
    assert page(page=2) == (f"{base}?page=3", base, ids[10:20])
    assert page(page=3) == (None, f"{base}?page=2", ids[20:])
    assert page(page="last") == page(page=3)
    assert page(page="") == page()
    assert page(page_size=24, x="ü&") == (f"{base}?page=2&page_size=24&x=%C3%BC%26", None, ids[:24])
    assert page(page_size=24, page=2, x="1") == (None, f"{base}?page_size=24&x=1", ids[24:])
    assert page(page_size=25) == (None, None, ids)
    for junk in ("0", "-1", "x", "", "1.5", "9" * 30, "٣"):
        assert page(page_size=junk)[2] == (ids if junk == "9" * 30 else ids[:10]), junk
    for wrong in ("0", "-1", "4", "x", "1.5", "9" * 30, "LAST", "nan"):
        assert admin.get("template/", 404, page=wrong) == {"detail": "Invalid page."}, wrong


def test_a_page_holds_at_most_a_hundred_and_an_empty_list_has_one_page(admin, many):
    assert admin.get("template/") == {"count": 0, "next": None, "previous": None, "results": []}
    assert admin.get("template/", page="last")["results"] == []
    assert admin.get("template/", 404, page=2) == {"detail": "Invalid page."}
    ids = many(101)
    answer = admin.get("template/", page_size=1000)
    assert [row["id"] for row in answer["results"]] == ids[:100]
    assert answer["next"].endswith("?page=2&page_size=1000")


def test_the_order_is_that_of_creation_not_of_change(admin, many):
    ids = many(3)
    admin.patch(f"template/{ids[2]}/", {"notes": "touched"})
    assert [row["id"] for row in admin.get("template/")["results"]] == ids


def test_head_answers_like_get_without_a_body(admin, body):
    made = admin.post("template/", body)
    for url in ("template/", path(made)):
        head = admin.request("HEAD", url, status=200)
        assert head.body == b""
        assert head.content_type == "application/json"
    assert admin.request("HEAD", f"template/{uuid4()}/", status=404).body == b""


# Forms


def test_forms_and_multipart_bodies_carry_json_as_text(admin, app, body, organization):
    headers = {"Authorization": f"Bearer {admin.token}"}
    form = body | {"config": '{"general": {"hostname": "ap"}}', "default_values": '{"a": "b"}', "required": "on"}
    url = f"{API}template/"
    for name, options in (("form", {}), ("multipart", {"upload_files": [("unknown", "x.txt", b"ignored")]})):
        made = app.post(url, form | {"name": name}, headers=headers, status=201, **options).json
        assert made["config"] == {"general": {"hostname": "ap"}}
        assert made["default_values"] == {"a": "b"}
        assert (made["required"], made["default"]) == (True, False)
        detail = f"{url}{made['id']}/"
        # Absent means unchanged in a PATCH, and an unchecked box in a PUT.
        patched = app.patch(detail, {"notes": "via form"}, headers=headers).json
        assert (patched["notes"], patched["required"], patched["organization"]) == ("via form", True, organization)
        put = app.put(detail, {"name": name, "backend": OPENWISP}, headers=headers).json
        assert (put["required"], put["backend"], put["organization"]) == (False, OPENWISP, organization)
        assert app.patch(detail, {"organization": ""}, headers=headers).json["organization"] is None
    for changes, errors in [
        ({"config": "{broken"}, {"config": ["Value must be valid JSON."]}),
        ({"config": "[]"}, {"config": ["Unexpected configuration format."]}),
        ({"default_values": "[1]"}, {"default_values": ["the supplied value is not a JSON object"]}),
        ({"required": "perhaps"}, {"required": ["Must be a valid boolean."]}),
    ]:
        assert app.post(url, form | {"name": "x"} | changes, headers=headers, status=400).json == errors
    upload = [("name", "name.txt", b"a file")]
    answer = app.post(url, {"backend": OPENWRT}, upload_files=upload, headers=headers, status=400)
    assert answer.json["name"] == ["Not a valid string."]


# Templates in use


def test_a_template_cannot_leave_devices_of_other_organizations_behind(admin, body, organization, other_organization):
    shared = admin.post("template/", body | {"organization": None})
    admin.make_device(organization, "own", templates=[shared["id"]])
    admin.make_device(other_organization, "foreign", templates=[shared["id"]])
    in_use = {"organization": ["The template is in use by devices of another organization."]}
    assert admin.patch(path(shared), {"organization": organization}, 400) == in_use
    admin.delete(f"device/{admin.get('device/', name='foreign')['results'][0]['id']}/?force=true")
    assert admin.patch(path(shared), {"organization": organization})["organization"] == organization
    assert admin.patch(path(shared), {"organization": other_organization}, 400) == in_use
    ours = admin.post("template/", body | {"name": "ours", "organization": None})
    admin.post("group/", {"name": "g", "organization": organization, "templates": [ours["id"]]})
    in_use = {"organization": ["The template is in use by device groups of another organization."]}
    assert admin.patch(path(ours), {"organization": other_organization}, 400) == in_use
    assert admin.patch(path(ours), {"organization": organization})["organization"] == organization


def test_deleting_a_template_in_use_takes_it_off_its_devices_and_changes_what_they_should_have(
    admin, body, organization, router
):
    template = admin.post("template/", body)
    device = admin.make_device(organization, templates=[template["id"]])
    agent = router(device)
    agent.apply()
    before = agent.checksum
    admin.delete(path(template))
    after = admin.get(f"device/{device['id']}/")
    assert after["config"]["templates"] == []
    assert after["config"]["status"] == "modified"
    assert agent.poll() != before
    assert "etc/config/network" not in files_of(agent.download())


def test_a_change_that_renders_nothing_new_leaves_every_device_as_it_is(admin, body, organization, router, worker):
    template = admin.post("template/", body)
    device = admin.make_device(organization, templates=[template["id"]])
    agent = router(device)
    agent.apply()
    for change in ({"name": "renamed"}, {"notes": "n"}, {"default_values": {"unused": "x"}}, {"config": ETHERNET}):
        admin.patch(path(template), change)
        worker.run_due(0.0)
        assert admin.state(device)["status"] == "applied"
        assert agent.poll() == agent.checksum
