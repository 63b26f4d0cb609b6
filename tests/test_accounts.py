"""Stories of accounts: tokens, organizations, their owners, and what the stock groups may do."""

import base64
import hashlib
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import (
    Config,
    ConfigArchive,
    ConfigState,
    ConfigTemplate,
    Device,
    DeviceGroup,
    DeviceGroupTemplate,
    Group,
    Membership,
    Organization,
    OrganizationConfigSettings,
    OrganizationOwner,
    Permission,
    Template,
    User,
    UserPermission,
)
from guywire.security import add_member, synchronize_permissions
from guywire.services.accounts import create_organization, create_user
from guywire.testing import Client
from guywire.testing.fixtures import make_user

TOKEN = "/api/v1/users/token/"
ORGANIZATIONS = "/api/v1/users/organization/"
PASSWORD = "correct horse"
NO_LOGIN = {"non_field_errors": ["Unable to log in with provided credentials."]}
NOT_MANAGER = {"detail": "User is not a manager of the organization to which the requested resource belongs."}
DENIED = {"detail": "You do not have permission to perform this action."}


@pytest.fixture
def person(runtime):
    """Create a user with a password. Returns the id."""

    def create(username="ada", password=PASSWORD, **fields):
        with writing(runtime.session_factory) as session:
            return create_user(session, runtime.clock(), username=username, password=password, **fields).id

    return create


@pytest.fixture
def administrator(app, runtime, organization):
    """A manager of the organization, in the stock group Administrator."""
    return Client(app, make_user(runtime, "administrator", organization, "Administrator"))


def login(anonymous, username="ada", password=PASSWORD, status=200):
    return anonymous.post(TOKEN, {"username": username, "password": password}, status=status)


# Tokens


def test_a_password_buys_a_token_by_json_and_by_form_and_it_is_always_the_same(app, anonymous, person):
    person(is_superuser=True)
    token = login(anonymous)
    assert token == {"token": token["token"]}
    assert len(token["token"]) == 40
    assert int(token["token"], 16)
    assert login(anonymous) == token
    form = app.post(TOKEN, {"username": "ada", "password": PASSWORD})
    assert form.json == token
    assert Client(app, token["token"]).get("template/")["count"] == 0


def test_users_log_in_by_exact_name_or_by_email_address_in_any_case(anonymous, person):
    person("ada", email="Ada@Example.org")
    token = login(anonymous, "ada")
    assert login(anonymous, "ada@example.org") == token
    assert login(anonymous, "ADA@EXAMPLE.ORG") == token
    assert login(anonymous, "  ada ") == token
    assert login(anonymous, "Ada", status=400) == NO_LOGIN


def test_a_name_that_is_somebody_elses_address_means_the_one_who_has_it_as_name(app, anonymous, person):
    person("ada", "ada's password", email="shared@example.org")
    person("shared@example.org", "the other's password")
    login(anonymous, "shared@example.org", "the other's password")
    login(anonymous, "shared@example.org", "ada's password", status=400)
    login(anonymous, "ada", "ada's password")


def test_what_does_not_log_in_is_told_why_but_not_whether_the_user_exists(app, anonymous, person):
    person()
    required, blank = ["This field is required."], ["This field may not be blank."]
    for body, errors in [
        ({}, {"username": required, "password": required}),
        ({"username": "ada"}, {"password": required}),
        ({"username": "", "password": ""}, {"username": blank, "password": blank}),
        ({"username": None, "password": []}, {"username": ["This field may not be null."], "password": None}),
        ({"username": "ada", "password": "wrong"}, NO_LOGIN),
        ({"username": "nobody", "password": "wrong"}, NO_LOGIN),
        ({"username": "ada", "password": PASSWORD + " "}, NO_LOGIN),
        ({"username": "ada", "password": "x" * 100_000}, NO_LOGIN),
        ({"username": "x" * 100_000, "password": "x"}, NO_LOGIN),
    ]:
        given = anonymous.post(TOKEN, body, status=400)
        assert list(given) == list(errors), body
        assert {key: given[key] for key, value in errors.items() if value} == {
            key: value for key, value in errors.items() if value
        }
    answer = app.post(TOKEN, "{not json", content_type="application/json", status=400)
    assert answer.json["detail"].startswith("JSON parse error - Expecting property name enclosed in double quotes")
    assert app.post(TOKEN, "a: b", content_type="text/yaml", status=415).json == {
        "detail": 'Unsupported media type "text/yaml" in request.'
    }


