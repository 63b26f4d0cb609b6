"""Stories of the users API: who sees whom, who may change whom, and that nobody gets more than they were given."""

from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import EmailAddress, Group, JobRecord, Permission, User, UserPermission
from guywire.services.accounts import create_user
from guywire.testing import Client
from guywire.testing.fixtures import make_user

USERS = "/api/v1/users/user/"
GROUPS = "/api/v1/users/group/"
TOKEN = "/api/v1/users/token/"
PASSWORD = "correct horse"
REQUIRED = ["This field is required."]
DENIED = {"detail": "You do not have permission to perform this action."}
NO_USER = {"detail": "No User matches the given query."}
PROFILE = ["bio", "url", "company", "location", "notes", "last_login", "date_joined"]


@pytest.fixture
def administrator(app, runtime, organization):
    """A manager of the organization, in the stock group Administrator."""
    return Client(app, make_user(runtime, "administrator", organization, "Administrator"))


def path_of(user):
    return f"{USERS}{user['id'] if isinstance(user, dict) else user}/"


def make(client, username="ada", status=201, **fields):
    body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
    return client.post(USERS, body | fields, status)


def id_of(runtime, username):
    with reading(runtime.session_factory) as session:
        return session.scalars(sa.select(User.id).where(User.username == username)).one()


def group_id(runtime, name):
    with reading(runtime.session_factory) as session:
        return session.scalars(sa.select(Group.id).where(Group.name == name)).one()


def token_for(app, username, password=PASSWORD, status=200):
    return app.post_json(TOKEN, {"username": username, "password": password}, status=status).json.get("token")


# What superusers do


def test_a_superuser_makes_changes_and_deletes_users(app, admin, organization, clock):
    made = make(admin, first_name="Ada", phone_number="+39 06 1234-5678", birth_date="1815-12-10", is_staff=True)
    assert list(made) == [
        *("id", "username", "email", "first_name", "last_name", "phone_number", "birth_date", "is_active", "is_staff"),
        *("is_superuser", "expiration_date", "groups", "organization_users"),
    ]
    assert made["phone_number"] == "+390612345678"
    assert made["groups"] == made["organization_users"] == []
    detail = admin.get(path_of(made))
    assert list(detail) == [*made, *PROFILE, "user_permissions"]
    assert made in admin.get(USERS)["results"]
    admin.patch(path_of(made), {"bio": "Counts.", "email": "countess@example.org", "password": "ignored ignored"})
    token_for(app, "countess@example.org")
    put = {"username": "lovelace", "email": "ada@example.org"}
    changed = admin.put(path_of(made), put)
    assert changed == detail | put | {"bio": "Counts."}
    assert admin.put(path_of(made), {}, 400) == {"username": REQUIRED, "email": REQUIRED}
    admin.delete(path_of(made))
    assert admin.get(path_of(made), 404) == NO_USER


def test_what_is_wrong_with_a_user_is_said_by_field(admin, clock):
    make(admin, phone_number="+390612345678")
    wrong = {
        "username": "ada",
        "email": "ADA@example.org",
        "password": PASSWORD,
        "phone_number": "+390612345678",
        "expiration_date": "2025-12-31",
    }
    assert admin.post(USERS, wrong, 400) == {
        "username": ["A user with that username already exists."],
        "email": ["User with this Email address already exists."],
        "phone_number": ["User with this Phone number already exists."],
        "expiration_date": ["Expiration date cannot be in the past."],
    }
    assert list(admin.post(USERS, {}, 400)) == ["username", "email", "password"]
    for field, value in {
        "phone_number": "0612345678",
        "password": "short",
        "birth_date": "yesterday",
        "groups": [12345],
        "email": "nobody",
        "organization_users": "x",
        "is_active": None,
    }.items():
        assert list(make(admin, "eve", 400, **{field: value})) == [field]
    assert list(make(admin, "a b", 400, email="eve@example.org")) == ["username"]
    error = make(admin, "a b", 400, organization_users=[{"is_admin": True}], birth_date="x")
    assert list(error) == ["username", "email", "birth_date", "organization_users"]
    assert error["organization_users"] == {"organization": REQUIRED}
    assert make(admin, "ada@example.org", 400, email="eve@example.org")["username"] == [
        "A user with that username already exists."
    ]
    assert make(admin, "eve", email=None)["email"] is None
    assert make(admin, "eva", email="")["email"] is None


