"""Devices that need no network."""

import pytest
from ssh_fleet import Fleet


@pytest.fixture
def fleet():
    """The devices, as a plugin with a connector to them."""
    return Fleet()


@pytest.fixture
def plugins(fleet):
    return [("fleet", fleet)]