def test_the_token_endpoint_tells_strangers_which_method_it_has(anonymous):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = anonymous.request(method, TOKEN, status=405)
        assert answer.json == {"detail": f'Method "{method}" not allowed.'}
        assert answer.headers["Allow"] == "OPTIONS, POST"


def test_an_inactive_user_neither_gets_a_token_nor_can_use_the_one_of_before(app, runtime, anonymous, person):
    user_id = person(is_superuser=True)
    client = Client(app, login(anonymous)["token"])
    client.get("template/")
    with writing(runtime.session_factory) as session:
        session.get_one(User, user_id).is_active = False
    assert login(anonymous, status=400) == NO_LOGIN
    assert client.get("template/", 401) == {"detail": "User inactive or deleted."}


def test_an_unusable_or_broken_hash_lets_nobody_in(anonymous, runtime, person):
    user_id = person(password=None)
    broken = ["", "!unusable", "md5$a$b", "$argon2id$v=19$broken", "pbkdf2_sha256$"]
    broken += [f"pbkdf2_sha256${cost}$salt$AAAA" for cost in ("0", "-1", "x", "99999999999")]
    for stored in broken:
        with writing(runtime.session_factory) as session:
            session.get_one(User, user_id).password = stored
        assert login(anonymous, password=stored or " ", status=400) == NO_LOGIN


def test_only_bearer_tokens_open_and_each_mistake_has_its_sentence(app, admin):
    missing = "Authentication credentials were not provided."
    for header, detail in [
        (None, missing),
        ("", missing),
        (f"Token {admin.token}", missing),
        (f"Basic {admin.token}", missing),
        (admin.token, missing),
        ("Bearer", "Invalid token header. No credentials provided."),
        ("Bearer ", "Invalid token header. No credentials provided."),
        ("Bearer a b", "Invalid token header. Token string should not contain spaces."),
        ("Bearer 0123456789abcdef0123456789abcdef01234567", "Invalid token."),
        (f"Bearer {admin.token.upper()}x", "Invalid token."),
        ("Bearer " + "x" * 10_000, "Invalid token."),
        ("Bearer \xe4\xff", "Invalid token."),
    ]:
        headers = {} if header is None else {"Authorization": header}
        answer = app.get("/api/v1/controller/template/", headers=headers, status=401)
        assert answer.json == {"detail": detail}, header
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for header in (f"Bearer {admin.token}", f"bearer {admin.token}", f"BEARER   {admin.token} "):
        app.get("/api/v1/controller/template/", headers={"Authorization": header})


def test_a_wrong_token_is_refused_even_where_none_is_needed_to_ask_further(app):
    """Before the id, the body and the method are looked at."""
    headers = {"Authorization": "Bearer wrong"}
    for method, path in [
        ("GET", f"device/{uuid4()}/"),
        ("POST", "device/"),
        ("PATCH", f"template/{uuid4()}/"),
        ("DELETE", "template/"),
    ]:
        answer = app.request(f"/api/v1/controller/{path}", method=method, headers=headers, status=401)
        assert answer.json == {"detail": "Invalid token."}


# Accounts that move in from the reference


def django_hash(password, iterations=1000):
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", iterations)
    return f"pbkdf2_sha256${iterations}$salt${base64.b64encode(key).decode()}"


def test_a_django_password_is_accepted_and_stored_anew_at_the_first_login(anonymous, runtime, person):
    user_id = person()
    with writing(runtime.session_factory) as session:
        session.get_one(User, user_id).password = django_hash(PASSWORD)

    def stored():
        with reading(runtime.session_factory) as session:
            return session.get_one(User, user_id).password

    login(anonymous, password="wrong", status=400)
    assert stored() == django_hash(PASSWORD)
    token = login(anonymous)
    rehashed = stored()
    assert rehashed.startswith("$argon2id$")
    assert login(anonymous) == token
    assert stored() == rehashed
    login(anonymous, password="wrong", status=400)


