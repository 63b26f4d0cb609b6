"""Stories of tenants: what is one organization's stays its own, whoever asks and however they ask."""

import gzip
import json
from itertools import count
from uuid import UUID, uuid4

import hypothesis
import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import (
    Base,
    Config,
    ConfigTemplate,
    Device,
    DeviceGroup,
    Organization,
    OrganizationConfigSettings,
    Permission,
    Template,
    User,
    UserPermission,
)
from guywire.security import add_member
from guywire.services.accounts import create_organization
from guywire.testing import Client
from guywire.testing.clients import API, OPENWRT
from guywire.testing.fixtures import make_user
from hypothesis import strategies as st

ORGANIZATIONS = "/api/v1/users/organization/"
NOT_MANAGER = {"detail": "User is not a manager of the organization to which the requested resource belongs."}
DENIED = {"detail": "You do not have permission to perform this action."}
MISSING = {"detail": "Authentication credentials were not provided."}
SECRET = "secret-of-another-tenant"


def no(kind):
    return {"detail": f"No {kind} matches the given query."}


def everything(runtime):
    """All rows of all tables."""
    with reading(runtime.session_factory) as session:
        tables = Base.metadata.sorted_tables
        return {table.name: sorted(map(repr, session.execute(sa.select(table)).all())) for table in tables}


def text_of(answer):
    """What an answer says, archives unpacked, headers included."""
    body = answer.body
    if answer.content_type == "application/octet-stream":
        body = gzip.decompress(body)
    return f"{answer.headers!r} {body.decode()}"


@pytest.fixture
def user(app, runtime):
    """Create a user. Returns their client."""

    def create(username, organization=None, group="Operator", **fields):
        return Client(app, make_user(runtime, username, organization, group, **fields))

    return create


@pytest.fixture
def member(user, runtime, organization):
    """A member of the organization with all permissions of an operator, but no manager."""
    client = user("member")
    with writing(runtime.session_factory) as session:
        person = session.scalars(sa.select(User).where(User.username == "member")).one()
        add_member(session, person, UUID(organization), is_admin=False)
    return client


@pytest.fixture
def disabled(user, admin, runtime):
    """A manager of an organization that was switched off."""
    made = admin.post(ORGANIZATIONS, {"name": "off", "slug": "off"})["id"]
    client = user("disabled", made)
    admin.patch(f"{ORGANIZATIONS}{made}/", {"is_active": False})
    return client


def things_of(admin, organization, name, marker=""):
    """A template and a device of an organization, full of a marker."""
    contents = {"files": [{"path": "/marker", "mode": "0644", "contents": marker}]}
    template = admin.make_template(organization, f"{name}-template", config=contents, notes=marker)
    device = admin.make_device(
        organization, f"{name}-device", config=contents, context={"marker": marker}, templates=[template["id"]]
    )
    admin.patch(f"device/{device['id']}/", {"notes": marker})
    return template, device


ROUTES = [
    # method, path, body; {x} is the object's id
    ("GET", "device/", None),
    ("HEAD", "device/", None),
    ("POST", "device/", {"name": "x"}),
    ("GET", "device/{device}/", None),
    ("HEAD", "device/{device}/", None),
    ("PUT", "device/{device}/", {"name": "x"}),
    ("PATCH", "device/{device}/", {"name": "x"}),
    ("DELETE", "device/{device}/", None),
    ("DELETE", "device/{device}/?force=true", None),
    ("GET", "device/{device}/configuration/", None),
    ("GET", "device/{device}/state/", None),
    ("POST", "device/{device}/deactivate/", {}),
    ("POST", "device/{device}/activate/", {}),
    ("GET", "template/", None),
    ("HEAD", "template/", None),
    ("POST", "template/", {"name": "x"}),
    ("GET", "template/{template}/", None),
    ("HEAD", "template/{template}/", None),
    ("PUT", "template/{template}/", {"name": "x"}),
    ("PATCH", "template/{template}/", {"name": "x"}),
    ("DELETE", "template/{template}/", None),
    ("GET", "template/{template}/configuration/", None),
]
ORGANIZATION_ROUTES = [
    ("GET", ORGANIZATIONS, None),
    ("HEAD", ORGANIZATIONS, None),
    ("POST", ORGANIZATIONS, {"name": "x", "slug": "x"}),
    ("GET", ORGANIZATIONS + "{organization}/", None),
    ("HEAD", ORGANIZATIONS + "{organization}/", None),
    ("PUT", ORGANIZATIONS + "{organization}/", {"name": "x", "slug": "x"}),
    ("PATCH", ORGANIZATIONS + "{organization}/", {"name": "x"}),
    ("DELETE", ORGANIZATIONS + "{organization}/", None),
]