def test_memberships_are_added_one_by_one_or_replaced_as_a_list(admin, organization, other_organization):
    user = make(admin, organization_users={"organization": organization, "is_admin": True})
    here, there = ({"is_admin": True, "organization": each} for each in (organization, other_organization))
    guest = there | {"is_admin": False}
    assert user["organization_users"] == [here]

    def patched(value):
        places = admin.patch(path_of(user), {"organization_users": value})["organization_users"]
        return sorted(places, key=lambda each: each["organization"] != organization)

    for _ in range(2):  # the reference takes away what is given twice
        assert patched(guest) == [here, guest]
    assert patched(there) == [here, there]
    # The first manager owns the organization.
    for value in ([there], here | {"is_admin": False}):
        [message] = admin.patch(path_of(user), {"organization_users": value}, 400)["organization_users"]
        assert "stays its manager" in message
    for owned in (organization, other_organization):
        admin.patch(f"/api/v1/users/organization/{owned}/", {"owner": {"organization_user": None}})
    assert patched([guest]) == [guest]
    assert patched([]) == []


def test_groups_and_permissions_are_shown_and_taken_in_several_spellings(admin, app, runtime, organization):
    with reading(runtime.session_factory) as session:
        permission = session.scalars(sa.select(Permission).where(Permission.codename == "add_config")).one()
    text = f"{permission.id}: config | Can add configuration"
    group = admin.post(GROUPS, {"name": "editors", "permissions": [permission.id]})
    assert group == {"id": group["id"], "name": "editors", "permissions": [text]}
    assert admin.put(f"{GROUPS}{group['id']}/", {"name": "writers", "permissions": [text]})["permissions"] == [text]
    assert admin.patch(f"{GROUPS}{group['id']}/", {"permissions": []})["permissions"] == []
    assert admin.post(GROUPS, {"name": "writers"}, 400) == {"name": ["group with this name already exists."]}
    assert list(admin.post(GROUPS, {"name": "x", "permissions": ["many"]}, 400)) == ["permissions"]
    assert [each["name"] for each in admin.get(GROUPS)["results"]] == ["Administrator", "Operator", "writers"]
    user = make(admin, groups=[str(group["id"])])
    assert user["groups"] == [group["id"]]
    detail = admin.patch(path_of(user), {"user_permissions": [text], "groups": [], "is_superuser": True})
    assert (detail["user_permissions"], detail["groups"], detail["is_superuser"]) == ([text], [], True)
    admin.delete(f"{GROUPS}{group['id']}/")
    assert admin.get(f"{GROUPS}{group['id']}/", 404) == {"detail": "No Group matches the given query."}


def test_an_account_ends_after_its_last_day_and_comes_back_when_the_day_moves(app, admin, clock):
    user = make(admin, is_superuser=True, expiration_date="2026-01-01")
    client = Client(app, token_for(app, "ada"))
    client.get("device/")
    clock.advance(24 * 3600)
    assert client.get("device/", 401) == {"detail": "User inactive or deleted."}
    token_for(app, "ada", status=400)
    admin.patch(path_of(user), {"is_active": False, "expiration_date": "2026-01-01"})
    assert list(admin.patch(path_of(user), {"is_active": True}, 400)) == ["is_active"]
    admin.patch(path_of(user), {"is_active": True, "expiration_date": "2026-01-02"})
    client.get("device/")


# What managers do


def test_managers_see_the_users_of_their_organizations_without_the_superusers(
    admin, administrator, operator, organization, other_organization
):
    member = make(admin, "member", organization_users={"organization": organization})
    foreign = make(admin, "foreign", organization_users={"organization": other_organization, "is_admin": True})
    root = make(admin, "root", organization_users={"organization": organization}, is_superuser=True)
    names = [each["username"] for each in administrator.get(USERS)["results"]]
    assert sorted(names) == ["administrator", "member", "operator"]
    detail = administrator.get(path_of(member))
    assert not {"is_superuser", "user_permissions"} & {*detail, *administrator.get(USERS)["results"][0]}
    password = {"new_password": "another horse", "confirm_password": "another horse"}
    for hidden in (foreign, root):
        assert administrator.get(path_of(hidden), 404) == NO_USER
        assert administrator.patch(path_of(hidden), {"email": "x@example.org"}, 404) == NO_USER
        assert administrator.put(f"{path_of(hidden)}password/", password, 404) == NO_USER
        administrator.get(f"{path_of(hidden)}email/", 404)
        administrator.delete(path_of(hidden), 404)
    for path in (USERS, GROUPS, path_of(member)):
        assert operator.get(path, 403) == DENIED