# Organizations


def test_a_superuser_creates_reads_changes_and_deletes_organizations(admin, clock):
    made = admin.post(ORGANIZATIONS, {"name": "Ninux", "slug": "ninux"})
    assert list(made) == ["id", "name", "is_active", "slug", "description", "email", "url", "created", "modified"]
    assert made == {
        "id": made["id"],
        "name": "Ninux",
        "is_active": True,
        "slug": "ninux",
        "description": "",
        "email": "",
        "url": "",
        "created": "2026-01-01T12:00:00Z",
        "modified": "2026-01-01T12:00:00Z",
    }
    path = f"{ORGANIZATIONS}{made['id']}/"
    detail = made | {"owner": None}
    assert list(admin.get(path)) == list(detail)
    assert admin.get(path) == detail
    clock.advance(1.5)
    changes = {"name": "Renamed", "description": "d", "email": "o@example.org", "url": "http://example.org"}
    changed = admin.patch(path, changes)
    assert changed == detail | changes | {"modified": "2026-01-01T12:00:01.500000Z"}
    put = admin.put(path, {"name": "Put", "slug": "put"})
    assert put == changed | {"name": "Put", "slug": "put"}
    assert admin.put(path, {}, 400) == {"name": ["This field is required."], "slug": ["This field is required."]}
    put.pop("owner")
    assert admin.get(ORGANIZATIONS)["results"] == [put]
    assert admin.delete(path).body == b""
    assert admin.get(path, 404) == {"detail": "No Organization matches the given query."}


def test_the_location_header_is_the_organizations_web_site(admin):
    for slug, url in (("a", ""), ("b", "https://example.org/x?y=1")):
        answer = admin.request("POST", ORGANIZATIONS, {"name": slug, "slug": slug, "url": url}, 201)
        assert answer.headers["Location"] == url


def test_wrong_fields_of_an_organization_are_named(admin):
    made = admin.post(ORGANIZATIONS, {"name": "one", "slug": "one"})
    bad_slug = ['Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.']
    for changes, errors in [
        ({"name": ""}, {"name": ["This field may not be blank."]}),
        ({"name": None}, {"name": ["This field may not be null."]}),
        ({"name": "x" * 201}, {"name": ["Ensure this field has no more than 200 characters."]}),
        ({"slug": "with space"}, {"slug": bad_slug}),
        ({"slug": "dotted.slug"}, {"slug": bad_slug}),
        ({"slug": "ümlaut"}, {"slug": bad_slug}),
        ({"slug": "x" * 201}, {"slug": ["Ensure this field has no more than 200 characters."]}),
        ({"slug": "one"}, {"slug": ["organization with this slug already exists."], "organization": [made["id"]]}),
        ({"email": "nonsense"}, {"email": ["Enter a valid email address."]}),
        ({"url": "nonsense"}, {"url": ["Enter a valid URL."]}),
        ({"url": "javascript:alert(1)"}, {"url": ["Enter a valid URL."]}),
        ({"is_active": "perhaps"}, {"is_active": ["Must be a valid boolean."]}),
        ({"description": None}, {"description": ["This field may not be null."]}),
        ({"email": "bad", "url": "bad"}, {"email": ["Enter a valid email address."], "url": ["Enter a valid URL."]}),
    ]:
        assert admin.post(ORGANIZATIONS, {"name": "two", "slug": "two"} | changes, 400) == errors, changes
    assert admin.get(ORGANIZATIONS)["count"] == 1


def test_the_id_of_a_foreign_organization_is_not_given_away_by_its_slug(admin, administrator, organization):
    foreign = admin.post(ORGANIZATIONS, {"name": "foreign", "slug": "foreign"})
    own = f"{ORGANIZATIONS}{organization}/"
    taken = {"slug": ["organization with this slug already exists."]}
    assert administrator.patch(own, {"slug": "foreign"}, 400) == taken
    assert admin.patch(own, {"slug": "foreign"}, 400) == taken | {"organization": [foreign["id"]]}
    assert administrator.patch(own, {"slug": "org1"})["slug"] == "org1"


