"""Stories of an organization's settings: its shared secret and the rotation of it, variables and limits."""

import hashlib

import pytest
import sqlalchemy as sa
from guywire.db import reading
from guywire.models import OrganizationConfigSettings
from guywire.testing import Client
from guywire.testing.clients import OPENWRT
from guywire.testing.fixtures import make_user

NO_ORGANIZATION = {"detail": "No Organization matches the given query."}


@pytest.fixture
def administrator(app, runtime, organization):
    """A manager of the organization, in the stock group Administrator."""
    return Client(app, make_user(runtime, "administrator", organization, "Administrator"))


def path_of(organization):
    return f"organization/{organization}/settings/"


@pytest.fixture
def register(app):
    """Register a router with a secret. Returns the answer."""

    def send(secret, number=1, status=201, keyed_by=None):
        address = f"00:11:22:33:44:{number:02X}"
        key = hashlib.md5(f"{address}+{keyed_by or secret}".encode(), usedforsecurity=False).hexdigest()
        form = {"secret": secret, "name": address, "mac_address": address, "backend": OPENWRT, "key": key}
        return app.post("/controller/register/", form, status=status).text

    return send


def test_managers_see_and_change_the_settings_of_their_organizations(
    administrator, operator, admin, anonymous, app, runtime, organization, other_organization
):
    settings = {
        "organization": organization,
        "registration_enabled": True,
        "shared_secret": "secret",
        "previous_secret_until": None,
        "context": {},
        "device_limit": 0,
    }
    path = path_of(organization)
    assert operator.get(path) == administrator.get(path) == admin.get(path) == settings
    changed = administrator.patch(path, {"registration_enabled": False, "context": {"city": "Rome"}})
    assert changed == settings | {"registration_enabled": False, "context": {"city": "Rome"}}
    assert administrator.put(path, {"registration_enabled": True, "device_limit": 0}) == changed | {
        "registration_enabled": True
    }
    operator.patch(path, {"context": {}}, 403)
    operator.request("POST", f"{path}rotate-secret/", status=403)
    foreign = path_of(other_organization)
    assert administrator.get(foreign, 404) == NO_ORGANIZATION
    assert administrator.patch(foreign, {"shared_secret": "mine"}, 404) == NO_ORGANIZATION
    administrator.request("POST", f"{foreign}rotate-secret/", status=404)
    assert admin.get(foreign)["shared_secret"] == "other-secret"
    anonymous.get(path, 401)
    Client(app, make_user(runtime, "member")).get(path, 403)
    administrator.request("DELETE", path, status=405)
    for field, value in {
        "shared_secret": "a b",
        "context": [1],
        "device_limit": -1,
        "registration_enabled": "maybe",
    }.items():
        assert list(admin.patch(path, {field: value}, 400)) == [field]
    for secret in ("a.b", "a/b", "a\tb", "x" * 33, "", None, "other-secret"):
        assert list(admin.patch(path, {"shared_secret": secret}, 400)) == ["shared_secret"]
    assert admin.get(path) == changed | {"registration_enabled": True}


def test_variables_of_the_organization_reach_its_devices(administrator, organization, router):
    config = {"files": [{"path": "/etc/city", "mode": "0644", "contents": "{{ city }}"}]}
    device = administrator.make_device(organization, config=config, context={})
    agent = router(device)
    before = agent.poll()
    administrator.patch(path_of(organization), {"context": {"city": "rome"}})
    assert agent.poll() != before


def test_the_secret_of_before_registers_for_a_week(administrator, organization, register, clock):
    path = path_of(organization)
    register("secret")
    rotated = administrator.post(f"{path}rotate-secret/", status=200)
    secret = rotated["shared_secret"]
    assert (len(secret), rotated["previous_secret_until"]) == (32, "2026-01-08T12:00:00Z")
    # A router that knows the old secret keeps the key that it made of it.
    assert "is-new: 0" in register("secret")
    assert "is-new: 1" in register("secret", 2)
    assert "is-new: 1" in register(secret, 3)
    clock.advance(7 * 24 * 3600)
    register("secret", 4, 403)
    assert "is-new: 0" in register(secret, 2, keyed_by="secret")


def test_a_secret_may_be_rotated_again_and_back_and_belongs_to_one_organization(
    administrator, admin, organization, other_organization, register, runtime, clock
):
    path, other = path_of(organization), path_of(other_organization)
    administrator.patch(path, {"shared_secret": "second"})
    taken = {"shared_secret": ["Organization config settings with this Shared secret already exists."]}
    # Its routers would turn up in the other organization.
    for secret in ("secret", "second"):
        assert admin.patch(other, {"shared_secret": secret}, 400) == taken
    administrator.patch(path, {"shared_secret": "secret"})
    register("second")
    administrator.patch(path, {"shared_secret": "third"})
    register("second", 2, 403)
    register("secret", 2)
    before = administrator.get(path)
    assert administrator.patch(path, {"shared_secret": "third"}) == before
    clock.advance(7 * 24 * 3600)
    admin.patch(other, {"shared_secret": "secret"})
    admin.patch(other, {"shared_secret": "fourth"})
    register("secret", 3)
    with reading(runtime.session_factory) as session:
        rows = session.execute(
            sa.select(OrganizationConfigSettings.organization_id, OrganizationConfigSettings.previous_secret_hash)
        )
        assert {str(owner): previous is None for owner, previous in rows} == {
            organization: True,
            other_organization: False,
        }


def test_a_limit_is_not_lower_than_what_is_there_nor_lifted_by_the_limited(administrator, admin, organization):
    path = path_of(organization)
    for number in (1, 2):
        admin.make_device(organization, f"router{number}", f"00:11:22:33:44:0{number}")
    [message] = admin.patch(path, {"device_limit": 1}, 400)["device_limit"]
    assert message.startswith("The specified limit is lower than the amount of devices currently held")
    assert admin.patch(path, {"device_limit": 2})["device_limit"] == 2
    error = {"device_limit": ["Only superusers may change the limit."]}
    assert administrator.patch(path, {"device_limit": 3}, 400) == error
    administrator.put(path, administrator.get(path))
    admin.patch(path, {"device_limit": None})
    assert admin.patch(path, {"device_limit": 0})["device_limit"] == 0
