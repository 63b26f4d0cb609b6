"""Devices that need no network."""

import pytest
from documented import Documented
from guywire.testing import Client
from ssh_fleet import Fleet


@pytest.fixture
def fleet():
    """The devices, as a plugin with a connector to them."""
    return Fleet()


@pytest.fixture
def documented(app, admin, operator):
    """The operator, as one who compares every answer with the OpenAPI document."""
    return Client(Documented(app.app, admin.get("/api/v1/docs.json")), operator.token)


@pytest.fixture
def plugins(fleet):
    return [("fleet", fleet)]
