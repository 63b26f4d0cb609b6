"""Stories of API keys: named tokens of one's own that can end and be revoked, and are shown once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from guywire.db import reading, writing
from guywire.models import APIKey
from guywire.testing import Client
from guywire.testing.fixtures import make_user

KEYS = "/api/v1/users/apikey/"


@pytest.fixture
def make_key(app):
    """Make a key of a user. Returns a client that uses it, and what the answer said."""

    def make(client, name="backup", **fields):
        made = client.post(KEYS, {"name": name} | fields)
        return Client(app, made["key"]), made

    return make


def test_a_key_is_shown_once_and_opens_what_its_user_may(operator, make_key, runtime, organization, clock):
    client, made = make_key(operator)
    assert list(made) == ["id", "name", "created", "expires", "last_used", "key"]
    assert made["key"].startswith("gw_")
    shown = {name: value for name, value in made.items() if name != "key"}
    assert operator.get(KEYS)["results"] == [shown]
    assert operator.get(f"{KEYS}{made['id']}/") == shown
    with reading(runtime.session_factory) as session:
        row = session.scalars(sa.select(APIKey)).one()
        assert made["key"] not in str(vars(row))
    client.make_device(organization)
    client.get("/api/v1/users/user/", 403)


def test_keys_are_ones_own(operator, admin, app, runtime, make_key, anonymous):
    client, made = make_key(operator)
    assert operator.post(KEYS, {"name": "backup"}, 400) == {"name": ["You have another key with this name."]}
    make_key(admin)
    assert [each["name"] for each in admin.get(KEYS)["results"]] == ["backup"]
    assert admin.get(f"{KEYS}{made['id']}/", 404) == {"detail": "No APIKey matches the given query."}
    admin.delete(f"{KEYS}{made['id']}/", 404)
    # Also of those who may do nothing else.
    nobody = Client(app, make_user(runtime, "nobody"))
    make_key(nobody)[0].get(KEYS)
    anonymous.get(KEYS, 401)
    anonymous.post(KEYS, {"name": "x"}, 401)
    # Who steals a key that ends shall not make one that does not.
    assert "cannot make others" in client.post(KEYS, {"name": "more"}, 403)["detail"]


def test_a_revoked_key_opens_nothing_any_more(operator, make_key):
    client, made = make_key(operator)
    other, _ = make_key(operator, "monitoring")
    client.delete(f"{KEYS}{made['id']}/")
    assert client.get("device/", 401) == {"detail": "Invalid token."}
    other.get("device/")


def test_a_key_ends_when_it_was_meant_to(operator, make_key, clock):
    end = (clock() + timedelta(hours=1)).isoformat()
    client, made = make_key(operator, expires=end)
    assert made["expires"] == "2026-01-01T13:00:00Z"
    client.get("device/")
    clock.advance(3600)
    assert client.get("device/", 401) == {"detail": "The API key has expired."}
    error = {"expires": ["Expiration date cannot be in the past."]}
    assert operator.post(KEYS, {"name": "x", "expires": end}, 400) == error
    assert list(operator.post(KEYS, {"name": "", "expires": "soon"}, 400)) == ["name", "expires"]


def test_the_last_use_is_written_once_a_minute(operator, make_key, runtime, clock):
    client, made = make_key(operator)

    def last_used():
        return operator.get(f"{KEYS}{made['id']}/")["last_used"]

    assert last_used() is None
    client.get("device/")
    assert last_used() == "2026-01-01T12:00:00Z"
    clock.advance(59)
    client.get("device/")
    assert last_used() == "2026-01-01T12:00:00Z"
    clock.advance(1)
    client.get("device/")
    assert last_used() == "2026-01-01T12:01:00Z"


def test_a_key_serves_while_its_use_cannot_be_written(operator, make_key, monkeypatch, caplog):
    client, _ = make_key(operator)

    def busy(factory):
        raise sa.exc.TimeoutError

    monkeypatch.setattr("guywire.services.api_keys.writing", busy)
    client.get("device/")
    assert "cannot be written now" in caplog.text


def test_a_user_has_not_more_than_a_hundred_keys(operator, runtime, clock):
    operator.post(KEYS, {"name": "first"})
    with writing(runtime.session_factory) as session:
        first = session.scalars(sa.select(APIKey)).one()
        for number in range(99):
            session.add(APIKey(user_id=first.user_id, name=str(number), key_hash=str(number), created=clock()))
    assert list(operator.post(KEYS, {"name": "one more"}, 400)) == ["name"]