def answers(client, routes, ids, read_json=True):
    """Send all requests. Returns the status and the JSON of each by method and path."""
    found = {}
    for method, path, body in routes:
        answer = client.request(method, path.format(**ids), body, "*")
        found[method, path] = (answer.status_code, None if method == "HEAD" else answer.json)
    return found


def expected(routes, answer, lists=None):
    """The same answer for all routes but, where given, for lists."""
    return {
        (method, path): (answer[0], None if method == "HEAD" else answer[1])
        if "{" in path or lists is None or method == "POST"
        else lists
        for method, path, _ in routes
    }


# Strangers


def test_strangers_members_and_managers_of_disabled_organizations_are_shown_nothing_and_change_nothing(
    admin, anonymous, member, disabled, user, runtime, organization
):
    template, device = things_of(admin, organization, "own", SECRET)
    shared = admin.make_template(None, "shared")
    homeless = user("homeless")
    ids = {"device": device["id"], "template": template["id"], "organization": organization}
    before = everything(runtime)
    for which in (ids, ids | {"template": shared["id"]}, ids | {"device": str(uuid4()), "template": str(uuid4())}):
        assert answers(anonymous, ROUTES, which) == expected(ROUTES, (401, MISSING))
        for client in (member, disabled, homeless):
            assert answers(client, ROUTES, which) == expected(ROUTES, (403, NOT_MANAGER))
    assert answers(anonymous, ORGANIZATION_ROUTES, ids) == expected(ORGANIZATION_ROUTES, (401, MISSING))
    nothing = {"count": 0, "next": None, "previous": None, "results": []}
    for client in (member, disabled, homeless):
        found = answers(client, ORGANIZATION_ROUTES, ids)
        for (method, path), (status, body) in found.items():
            if method not in ("GET", "HEAD"):
                assert (status, body) == (403, DENIED)
            elif "{" in path:
                assert (status, body or no("Organization")) == (404, no("Organization"))
            else:
                assert (status, body or nothing) == (200, nothing)
    assert everything(runtime) == before


def test_objects_of_another_organization_do_not_exist_for_its_neighbours(
    admin, operator, user, runtime, organization, other_organization
):
    template, device = things_of(admin, other_organization, "foreign", SECRET)
    things_of(admin, organization, "own")
    administrator = user("administrator", organization, "Administrator")
    ids = {"device": device["id"], "template": template["id"], "organization": other_organization}
    before = everything(runtime)
    for client in (operator, administrator):
        for method, path, body in ROUTES:
            answer = client.request(method, path.format(**ids), body, "*")
            assert SECRET not in text_of(answer)
            if "{" in path:
                kind = "Device" if "{device}" in path else "Template"
                assert answer.status_code == 404, (method, path)
                assert method == "HEAD" or answer.json == no(kind)
            elif method != "POST":
                assert answer.status_code == 200
                assert method == "HEAD" or [row["organization"] for row in answer.json["results"]] == [organization]
                assert method == "HEAD" or answer.json["count"] == 1
    missing = no("Organization")
    for client, changed in ((operator, (403, DENIED)), (administrator, (404, missing))):
        found = answers(client, ORGANIZATION_ROUTES[3:], ids)
        assert found == {
            ("GET", ORGANIZATIONS + "{organization}/"): (404, missing),
            ("HEAD", ORGANIZATIONS + "{organization}/"): (404, None),
            ("PUT", ORGANIZATIONS + "{organization}/"): changed,
            ("PATCH", ORGANIZATIONS + "{organization}/"): changed,
            ("DELETE", ORGANIZATIONS + "{organization}/"): (403, DENIED),
        }
    assert everything(runtime) == before