def test_devices_register_in_an_organization_that_was_made_over_rest(app, admin, runtime):
    made = admin.post(ORGANIZATIONS, {"name": "New", "slug": "new"})
    with reading(runtime.session_factory) as session:
        settings = session.get_one(OrganizationConfigSettings, UUID(made["id"]))
        secret = settings.shared_secret
        assert settings.registration_enabled
        assert settings.context == {}
    assert len(secret) == 32
    assert secret.isalnum()
    mac_address = "00:11:22:33:44:55"
    form = {"secret": secret, "name": mac_address, "mac_address": mac_address, "backend": "netjsonconfig.OpenWrt"}
    answer = app.post("/controller/register/", form, status=201)
    [device] = admin.get("device/")["results"]
    assert device["organization"] == made["id"]
    assert f"key: {device['key']}\n" in answer.text
    assert device["key"] == hashlib.md5(f"{mac_address}+{secret}".encode()).hexdigest()


def test_the_first_manager_owns_an_organization_until_somebody_says_otherwise(
    admin, administrator, runtime, organization, other_organization
):
    path = f"{ORGANIZATIONS}{organization}/"
    with writing(runtime.session_factory) as session:
        second = create_user(session, runtime.clock(), username="second", password=None)
        second_membership = str(add_member(session, second, UUID(organization), is_admin=False).id)
        stranger = create_user(session, runtime.clock(), username="stranger", password=None)
        foreign_membership = str(add_member(session, stranger, UUID(other_organization), is_admin=True).id)
        first_membership = str(session.get_one(OrganizationOwner, UUID(organization)).organization_user_id)
    assert admin.get(path)["owner"] == {"organization_user": first_membership}
    assert admin.patch(path, {"name": "same owner"})["owner"] == {"organization_user": first_membership}
    assert admin.patch(path, {"owner": {}})["owner"] == {"organization_user": first_membership}
    changed = admin.patch(path, {"owner": {"organization_user": second_membership}})
    assert changed["owner"] == {"organization_user": second_membership}
    assert admin.get(path)["owner"] == {"organization_user": second_membership}
    assert admin.patch(path, {"owner": {"organization_user": None}})["owner"] is None
    put = {"name": "n", "slug": "org1", "owner": {"organization_user": first_membership}}
    assert admin.put(path, put)["owner"] == {"organization_user": first_membership}
    assert admin.put(path, put | {"owner": {}}, 400) == {"owner": {"organization_user": ["This field is required."]}}
    not_a_member = ["The selected user is not member of this organization."]
    wrong = {"owner": {"organization_user": foreign_membership}}
    assert admin.patch(path, wrong, 400) == {"owner": {"organization_user": not_a_member}}
    # Who does not manage the other organization does not learn that it has such a member.
    unknown = [f'Invalid pk "{foreign_membership}" - object does not exist.']
    assert administrator.patch(path, wrong, 400) == {"owner": {"organization_user": unknown}}
    assert admin.get(path)["owner"] == {"organization_user": first_membership}
    assert admin.patch(path, {"owner": None})["owner"] is None


def test_deleting_an_organization_takes_everything_of_it_along_and_nothing_else(
    admin, operator, runtime, organization, other_organization
):
    kinds = (Template, DeviceGroup, Device, Config, ConfigState, ConfigTemplate, ConfigArchive)
    kinds += (OrganizationConfigSettings, DeviceGroupTemplate)
    kept = {}
    for number, owner in enumerate((organization, other_organization)):
        template = admin.make_template(owner, f"t{number}")
        admin.make_device(owner, f"d{number}", templates=[template["id"]])
        with writing(runtime.session_factory) as session:
            now = runtime.clock()
            group = DeviceGroup(name="g", organization_id=UUID(owner), created=now, modified=now)
            session.add(group)
            session.flush()
            session.add(DeviceGroupTemplate(group_id=group.id, template_id=UUID(template["id"]), position=0))
        kept[owner] = (template, f"d{number}")
    shared = admin.make_template(None, "shared")
    admin.delete(f"{ORGANIZATIONS}{organization}/")
    with reading(runtime.session_factory) as session:
        counts = {kind.__tablename__: session.scalar(sa.select(sa.func.count()).select_from(kind)) for kind in kinds}
        assert counts == dict.fromkeys(counts, 1) | {"template": 2}
        assert session.scalar(sa.select(sa.func.count()).select_from(Membership)) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(OrganizationOwner)) == 0
    template, device = kept[other_organization]
    assert admin.get(f"template/{template['id']}/") == template
    assert admin.get(f"template/{shared['id']}/") == shared
    assert [row["name"] for row in admin.get("device/")["results"]] == [device]
    assert operator.get("device/", 403) == NOT_MANAGER


