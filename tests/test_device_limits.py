"""Stories of device limits: an organization has as many devices as it may have, whichever way they come."""

from functools import partial
from uuid import UUID

import pytest
from guywire.db import writing
from guywire.models import OrganizationConfigSettings
from guywire.testing.clients import OPENWRT
from test_concurrency import at_once

REACHED = "The maximum amount of allowed devices has been reached for organization org1."


@pytest.fixture
def limit(runtime, organization):
    """Set the limit of the organization."""

    def limit(value):
        with writing(runtime.session_factory) as session:
            session.get_one(OrganizationConfigSettings, UUID(organization)).device_limit = value

    return limit


@pytest.fixture
def make(admin, organization):
    """Make the device with this number."""

    def make(number, status=201, **fields):
        body = {"name": f"ap-{number}", "organization": organization, "mac_address": f"00:00:00:00:00:{number:02x}"}
        return admin.post("device/", body | fields, status)

    return make


def test_an_organization_at_its_limit_gets_no_device_by_any_door(
    app, admin, organization, other_organization, limit, make
):
    first, foreign = make(1), make(2, organization=other_organization)
    form = {"secret": "secret", "name": "ap-4", "mac_address": "00:00:00:00:00:04", "backend": OPENWRT}
    # None: not one more than there are.
    for value in (1, None):
        limit(value)
        assert make(3, 400) == {"__all__": [REACHED]}
        assert app.post("/controller/register/", form, status=400).text == REACHED
        place = f"device/{foreign['id']}/"
        assert admin.patch(place, {"organization": organization}, 400) == {"__all__": [REACHED]}
        assert admin.get(place)["organization"] == other_organization
    assert admin.patch(f"device/{first['id']}/", {"notes": "stays", "organization": organization})["notes"] == "stays"
    # One that is out of service still has its place.
    admin.post(f"device/{first['id']}/deactivate/", status=200)
    limit(1)
    make(3, 400)
    limit(2)
    app.post("/controller/register/", form, status=201)
    app.post("/controller/register/", form | {"key": "x" * 32}, status=400)
    limit(0)
    make(3)
    assert admin.patch(f"device/{foreign['id']}/", {"organization": organization})["organization"] == organization
    assert admin.get("device/", organization=organization)["count"] == 4


def test_two_devices_that_come_at_once_do_not_both_take_the_last_place(admin, limit, make):
    make(1)
    limit(2)
    answers = at_once(*(partial(make, number, "*") for number in (2, 3, 4)))
    assert sorted("id" in answer for answer in answers) == [False, False, True]
    assert [answer for answer in answers if "id" not in answer] == [{"__all__": [REACHED]}] * 2
    assert admin.get("device/")["count"] == 2