def test_users_are_found_by_what_is_known_of_them(admin, administrator, organization, other_organization):
    ada = make(admin, organization_users={"organization": organization}, first_name="Augusta", last_name="King")
    make(admin, "bob_1", email="bob@example.com", is_active=False, organization_users={"organization": organization})
    make(admin, "root", is_superuser=True, organization_users={"organization": other_organization})

    def found(client, query, status=200):
        answer = client.get(f"{USERS}?{query}", status)
        return {each["username"] for each in answer["results"]} if status == 200 else answer

    assert found(admin, "username=ADA") == {"ada"}
    assert found(admin, "username=b_1") == {"bob_1"}
    assert found(admin, "username=b%25") == set()
    assert found(admin, "email=EXAMPLE.com") == {"bob_1"}
    assert found(admin, "search=king") == found(admin, "search=Augu") == {ada["username"]}
    assert found(admin, f"is_active=false&organization={organization}") == {"bob_1"}
    assert found(admin, f"organization={organization}") == {"ada", "bob_1", "administrator"}
    assert "root" in found(admin, "is_superuser=true")
    assert "root" not in found(admin, "is_superuser=0")
    assert found(administrator, f"search=tRAt&organization={organization}") == {"administrator"}
    for wrong in (other_organization, "x"):
        assert list(found(administrator, f"organization={wrong}", 400)) == ["organization"]


def test_managers_make_users_of_their_organizations_who_may_do_no_more_than_they(
    app, administrator, runtime, organization, other_organization
):
    assert make(administrator, status=400) == {"organization_users": REQUIRED}
    assert list(make(administrator, status=400, organization_users={"organization": other_organization})) == [
        "organization_users"
    ]
    here = {"organization_users": {"organization": organization, "is_admin": True}}
    operator = make(administrator, "operator_2", **here, groups=[group_id(runtime, "Operator")])
    administrator.patch(path_of(operator), {"first_name": "Ida"})
    greedy = {"is_superuser": True, "user_permissions": [1], "groups": [group_id(runtime, "Operator")]}
    with writing(runtime.session_factory) as session:
        # Somebody gave the operators what the administrators do not have.
        operators = session.scalars(sa.select(Group).where(Group.name == "Operator")).one()
        extra = Permission(codename="add_everything", resource="everything", label="Can add everything")
        operators.permissions.append(extra)
    denied = {"groups": ["You cannot give permissions that you do not have."]}
    assert make(administrator, status=400, **greedy | here) == denied
    user = make(administrator, **here, is_superuser=True, groups=[group_id(runtime, "Administrator")])
    assert administrator.patch(path_of(user), greedy, 400) == denied
    administrator.patch(path_of(user), {"is_superuser": True, "user_permissions": [1], "first_name": "Ada"})
    with reading(runtime.session_factory) as session:
        stored = session.get_one(User, id_of(runtime, "ada"))
        assert (stored.is_superuser, stored.permissions, stored.first_name) == (False, [], "Ada")
    Client(app, token_for(app, "ada")).get("device/")
    # Their own account is no way around it.
    own = path_of(str(id_of(runtime, "administrator")))
    assert administrator.patch(own, greedy, 400) == denied
    assert list(administrator.patch(own, {"organization_users": {"organization": other_organization}}, 400)) == [
        "organization_users"
    ]
    assert administrator.post(GROUPS, {"name": "mine"}, 403) == DENIED


def test_managers_take_over_nobody_who_may_do_more_or_elsewhere(
    app, admin, administrator, runtime, organization, other_organization
):
    both = [{"organization": each, "is_admin": True} for each in (organization, other_organization)]
    elsewhere = make(admin, "elsewhere", organization_users=both)
    mighty = make(admin, "mighty", organization_users=both[:1])
    with writing(runtime.session_factory) as session:
        permission = session.scalar(sa.select(Permission.id).where(Permission.codename == "add_organization"))
        session.add(UserPermission(user_id=id_of(runtime, "mighty"), permission_id=permission))
    for user in (elsewhere, mighty):
        [address] = admin.get(f"{path_of(user)}email/")["results"]
        detail = admin.get(path_of(user))
        password = {"new_password": "another horse", "confirm_password": "another horse"}
        for method, path, body in [
            ("PUT", "password/", password),
            ("PATCH", "", {"email": "mine@example.org"}),
            ("PATCH", "", {"is_active": False}),
            ("DELETE", "", None),
            ("PATCH", f"email/{address['id']}/", {"email": "mine@example.org"}),
            ("DELETE", f"email/{address['id']}/", None),
        ]:
            answer = administrator.request(method, path_of(user) + path, body, 403)
            assert "who may do more than you" in answer.json["detail"]
        assert admin.get(path_of(user)) == detail
        # Where else somebody is a member is not told either.
        assert administrator.get(path_of(user))["organization_users"] == both[:1]
        token_for(app, user["username"])