def test_a_disabled_organization_cuts_off_its_managers_and_devices_until_it_is_enabled(
    admin, operator, organization, router
):
    device = admin.make_device(organization)
    agent = router(device)
    path = f"{ORGANIZATIONS}{organization}/"
    assert operator.get(f"device/{device['id']}/")["name"] == "router"
    assert admin.patch(path, {"is_active": False})["is_active"] is False
    for url in ("device/", "template/", f"device/{device['id']}/", f"device/{device['id']}/configuration/"):
        assert operator.get(url, 403) == NOT_MANAGER
    assert operator.post("template/", {"name": "x"}, 403) == NOT_MANAGER
    assert operator.get(ORGANIZATIONS)["count"] == 0
    assert operator.get(path, 404) == {"detail": "No Organization matches the given query."}
    agent.poll(404)
    assert admin.get(f"device/{device['id']}/")["name"] == "router"
    admin.patch(path, {"is_active": True})
    assert operator.get(f"device/{device['id']}/")["name"] == "router"
    agent.poll()


def test_a_manager_of_two_organizations_keeps_the_enabled_one(app, admin, runtime, organization, other_organization):
    client = Client(app, make_user(runtime, "both", organization, "Operator"))
    with writing(runtime.session_factory) as session:
        user = session.scalars(sa.select(User).where(User.username == "both")).one()
        add_member(session, user, UUID(other_organization), is_admin=True)
    for owner in (organization, other_organization):
        admin.make_template(owner, owner[:8])
    assert client.get("template/")["count"] == 2
    admin.patch(f"{ORGANIZATIONS}{organization}/", {"is_active": False})
    assert [row["organization"] for row in client.get("template/")["results"]] == [other_organization]


def test_managers_see_their_own_organizations_and_may_do_what_their_group_may(
    app, admin, operator, administrator, runtime, organization, other_organization
):
    own, foreign = f"{ORGANIZATIONS}{organization}/", f"{ORGANIZATIONS}{other_organization}/"
    for client in (operator, administrator):
        assert [row["slug"] for row in client.get(ORGANIZATIONS)["results"]] == ["org1"]
        assert client.get(own)["slug"] == "org1"
        assert client.get(foreign, 404) == {"detail": "No Organization matches the given query."}
        assert client.post(ORGANIZATIONS, {"name": "x", "slug": "x"}, 403) == DENIED
        assert client.delete(own, 403).json == DENIED
    assert operator.patch(own, {"name": "x"}, 403) == DENIED
    assert administrator.patch(own, {"name": "x"})["name"] == "x"
    assert administrator.patch(foreign, {"name": "x"}, 404) == {"detail": "No Organization matches the given query."}
    nobody = Client(app, make_user(runtime, "nobody"))
    assert nobody.get(ORGANIZATIONS, 403) == DENIED
    homeless = Client(app, make_user(runtime, "homeless", group="Operator"))
    assert homeless.get(ORGANIZATIONS)["results"] == []
    assert homeless.get("device/", 403) == NOT_MANAGER


# Groups and permissions

ALL = {"add", "change", "delete", "view"}
WRITE = {"add", "change", "delete"}
STOCK = {
    # resource: (Operator, Administrator), as the reference's migrations leave them
    "device": (WRITE, WRITE),
    "config": (WRITE, WRITE),
    "template": (WRITE, WRITE),
    "devicegroup": (ALL, ALL),
    "organization": ({"view"}, {"change"}),
    "organizationconfigsettings": ({"view"}, {"change", "view"}),
    "organizationuser": (set(), ALL),
    "organizationowner": (set(), {"change"}),
    "user": (set(), ALL),
    "group": (set(), {"view"}),
    "emailaddress": (set(), ALL - {"add"}),
}