def test_an_operator_runs_the_devices_and_templates_of_the_own_organization(operator, organization):
    template, device = things_of(operator, organization, "own")
    path = f"device/{device['id']}/"
    for method, url, status in [
        ("GET", path, 200),
        ("HEAD", path, 200),
        ("GET", f"{path}configuration/", 200),
        ("GET", f"{path}state/", 200),
        ("POST", f"{path}deactivate/", 200),
        ("POST", f"{path}activate/", 200),
        ("GET", f"template/{template['id']}/", 200),
        ("GET", f"template/{template['id']}/configuration/", 200),
        ("DELETE", f"template/{template['id']}/", 204),
        ("DELETE", f"{path}?force=true", 204),
    ]:
        operator.request(method, url, status=status)
    assert operator.get("device/")["count"] == operator.get("template/")["count"] == 0


# Shared objects


def test_shared_templates_are_listed_for_everybody_and_changed_by_superusers_only(
    admin, operator, runtime, organization
):
    shared = admin.make_template(None, "shared")
    path = f"template/{shared['id']}/"
    assert operator.get("template/")["results"] == [shared]
    before = everything(runtime)
    for method, url, body in ROUTES:
        if "{template}" in url:
            answer = operator.request(method, url.format(template=shared["id"]), body, 403)
            assert method == "HEAD" or answer.json == DENIED
    assert everything(runtime) == before
    # The stock groups lack the permission to view them; with it they may be read, and still not be changed.
    with writing(runtime.session_factory) as session:
        person = session.scalars(sa.select(User).where(User.username == "operator")).one()
        view = session.scalars(sa.select(Permission).where(Permission.codename == "view_template")).one()
        session.add(UserPermission(user_id=person.id, permission_id=view.id))
    assert operator.get(path) == shared
    assert operator.request("GET", f"{path}configuration/").status_code == 200
    assert operator.patch(path, {"notes": "x"}, 403) == DENIED
    assert operator.delete(path, 403).json == DENIED
    assert operator.make_device(organization, templates=[shared["id"]])["config"]["templates"] == [shared["id"]]


def test_nobody_but_a_superuser_makes_a_shared_template_by_null_by_omission_or_by_moving(
    app, operator, user, runtime, organization
):
    administrator = user("administrator", organization, "Administrator")
    template = {"name": "t", "backend": OPENWRT, "config": {"general": {"hostname": "ap"}}}
    own = operator.make_template(organization, "own")
    path = f"template/{own['id']}/"
    null = {"organization": ["This field may not be null."]}
    before = everything(runtime)
    for client in (operator, administrator):
        assert client.post("template/", template, 400) == {"organization": ["This field is required."]}
        for nothing in (None, ""):
            given = {"organization": nothing}
            assert client.post("template/", template | given, 400) == null
            assert client.put(path, template | given, 400) == null
            assert client.patch(path, given, 400) == null
        headers = {"Authorization": f"Bearer {client.token}"}
        form = template | {"config": json.dumps(template["config"])}
        for given in ({}, {"organization": ""}):
            assert "organization" in app.post(f"{API}template/", form | given, headers=headers, status=400).json
        assert app.patch(f"{API}{path}", {"organization": ""}, headers=headers, status=400).json == null
    assert everything(runtime) == before
    assert operator.put(path, template)["organization"] == organization


# References