# Passwords


def test_a_new_password_ends_what_the_old_one_opened(app, admin, administrator, organization, runtime):
    user = make(admin, organization_users={"organization": organization})
    client = Client(app, token_for(app, "ada"))
    path = f"{path_of(user)}password/"
    for body, error in [
        ({}, {"new_password": REQUIRED, "confirm_password": REQUIRED}),
        ({"new_password": "a" * 8, "confirm_password": "b" * 8}, "confirm_password"),
        ({"new_password": PASSWORD, "confirm_password": PASSWORD}, "new_password"),
        ({"new_password": "short", "confirm_password": "short"}, "new_password"),
    ]:
        answer = administrator.put(path, body, 400)
        assert answer == error if isinstance(error, dict) else list(answer) == [error]
    changed = administrator.put(path, {"new_password": "battery staple", "confirm_password": "battery staple"})
    assert changed == {"status": "Success", "message": "Password updated successfully"}
    client.get(USERS, 401)
    token_for(app, "ada", status=400)
    token_for(app, "ada", "battery staple")
    # One's own takes the current one.
    own = f"{path_of(str(id_of(runtime, 'administrator')))}password/"
    body = {"new_password": "battery staple", "confirm_password": "battery staple"}
    assert administrator.put(own, body, 400) == {"current_password": REQUIRED}
    assert list(administrator.put(own, body | {"current_password": "guess"}, 400)) == ["current_password"]


def test_everybody_changes_their_own_password_with_the_old_one(app, anonymous, runtime):
    with writing(runtime.session_factory) as session:
        create_user(session, runtime.clock(), username="ada", password=PASSWORD)
    client = Client(app, token_for(app, "ada"))
    path = f"{USERS}password/change/"
    body = {"old_password": PASSWORD, "new_password1": "battery staple", "new_password2": "battery staple"}
    anonymous.post(path, body, 401)
    assert list(client.post(path, body | {"old_password": "wrong"}, 400)) == ["old_password"]
    assert list(client.post(path, body | {"new_password2": "other"}, 400)) == ["new_password2"]
    assert client.post(path, body, 200) == {"detail": "New password has been saved."}
    client.post(path, body, 401)
    token_for(app, "ada", "battery staple")


def test_who_guesses_a_current_password_is_slowed_down(app, runtime, monkeypatch):
    monkeypatch.setattr("guywire.api.user_password.verify_password", lambda password, stored: password == PASSWORD)
    client = Client(app, make_user(runtime, "ada"))
    body = {"old_password": "wrong", "new_password1": "battery staple", "new_password2": "battery staple"}
    for _ in range(10):
        client.post(f"{USERS}password/change/", body, 400)
    client.post(f"{USERS}password/change/", body | {"old_password": PASSWORD}, 429)


# Addresses


def test_a_user_has_addresses_and_logs_in_by_the_primary_one(app, admin, runtime):
    user = make(admin, email_verified=True)
    path = f"{path_of(user)}email/"
    [first] = admin.get(path)["results"]
    assert first == {"id": first["id"], "email": "ada@example.org", "verified": True, "primary": True}
    second = admin.post(path, {"email": "lovelace@example.org", "verified": True})
    assert (second["verified"], second["primary"]) == (False, False)
    taken = {"email": ["A user is already registered with this e-mail address."]}
    for address in ("LOVELACE@example.org", "ada@example.org"):
        assert admin.post(path, {"email": address}, 400) == taken
    make(admin, "eve")
    assert admin.post(path, {"email": "eve@example.org"}, 400) == taken
    assert list(make(admin, "eva", 400, email="lovelace@example.org")) == ["email"]
    assert admin.patch(f"{path}{second['id']}/", {"primary": True})["primary"] is True
    assert admin.get(path_of(user))["email"] == "lovelace@example.org"
    assert not admin.get(f"{path}{first['id']}/")["primary"]
    assert list(admin.patch(f"{path}{second['id']}/", {"primary": False}, 400)) == ["primary"]
    assert list(admin.delete(f"{path}{second['id']}/", 400).json) == ["primary"]
    token_for(app, "lovelace@example.org")
    admin.delete(f"{path}{first['id']}/")
    admin.patch(path_of(user), {"email": "ada@example.org"})
    assert [each["email"] for each in admin.get(path)["results"]] == ["ada@example.org"]
    admin.patch(path_of(user), {"email": None})
    assert admin.get(path)["results"] == []
    assert admin.post(path, {"email": "ada@example.org"})["primary"] is True
    assert admin.get(path_of(user))["email"] == "ada@example.org"
    assert admin.get(f"{USERS}{'0' * 8}-0000-0000-0000-{'0' * 12}/email/", 404) == {"detail": "Not found."}
    with reading(runtime.session_factory) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(EmailAddress)) == 2


