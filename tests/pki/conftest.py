"""What the tests of CAs and certificates have in common."""

import pytest
from guywire.testing import Client
from guywire.testing.fixtures import make_user


@pytest.fixture
def administrator(app, runtime, organization):
    """A manager of the organization, in the stock group Administrator."""
    return Client(app, make_user(runtime, "administrator", organization, "Administrator"))


@pytest.fixture
def ca(admin, organization):
    """A CA of the organization."""
    return admin.post("ca/", {"name": "ca", "common_name": "ca", "organization": organization, "key_length": "256"})


@pytest.fixture
def issue(admin, organization, ca):
    """A function that issues a certificate of the CA."""

    def issue(name="client", **fields):
        body = {"name": name, "common_name": name, "organization": organization, "ca": ca["id"], "key_length": "256"}
        return admin.post("cert/", body | fields)

    return issue
