"""Stories of subnets: what overlaps, what is in what, who may do what with them."""

import pytest

SUBNETS = "/api/v1/ipam/subnet/"
ADDRESSES = "/api/v1/ipam/ip-address/"


def make(client, organization, subnet, status=201, **fields):
    body = {"name": subnet, "subnet": subnet, "organization": organization, **fields}
    return client.post(SUBNETS, body, status)


def test_a_subnet_has_the_references_fields_in_its_order(admin, organization):
    made = make(admin, organization, "10.8.0.9/24", description="d")
    assert list(made) == [
        "id",
        "created",
        "modified",
        "name",
        "subnet",
        "description",
        "organization",
        "master_subnet",
    ]
    # Host bits are dropped.
    assert made["subnet"] == "10.8.0.0/24"
    path = f"{SUBNETS}{made['id']}/"
    assert admin.get(path) == made
    changed = admin.patch(path, {"name": "renamed"})
    assert changed["name"] == "renamed"
    changed = admin.put(path, {"name": "smaller", "subnet": "10.8.0.0/25"})
    assert (changed["subnet"], changed["organization"], changed["description"]) == ("10.8.0.0/25", organization, "d")
    admin.delete(path)
    assert admin.get(path, 404) == {"detail": "No Subnet matches the given query."}