def permissions_of(runtime, name):
    with reading(runtime.session_factory) as session:
        group = session.scalars(sa.select(Group).where(Group.name == name)).one()
        return {permission.codename for permission in group.permissions}


def test_the_stock_groups_have_exactly_the_references_permissions_on_the_cores_resources(runtime):
    for position, name in enumerate(("Operator", "Administrator")):
        expected = {f"{verb}_{resource}" for resource, verbs in STOCK.items() for verb in verbs[position]}
        given = permissions_of(runtime, name)
        assert {codename for codename in given if codename.split("_", 1)[1] in STOCK} == expected
    with reading(runtime.session_factory) as session:
        known = set(session.scalars(sa.select(Permission.codename)))
    assert known >= {f"{verb}_{resource}" for resource in STOCK for verb in ALL}


def test_what_is_taken_away_from_a_stock_group_stays_away(operator, runtime, organization):
    template = operator.make_template(organization)
    with writing(runtime.session_factory) as session:
        group = session.scalars(sa.select(Group).where(Group.name == "Operator")).one()
        group.permissions = [each for each in group.permissions if each.codename != "delete_template"]
    with writing(runtime.session_factory) as session:
        assert synchronize_permissions(session, runtime.registry) == []
    assert "delete_template" not in permissions_of(runtime, "Operator")
    assert "delete_template" in permissions_of(runtime, "Administrator")
    assert operator.delete(f"template/{template['id']}/", 403).json == DENIED
    assert operator.patch(f"template/{template['id']}/", {"notes": "still mine"})["notes"] == "still mine"


def test_a_deleted_stock_group_comes_back_empty_and_new_permissions_find_it(runtime):
    with writing(runtime.session_factory) as session:
        session.delete(session.scalars(sa.select(Group).where(Group.name == "Operator")).one())
        session.execute(sa.delete(Permission).where(Permission.codename == "add_device"))
    with writing(runtime.session_factory) as session:
        assert synchronize_permissions(session, runtime.registry) == ["add_device"]
    assert permissions_of(runtime, "Operator") == {"add_device"}


def test_a_permission_given_to_a_user_directly_counts_and_reading_needs_view_or_change(
    app, admin, runtime, organization
):
    template = admin.make_template(organization)
    path = f"template/{template['id']}/"
    for verb, readable in (("view", True), ("change", True), ("add", False), ("delete", False)):
        client = Client(app, make_user(runtime, verb, organization))
        assert client.get(path, 403) == DENIED
        with writing(runtime.session_factory) as session:
            user_id = session.scalars(sa.select(User.id).where(User.username == verb)).one()
            permission_id = session.scalars(
                sa.select(Permission.id).where(Permission.codename == f"{verb}_template")
            ).one()
            session.add(UserPermission(user_id=user_id, permission_id=permission_id))
        for method in ("GET", "HEAD"):
            client.request(method, path, status=200 if readable else 403)
            client.request(method, "template/", status=200 if readable else 403)
        client.request("PATCH", path, {"notes": verb}, status=200 if verb == "change" else 403)
    client.request("DELETE", path, status=204)


def test_names_and_addresses_of_users_are_unique_and_addresses_in_any_case(runtime, person):
    person("ada", email="ada@example.org")
    for fields in ({"username": "ada"}, {"username": "eve", "email": "ADA@example.org"}):
        with pytest.raises(sa.exc.IntegrityError):
            person(**fields)
    person("Ada")


def test_a_secret_belongs_to_one_organization(runtime, organization):
    with writing(runtime.session_factory) as session, session.begin_nested() as savepoint:
        with pytest.raises(sa.exc.IntegrityError):
            create_organization(session, runtime.key_ring, runtime.clock(), name="b", slug="b", shared_secret="secret")
        savepoint.rollback()
    with reading(runtime.session_factory) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Organization)) == 1