# Forgotten passwords

RESET = "/api/v1/users/password/reset/"
CONFIRM = f"{RESET}confirm/"


@pytest.fixture
def mailed(monkeypatch):
    """The mails that were handed in: pairs of address and text."""
    mails = []
    monkeypatch.setattr(
        "guywire.services.password_reset.deliver", lambda settings, to, subject, text: mails.append((to, text))
    )
    return mails


def values_of(text):
    [link] = [line for line in text.splitlines() if "?uid=" in line]
    return dict(parse_qsl(urlsplit(link).query))


def test_a_forgotten_password_is_replaced_by_a_token_from_a_mail_once(app, anonymous, admin, worker, mailed, clock):
    make(admin)
    token = Client(app, token_for(app, "ada"))
    same = {"detail": "Password reset e-mail has been sent."}
    assert anonymous.post(RESET, {"input": "nobody@example.org"}, 200) == same
    assert anonymous.post(RESET, {"input": "ADA@example.org"}, 200) == same
    assert anonymous.post(RESET, {}, 400) == {"input": REQUIRED}
    worker.run_due(0)
    [(to, text)] = mailed
    assert to == "ada@example.org"
    values = values_of(text)
    passwords = {"new_password1": "battery staple", "new_password2": "battery staple"}
    for wrong in (
        {"token": values["token"][:-1]},
        {"token": "x"},
        {"token": "-" + values["token"]},
        {"uid": "x"},
        {"uid": "0" * 32},
    ):
        assert anonymous.post(CONFIRM, values | passwords | wrong, 400) == {"token": ["Invalid value"]}
    assert list(anonymous.post(CONFIRM, values | passwords | {"new_password2": "x"}, 400)) == ["new_password2"]
    answer = anonymous.post(CONFIRM, values | passwords, 200)
    assert answer == {"detail": "Password has been reset with the new password."}
    assert anonymous.post(CONFIRM, values | passwords, 400) == {"token": ["Invalid value"]}
    token.get("device/", 401)
    token_for(app, "ada", "battery staple")


def test_a_token_from_a_mail_serves_for_a_day_and_is_stored_nowhere(anonymous, admin, worker, mailed, clock, runtime):
    make(admin)
    anonymous.post(RESET, {"input": "ada@example.org"}, 200)
    with reading(runtime.session_factory) as session:
        [job] = session.scalars(sa.select(JobRecord)).all()
        assert job.arguments == {"email": "ada@example.org"}
    worker.run_due(0)
    values = values_of(mailed[0][1])
    clock.advance(24 * 3600 + 1)
    body = values | {"new_password1": "battery staple", "new_password2": "battery staple"}
    assert anonymous.post(CONFIRM, body, 400) == {"token": ["Invalid value"]}


def test_nobody_is_flooded_with_mails(anonymous, admin):
    for _ in range(5):
        anonymous.post(RESET, {"input": "ada@example.org"}, 200)
    answer = anonymous.request("POST", RESET, {"input": "Ada@example.org"}, 429)
    assert answer.headers["Retry-After"] == "3600"
    anonymous.post(RESET, {"input": "eve@example.org"}, 200)


def test_a_forgotten_password_is_replaced_in_a_browser(app, admin, worker, mailed):
    make(admin)
    form = app.get("/accounts/login/").click("Password forgotten").forms[0]
    form["input"] = "nobody"
    assert "Enter a valid" not in form.submit(status=200).text  # which addresses there are is not told
    form["input"] = "ada"
    assert "on its way" in form.submit(status=200)
    worker.run_due(0)
    [(_, text)] = mailed
    [link] = [line.removeprefix("http://127.0.0.1:6543") for line in text.splitlines() if "?uid=" in line]
    form = app.get(link).forms[0]
    form["new_password1"], form["new_password2"] = "short", "short"
    page = form.submit(status=400)
    assert "too short" in page
    form = page.forms[0]
    form["new_password1"] = form["new_password2"] = "battery staple"
    assert "Log in with it" in form.submit(status=200)
    assert "ask for another one" in form.submit(status=400)
    token_for(app, "ada", "battery staple")
    app.post("/accounts/password/reset/", {"input": "ada@example.org"}, status=403)