def test_references_to_another_organization_are_refused_as_if_there_were_nothing(
    admin, operator, runtime, organization, other_organization
):
    foreign_template, foreign_device = things_of(admin, other_organization, "foreign", SECRET)
    template, device = things_of(admin, organization, "own")
    now = runtime.clock()
    with writing(runtime.session_factory) as session:
        group = DeviceGroup(name=SECRET, organization_id=UUID(other_organization), created=now, modified=now)
        session.add(group)
    before = everything(runtime)

    def missing(id):
        return [f'Invalid pk "{id}" - object does not exist.']

    new_device = {"name": "new", "organization": organization, "mac_address": "00:00:00:00:00:01"}
    new_config = {"backend": OPENWRT, "context": {"a": "b"}, "config": {}}
    for reference in (other_organization, str(uuid4())):
        error = {"organization": missing(reference)}
        given = {"organization": reference}
        assert operator.post("device/", new_device | given, 400) == error
        assert operator.patch(f"device/{device['id']}/", given, 400) == error
        assert operator.patch(f"template/{template['id']}/", given, 400) == error
        body = {"name": "t", "backend": OPENWRT, "config": {"general": {"hostname": "ap"}}}
        assert operator.post("template/", body | given, 400) == error
    for reference in (str(group.id), str(uuid4())):
        error = {"group": missing(reference)}
        assert operator.post("device/", new_device | {"group": reference}, 400) == error
        assert operator.patch(f"device/{device['id']}/", {"group": reference}, 400) == error
    for reference in (foreign_template["id"], str(uuid4()), foreign_device["id"]):
        error = {"config": {"templates": missing(reference)}}
        config = {"config": new_config | {"templates": [template["id"], reference]}}
        assert operator.post("device/", new_device | config, 400) == error
        assert operator.patch(f"device/{device['id']}/", config, 400) == error
    assert everything(runtime) == before


def test_names_and_addresses_of_another_organization_are_free(admin, operator, organization, other_organization):
    """Nothing tells who else has them."""
    _, foreign = things_of(admin, other_organization, "same")
    _, device = things_of(operator, organization, "same")
    assert (device["name"], device["mac_address"]) == (foreign["name"], foreign["mac_address"])
    assert operator.patch(f"device/{device['id']}/", {"key": "x"})["key"] == "x"
    assert operator.post("device/", {"name": "n", "organization": organization, "mac_address": "x"}, 400).keys() == {
        "mac_address"
    }


def test_default_templates_of_an_organization_reach_its_own_devices_only(
    admin, operator, organization, other_organization
):
    _, foreign = things_of(admin, other_organization, "foreign")
    _, own = things_of(admin, organization, "own")
    required = operator.make_template(organization, "required", required=True, default=True)
    assert required["id"] in operator.get(f"device/{own['id']}/")["config"]["templates"]
    assert required["id"] not in admin.get(f"device/{foreign['id']}/")["config"]["templates"]


def test_variables_of_another_organization_are_in_no_archive(admin, runtime, organization, other_organization):
    with writing(runtime.session_factory) as session:
        for owner, value in ((organization, "mine"), (other_organization, SECRET)):
            session.get_one(OrganizationConfigSettings, UUID(owner)).context = {"owner": value}
    config = {"files": [{"path": "/owner", "mode": "0644", "contents": "{{ owner }}"}]}
    shared = admin.make_template(None, "shared", config=config)
    device = admin.make_device(organization, templates=[shared["id"]])
    foreign = admin.make_device(other_organization, "foreign", templates=[shared["id"]])
    text = text_of(admin.request("GET", f"device/{device['id']}/configuration/"))
    assert "mine" in text
    assert SECRET not in text
    assert SECRET in text_of(admin.request("GET", f"device/{foreign['id']}/configuration/"))
    assert SECRET not in text_of(admin.request("GET", f"template/{shared['id']}/configuration/"))
    moved = admin.patch(f"device/{foreign['id']}/", {"organization": organization, "mac_address": "00:00:00:00:00:01"})
    assert moved["config"]["templates"] == []
    assert SECRET not in text_of(admin.request("GET", f"device/{foreign['id']}/configuration/"))


def test_a_manager_who_loses_the_organization_loses_it_at_once(admin, operator, runtime, organization):
    template, device = things_of(operator, organization, "own")
    with writing(runtime.session_factory) as session:
        person = session.scalars(sa.select(User).where(User.username == "operator")).one()
        add_member(session, person, UUID(organization), is_admin=False)
    assert operator.get(f"device/{device['id']}/", 403) == NOT_MANAGER
    assert operator.patch(f"template/{template['id']}/", {"notes": "x"}, 403) == NOT_MANAGER


# Anything at all

