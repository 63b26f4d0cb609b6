"""Stories of documents of accounts: what is wrong with one is said with its place, and nothing is kept of it."""

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import Organization, OrganizationConfigSettings, User
from guywire.services.bootstrap import BootstrapInvalid, load_document, read_document

SECRET = "SharedSecret"
TOKEN = "1111bbbbccccddddeeeeffff0000111122223333"
ID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def load(runtime):
    """Load a document in a transaction of its own. Returns what was done."""

    def load(**document):
        with writing(runtime.session_factory) as session:
            return load_document(session, runtime.key_ring, document, runtime.clock())

    return load


@pytest.fixture
def loaded(load):
    """An organization and a user, who have everything."""
    load(
        organizations={"org1": {"id": ID, "shared_secret": SECRET}},
        users={"ada": {"id": ID, "email": "ada@example.org", "token": TOKEN}},
    )


def test_what_belongs_to_another_is_refused(load, loaded, runtime):
    for document, message in (
        ({"organizations": {"b": {"shared_secret": SECRET}}}, "organizations.b.shared_secret: another organization"),
        ({"organizations": {"b": {"id": ID}}}, "organizations.b.id: another organization has it"),
        (
            {"organizations": {"b": {"shared_secret": "x"}, "c": {"shared_secret": "x"}}},
            "organizations.c.shared_secret",
        ),
        ({"users": {"eve": {"email": "ADA@example.org"}}}, "users.eve.email: another user has it"),
        ({"users": {"eve": {"token": TOKEN}}}, "users.eve.token: another user has it"),
        ({"users": {"eve": {"id": ID}}}, "users.eve.id: another user has it"),
        ({"users": {"eve": {"token": "a"}, "eva": {"token": "a"}}}, "users.eva.token: another user has it"),
    ):
        with pytest.raises(BootstrapInvalid, match=message):
            load(**document)
        with reading(runtime.session_factory) as session:
            assert [organization.slug for organization in session.scalars(sa.select(Organization))] == ["org1"]
            assert [user.username for user in session.scalars(sa.select(User))] == ["ada"]


def test_what_belongs_to_oneself_already_is_no_change(load, loaded, runtime):
    again = {
        "organizations": {"org1": {"id": ID, "shared_secret": SECRET}},
        "users": {"ada": {"id": ID, "email": "ada@example.org", "token": TOKEN}},
    }
    assert load(**again) == []
    assert load(organizations={"org1": {"shared_secret": "new"}}) == ["organization org1: changed"]
    assert load(organizations={"org2": {"shared_secret": SECRET}}) == ["organization org2: created"]
    with reading(runtime.session_factory) as session:
        assert session.scalars(sa.select(OrganizationConfigSettings.previous_secret_hash)).all() == [None, None]


def test_an_empty_address_is_none(load, loaded, admin):
    users = "/api/v1/users/user/"
    assert load(users={"ada": {"email": ""}}) == ["user ada: changed"]
    assert load(users={"ada": {"email": None}, "eve": {"email": ""}, "eva": {"email": ""}})[0] == "user eve: created"
    assert {each["email"] for each in admin.get(users)["results"]} == {None}
    load(users={"ada": {"email": "ada@example.org"}})
    assert admin.get(f"{users}{ID}/email/")["results"][0]["primary"] is True


def test_a_value_of_another_kind_is_refused_with_its_place(runtime):
    for section, field, value in (
        ("organizations", "id", 5),
        ("organizations", "name", 5),
        ("organizations", "name", "x" * 201),
        ("organizations", "is_active", "yes"),
        ("organizations", "context", ["a"]),
        ("organizations", "context", {"a": object()}),
        ("organizations", "shared_secret", 12345678),
        ("users", "password", 12345678),
        ("users", "email", 5),
        ("users", "username", ""),
        ("users", "is_superuser", 1),
        ("users", "groups", "Operator"),
        ("users", "manager_of", {"a": "b"}),
        ("users", "token", "x" * 129),
        ("users", "surprise", 1),
    ):
        with pytest.raises(BootstrapInvalid, match=rf"{section}.a\b.*{field}"):
            load_document(None, runtime.key_ring, {section: {"a": {field: value}}}, runtime.clock())


def test_a_file_that_is_no_document_is_refused(tmp_path):
    for text in ("[1]", "a: [", "a: 1: 2"):
        path = tmp_path / "document.yaml"
        path.write_text(text)
        with pytest.raises(BootstrapInvalid, match=r"document\.yaml"):
            read_document(path)
