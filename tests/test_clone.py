"""Stories of clones: a template is copied to be changed, within its organization or into another."""

from typing import Annotated
from uuid import UUID

import pytest
from guywire import hookimpl
from guywire.api import fields
from guywire.api.field_groups import FieldGroup
from guywire.api.schema import Schema
from guywire.db import reading, writing
from guywire.models import Template


def clone(client, template, status=201, **body):
    return client.post(f"template/{template['id']}/clone/", body, status)


def test_a_clone_is_the_same_but_for_its_name_its_tags_and_default(admin, organization, clock):
    source = admin.make_template(organization, "tem", default=True, notes="n", default_values={"a": "b"})
    device = admin.make_device(organization)
    admin.put(f"template/{source['id']}/tags/", {"tags": ["mesh"]})
    clock.advance(1)
    made = clone(admin, source)
    time = "2026-01-01T12:00:01Z"
    assert made == source | {
        "id": made["id"],
        "name": "tem (Clone)",
        "default": False,
        "created": time,
        "modified": time,
    }
    assert made["id"] != source["id"]
    assert admin.get(f"template/{made['id']}/") == made
    assert [clone(admin, source)["name"] for _ in range(2)] == ["tem (Clone 2)", "tem (Clone 3)"]
    assert admin.get(f"device/{device['id']}/")["config"]["templates"] == [source["id"]]
    required = clone(admin, admin.make_template(organization, "required", required=True))
    assert (required["required"], required["default"]) == (True, False)
    assert required["id"] in admin.get(f"device/{device['id']}/")["config"]["templates"]


def test_names_of_clones_are_short_enough_and_in_nobodys_way(admin, organization, other_organization):
    long = admin.make_template(organization, "x" * 64)
    assert [clone(admin, long)["name"] for _ in range(2)] == ["x" * 56 + " (Clone)", "x" * 54 + " (Clone 2)"]
    template = admin.make_template(organization, "ttt")
    admin.make_template(None, "ttt (Clone)", config=template["config"])
    assert clone(admin, template)["name"] == "ttt (Clone 2)"
    assert clone(admin, template, organization=other_organization)["name"] == "ttt (Clone 2)"
    # A shared one must differ from everybody's.
    shared = clone(admin, template, organization=None)
    assert (shared["organization"], shared["name"]) == (None, "ttt (Clone 3)")
    assert clone(admin, template, name="mine")["name"] == "mine"
    same = {"non_field_errors": ["The fields organization, name must make a unique set."]}
    assert clone(admin, template, 400, name="mine") == same
    assert clone(admin, template, 400, name="x" * 65) == {"name": ["Ensure this field has no more than 64 characters."]}
    assert clone(admin, template, 400, name="") == {"name": ["This field may not be blank."]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_operator_clones_what_they_see_into_their_organization(
    admin, operator, anonymous, organization, other_organization
):
    own = admin.make_template(organization, "own")
    shared, foreign = admin.make_template(None, "shared"), admin.make_template(other_organization, "foreign")
    assert clone(operator, own)["organization"] == organization
    assert clone(operator, shared, organization=organization)["name"] == "shared (Clone)"
    assert clone(operator, shared, 400) == {"organization": ["This field is required."]}
    assert clone(operator, own, 400, organization=None) == {"organization": ["This field may not be null."]}
    missing = {"organization": [f'Invalid pk "{other_organization}" - object does not exist.']}
    assert clone(operator, own, 400, organization=other_organization) == missing
    assert clone(operator, foreign, 404) == {"detail": "No Template matches the given query."}
    clone(anonymous, own, 401)
    assert admin.get("template/")["count"] == 5


class Colors:
    """A plugin that paints templates, and keeps the colors in its head."""

    def __init__(self):
        self.colors = {}

    @hookimpl
    def register_fields(self):
        class Color(Schema):
            color: Annotated[str, fields.text(20)] = "gray"

        def save(session, row, given, now):
            self.colors[row.id] = given.get("color", "gray")

        return [
            FieldGroup(
                resource="template",
                name="colors",
                after="config",
                shown={"color": {"type": "string"}},
                load=lambda session, ids: {id: {"color": self.colors[id]} for id in ids if id in self.colors},
                body=Color,
                save=save,
            )
        ]


class TestOfWhatOthersAdd:
    @pytest.fixture
    def plugins(self):
        return [("colors", Colors())]

    def test_a_clone_makes_clients_as_the_template_does_and_has_what_plugins_added(self, admin, organization, runtime):
        subnet = {"name": "s", "subnet": "10.0.0.0/24", "organization": organization}
        server = {
            "name": "v",
            "organization": organization,
            "backend": "openwisp_controller.vpn_backends.Wireguard",
            "host": "vpn.example.org",
            "config": {"wireguard": [{"name": "wg0", "port": 51820}]},
            "subnet": admin.post("/api/v1/ipam/subnet/", subnet)["id"],
        }
        vpn = admin.post("vpn/", server)["id"]
        source = admin.make_template(organization, type="vpn", vpn=vpn, config={}, color="red")
        with writing(runtime.session_factory) as session:
            session.get_one(Template, UUID(source["id"])).auto_cert = False
        made = clone(admin, source)
        assert admin.get(f"template/{made['id']}/") == source | {
            name: made[name] for name in ("id", "name", "created", "modified")
        }
        assert source["color"] == "red"
        with reading(runtime.session_factory) as session:
            assert session.get_one(Template, UUID(made["id"])).auto_cert is False
