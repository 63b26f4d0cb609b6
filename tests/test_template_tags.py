"""Stories of tags: operators give them to templates, and devices that register with them get these."""

import pytest
from guywire.testing.clients import OPENWRT


def path(template):
    return f"template/{template['id']}/tags/"


@pytest.fixture
def template(admin, organization):
    return admin.make_template(organization)


def test_tags_are_set_as_a_whole_and_shown_in_alphabetical_order(admin, template, clock):
    assert admin.get(path(template)) == {"tags": []}
    clock.advance(1)
    assert admin.put(path(template), {"tags": ["mesh", "indoor", "mesh"]}) == {"tags": ["indoor", "mesh"]}
    changed = admin.get(f"template/{template['id']}/")
    assert changed == template | {"tags": ["indoor", "mesh"], "modified": "2026-01-01T12:00:01Z"}
    assert admin.put(path(template), {"tags": []}) == admin.get(path(template)) == {"tags": []}
    admin.request("PATCH", path(template), {"tags": []}, 405)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_no_list_of_words_is_refused_and_changes_nothing(admin, template):
    admin.put(path(template), {"tags": ["kept"]})
    word = "A tag is a word: it is neither empty nor contains spaces."
    for tags, message in (
        (None, 'Expected a list of items but got type "NoneType".'),
        ("mesh", 'Expected a list of items but got type "str".'),
        ([1], "Not a valid string."),
        (["a\0"], "Not a valid string."),
        ([""], word),
        (["two words"], word),
        (["x" * 101], "Ensure this field has no more than 100 characters."),
        ([str(number) for number in range(101)], "Ensure this field has no more than 100 elements."),
    ):
        assert admin.put(path(template), {"tags": tags}, 400) == {"tags": [message]}
    assert admin.put(path(template), {}, 400) == {"tags": ["This field is required."]}
    assert admin.get(path(template)) == {"tags": ["kept"]}
    headers = {"Authorization": f"Bearer {admin.token}"}
    url = f"/api/v1/controller/{path(template)}"
    assert admin.app.put(url, {"tags": " one  two "}, headers=headers).json == {"tags": ["one", "two"]}


def test_a_device_that_registers_with_a_tag_gets_its_templates(app, admin, template):
    admin.put(path(template), {"tags": ["mesh"]})
    form = {"secret": "secret", "name": "ap", "mac_address": "00:11:22:33:44:55", "backend": OPENWRT}
    app.post("/controller/register/", form | {"tags": "other mesh"}, status=201)
    [device] = admin.get("device/")["results"]
    assert admin.get(f"device/{device['id']}/")["config"]["templates"] == [template["id"]]


def test_shared_templates_are_tagged_by_superusers_and_foreign_ones_by_nobody(
    admin, operator, other_organization, template
):
    shared, foreign = admin.make_template(None, "shared"), admin.make_template(other_organization, "foreign")
    assert operator.put(path(template), {"tags": ["mine"]}) == {"tags": ["mine"]}
    assert operator.put(path(shared), {"tags": ["x"]}, 403).keys() == {"detail"}
    assert operator.put(path(foreign), {"tags": ["x"]}, 404) == {"detail": "No Template matches the given query."}
    operator.get(path(foreign), 404)
    assert admin.put(path(shared), {"tags": ["x"]}) == {"tags": ["x"]}