TENANTS = 3
ACTORS = ("op0", "op1", "adm0", "both", "member")
VERBS = ["list", "get", "post", "post", "post", "put", "patch", "patch", "delete", "act", "download", "state"]
OPERATIONS = st.fixed_dictionaries(
    {
        "actor": st.sampled_from([*ACTORS, "op0", "both"]),
        "verb": st.sampled_from(VERBS),
        "kind": st.sampled_from(["device", "template", "device", "template", "organization"]),
        "number": st.integers(0, 50),  # which object
        "organization": st.sampled_from([*["own"] * 4, 0, 1, 2, "null", "absent", "unknown"]),
        "group": st.sampled_from([*["absent"] * 5, 0, 1, 2, "null"]),
        "templates": st.lists(st.integers(0, 50), max_size=2),
        "others": st.sets(st.sampled_from(["required", "default", "key", "owner"]), max_size=1),
    }
)


class World:
    """Three tenants, their users, and what each of them must never see or touch."""

    def __init__(self, app, runtime, admin):
        self.runtime, self.admin, self.numbers = runtime, admin, count()
        self.tags = {}
        self.groups = []
        with writing(runtime.session_factory) as session:
            for number in range(TENANTS):
                tag = f"tenant{number}tag"
                made = create_organization(session, runtime.key_ring, runtime.clock(), name=tag, slug=tag)
                made.config_settings.context = {"owner": tag}
                self.tags[made.id] = tag
                group = DeviceGroup(name=tag, organization_id=made.id, context={"group": tag})
                group.created = group.modified = runtime.clock()
                session.add(group)
                session.flush()
                self.groups.append(str(group.id))
        self.organizations = list(self.tags)
        managed = {"op0": [0], "op1": [1], "adm0": [0], "both": [0, 1], "member": []}
        self.managed = {name: {self.organizations[number] for number in managed[name]} for name in ACTORS}
        self.clients = {}
        for name in ACTORS:
            group = "Administrator" if name == "adm0" else "Operator"
            self.clients[name] = Client(app, make_user(runtime, name, None, group))
            with writing(runtime.session_factory) as session:
                person = session.scalars(sa.select(User).where(User.username == name)).one()
                for id in self.managed[name]:
                    add_member(session, person, id, is_admin=True)
        for id, tag in [*self.tags.items(), (None, "shared")]:
            template = admin.make_template(id and str(id), f"{tag}-t", config=self.config_of(tag), notes=tag)
            if id is not None:
                group = {"group": self.groups[self.organizations.index(id)]}
                body = self.device(str(id), tag) | group
                body["config"]["templates"] = [template["id"]]
                admin.post("device/", body)
        self.look()

    @staticmethod
    def config_of(tag):
        contents = f"{tag} {{{{ owner }}}} {{{{ group }}}}"
        return {"files": [{"path": f"/{tag}", "mode": "0644", "contents": contents}], "general": {"hostname": "some"}}

    def device(self, organization, tag):
        number = next(self.numbers)
        config = {"backend": OPENWRT, "templates": [], "context": {"tag": tag}, "config": self.config_of(tag)}
        return {
            "name": f"{tag}-{number}",
            "organization": organization,
            "mac_address": f"00:00:00:00:{number // 256:02x}:{number % 256:02x}",
            "config": config,
        }

    def look(self):
        """Note all rows by the organization that they belong to, and the organization of each object by its id."""
        owned = {id: [] for id in [*self.organizations, None]}
        self.ids = {model: {} for model in (Device, Template, DeviceGroup)}
        self.ids[Organization] = {str(id): id for id in self.organizations}
        links = sa.select(Device.organization_id, ConfigTemplate.template_id, ConfigTemplate.position)
        links = links.join(Config, Config.device_id == Device.id)
        with reading(self.runtime.session_factory) as session:
            for model, found in self.ids.items():
                # By name: ids are other ones each time.
                for row in session.execute(sa.select(model.__table__).order_by(model.name)):
                    id = row.id if model is Organization else row.organization_id
                    owned[id].append(repr(row))
                    found[str(row.id)] = id
            for statement in (
                sa.select(Device.organization_id, Config.__table__).join(Config, Config.device_id == Device.id),
                links.join(ConfigTemplate, ConfigTemplate.config_id == Config.id),
                sa.select(OrganizationConfigSettings.__table__),
            ):
                for row in session.execute(statement):
                    owned[row.organization_id].append(repr(row))
        self.rows = {id: sorted(rows) for id, rows in owned.items()}

    def body(self, operation):
        """A body that may name objects of all tenants."""
        actor, kind, number = operation["actor"], operation["kind"], operation["number"]
        own = next((id for id in self.organizations if id in self.managed[actor]), self.organizations[0])
        tag = self.tags[own]
        if kind == "organization":
            body = {"name": tag, "slug": f"{tag}-{next(self.numbers)}"}
        elif kind == "device":
            body = self.device(str(own), tag)
        else:
            body = {"name": f"{tag}-{next(self.numbers)}", "organization": str(own)}
            body |= {"backend": OPENWRT, "config": self.config_of(tag)}
        templates = list(self.ids[Template])
        given = {"notes": f"{tag}-{number}"}
        if (organization := operation["organization"]) not in ("own", "absent"):
            others = {"null": None, "unknown": str(uuid4())}
            given["organization"] = others.get(organization) or self.organizations_by(organization)
        elif organization == "absent":
            body.pop("organization", None)
        if (group := operation["group"]) != "absent":
            given["group"] = None if group == "null" else self.groups[group]
        if kind == "device" and operation["templates"]:
            given["config"] = {"templates": [templates[each % len(templates)] for each in operation["templates"]]}
        choices = {"required": bool(number % 2), "default": bool(number % 3), "key": f"{tag}-{number}"}
        choices["owner"] = {"organization_user": templates[number % len(templates)]}
        given |= {name: choices[name] for name in sorted(operation["others"])}
        if operation["verb"] == "patch":
            return given
        config = {"config": body.get("config", {}) | given.get("config", {})}
        return body | given | (config if kind != "organization" else {})

    def organizations_by(self, number):
        return str(self.organizations[number]) if isinstance(number, int) else None

    def send(self, operation):
        """One request. Checks that it neither shows nor changes what is not the actor's."""
        actor, verb, kind, number = (operation[name] for name in ("actor", "verb", "kind", "number"))
        ids = self.ids[{"device": Device, "template": Template, "organization": Organization}[kind]]
        if number % 3:
            # Most of the time something of one's own: the rest is refused anyway.
            ids = [id for id, owner in ids.items() if owner in self.managed[actor]] or ids
        target = list(ids)[number % len(ids)] if ids else str(uuid4())
        base = ORGANIZATIONS if kind == "organization" else f"{API}{kind}/"
        body = self.body(operation) if verb in ("post", "put", "patch") else None
        method, path = {
            "list": ("GET", f"{base}?page_size=100"),
            "get": ("GET", f"{base}{target}/"),
            "post": ("POST", base),
            "put": ("PUT", f"{base}{target}/"),
            "patch": ("PATCH", f"{base}{target}/"),
            "delete": ("DELETE", f"{base}{target}/?force=true"),
            "act": ("POST", f"{base}{target}/{('activate', 'deactivate')[number % 2]}/"),
            "download": ("GET", f"{base}{target}/configuration/"),
            "state": ("GET", f"{base}{target}/state/"),
        }[verb]
        answer = self.clients[actor].request(method, path, body, "*")
        assert answer.status_code < 500
        self.check(actor, text_of(answer), f"{method} {path} {json.dumps(body)}")
        return answer.status_code

    def check(self, actor, text, sent):
        own, rows, ids = self.managed[actor], self.rows, self.ids
        self.look()
        assert self.rows[None] == rows[None], (actor, sent)
        for id, tag in self.tags.items():
            if id not in own:
                assert self.rows[id] == rows[id], (actor, sent)
                assert tag not in text, (actor, sent)
        for objects in ids.values():
            for id, owner in objects.items():
                if owner not in own and owner is not None:
                    assert id not in text or id in sent, (actor, sent)


def test_whatever_users_do_they_neither_see_nor_change_what_is_not_theirs(app, runtime, admin):
    world = World(app, runtime, admin)
    statuses = []

    @hypothesis.settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=50,
        # The world goes on from example to example: there is nothing to be shrunk.
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.lists(OPERATIONS, min_size=5, max_size=14))
    def check(operations):
        for operation in operations:
            statuses.append(world.send(operation))

    check()
    # It would prove little if nothing had succeeded.
    assert {200, 201, 204, 400, 403, 404} <= set(statuses)
    assert min(statuses.count(status) for status in (200, 201, 204)) >= 3
