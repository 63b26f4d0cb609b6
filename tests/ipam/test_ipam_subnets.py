"""Stories of subnets: what overlaps, what is in what, and what goes together."""

from uuid import UUID

from guywire.db import writing
from guywire.models import Vpn
from guywire_ipam.models import VpnSubnet
from guywire_ipam.services.provider import Addresses

SUBNETS = "/api/v1/ipam/subnet/"


def make(client, organization, subnet, status=201, **fields):
    return client.post(SUBNETS, {"name": subnet, "subnet": subnet, "organization": organization, **fields}, status)


def take(client, subnet, address, status=201):
    body = {"ip_address": address, "subnet": subnet["id"]}
    return client.post(f"{SUBNETS}{subnet['id']}/ip-address/", body, status)


def path_of(subnet):
    return f"{SUBNETS}{subnet['id']}/"


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
    assert admin.get(path_of(made)) == made
    assert admin.patch(path_of(made), {"name": "renamed"})["name"] == "renamed"
    changed = admin.put(path_of(made), {"name": "smaller", "subnet": "10.8.0.0/25"})
    assert (changed["subnet"], changed["organization"], changed["description"]) == ("10.8.0.0/25", organization, "d")
    admin.delete(path_of(made))
    assert admin.get(path_of(made), 404) == {"detail": "No Subnet matches the given query."}


def test_the_list_is_in_the_order_of_addresses_of_ipv4_and_then_ipv6(admin, organization, other_organization):
    master = make(admin, organization, "10.0.0.0/8")
    given = ["fd00::/64", "10.10.0.0/16", "9.0.0.0/8", "10.9.0.0/16", "::/8"]
    for subnet in given:
        make(admin, organization, subnet, master_subnet=master["id"] if subnet.startswith("10.") else None)
    make(admin, other_organization, "10.9.0.0/16")
    listed = [each["subnet"] for each in admin.get(SUBNETS, organization=organization)["results"]]
    assert listed == ["9.0.0.0/8", "10.0.0.0/8", "10.9.0.0/16", "10.10.0.0/16", "::/8", "fd00::/64"]
    children = admin.get(SUBNETS, master_subnet=master["id"])["results"]
    assert [each["subnet"] for each in children] == ["10.9.0.0/16", "10.10.0.0/16"]


WRONG = [
    ({"subnet": "10.0.0.0/33"}, {"subnet": ["'10.0.0.0/33' does not appear to be an IPv4 or IPv6 network"]}),
    (
        {"subnet": "fe80::1%eth0/64"},
        {"subnet": ["'fe80::1%eth0/64' does not appear to be an IPv4 or IPv6 network"]},
    ),
    ({"subnet": 7}, {"subnet": ["Not a valid string."]}),
    ({"subnet": None}, {"subnet": ["This field may not be null."]}),
    ({"subnet": " "}, {"subnet": ["This field cannot be blank."]}),
    ({"subnet": "1" * 44}, {"subnet": ["Ensure this field has no more than 43 characters."]}),
    ({"name": "x" * 101}, {"name": ["Ensure this field has no more than 100 characters."]}),
]


def test_bad_fields_are_named(admin, organization):
    right = {"name": "n", "subnet": "10.0.0.0/8", "organization": organization}
    for fields, errors in WRONG:
        assert admin.post(SUBNETS, right | fields, 400) == errors
    assert admin.get(SUBNETS)["count"] == 0


def test_subnets_of_an_organization_overlap_only_with_their_masters(admin, organization, other_organization):
    outer = make(admin, organization, "10.0.0.0/8")
    inner = make(admin, organization, "10.1.0.0/16", master_subnet=outer["id"])
    assert make(admin, organization, "10.1.2.0/24", 400) == {"subnet": ["Subnet overlaps with 10.0.0.0/8."]}
    # Its master's part is not its own part.
    errors = make(admin, organization, "10.1.2.0/24", 400, master_subnet=outer["id"])
    assert errors == {"subnet": ["Subnet overlaps with 10.1.0.0/16."]}
    innermost = make(admin, organization, "10.1.2.0/24", master_subnet=inner["id"])
    assert make(admin, organization, "8.0.0.0/5", 400) == {"subnet": ["Subnet overlaps with 10.0.0.0/8."]}
    assert "must make a unique set" in make(admin, organization, "10.0.0.0/8", 400)["non_field_errors"][0]
    # Other organizations have subnets of their own, but share the shared ones.
    make(admin, other_organization, "10.1.0.0/16")
    taken = {"subnet": ["This subnet is already assigned to another organization."]}
    assert make(admin, None, "10.1.0.0/16", 400) == taken
    unknown = {"subnet": ["Subnet overlaps with a subnet of another organization."]}
    assert make(admin, None, "10.1.0.0/17", 400) == unknown
    shared = make(admin, None, "172.16.0.0/12")
    internal = {"subnet": ["This subnet is already assigned for internal usage in the system."]}
    assert make(admin, organization, "172.16.0.0/12", 400) == internal
    assert make(admin, organization, "172.16.0.0/16", 400) == {"subnet": ["Subnet overlaps with 172.16.0.0/12."]}
    make(admin, organization, "172.16.0.0/16", master_subnet=shared["id"])
    assert make(admin, other_organization, "172.16.1.0/24", 400, master_subnet=shared["id"]) == unknown
    # With all that is in it, the outermost one goes.
    admin.delete(path_of(outer))
    for gone in (inner, innermost):
        admin.get(path_of(gone), 404)


def test_a_subnet_is_a_part_of_its_master(admin, organization, other_organization):
    outer = make(admin, organization, "10.0.0.0/16")
    own = make(admin, other_organization, "10.0.0.0/8")
    assert make(admin, organization, "10.1.0.0/24", 400, master_subnet=outer["id"]) == {
        "master_subnet": ["Invalid master subnet."]
    }
    assert make(admin, organization, "fd00::/64", 400, master_subnet=outer["id"]) == {
        "master_subnet": [
            "IP version mismatch: Subnet fd00::/64 is IPv6, but Master Subnet 10.0.0.0/16 is IPv4.",
        ]
    }
    foreign = make(admin, organization, "10.2.0.0/24", 400, master_subnet=own["id"])
    assert "Please ensure that the organization" in foreign["master_subnet"][0]
    assert admin.patch(path_of(outer), {"master_subnet": outer["id"]}, 400) == {
        "master_subnet": ["Invalid master subnet."]
    }


def test_what_is_in_a_subnet_stays_in_it(admin, organization, other_organization):
    outer = make(admin, organization, "10.0.0.0/16")
    make(admin, organization, "10.0.128.0/24", master_subnet=outer["id"])
    take(admin, outer, "10.0.1.1")
    for subnet, word in (("10.0.128.0/17", "10.0.1.1"), ("10.0.0.0/17", "10.0.128.0/24"), ("fd00::/64", "10.0.128.0")):
        assert word in admin.patch(path_of(outer), {"subnet": subnet}, 400)["subnet"][0]
    assert "organization" in admin.patch(path_of(outer), {"organization": other_organization}, 400)
    assert admin.patch(path_of(outer), {"subnet": "10.0.0.0/15"})["subnet"] == "10.0.0.0/15"


def test_a_subnet_that_gets_a_master_brings_its_addresses_along(admin, organization):
    inner = make(admin, organization, "10.0.0.0/24")
    for last in (1, 2, 3):
        take(admin, inner, f"10.0.0.{last}")
    admin.patch(path_of(inner), {"subnet": "10.0.0.0/25"})
    outer = make(admin, organization, "10.0.0.0/16", 400)
    assert outer == {"subnet": ["Subnet overlaps with 10.0.0.0/25."]}
    shared = make(admin, None, "11.0.0.0/16")
    moved = make(admin, None, "11.0.0.0/24", master_subnet=shared["id"])
    take(admin, moved, "11.0.0.1")
    take(admin, shared, "11.0.0.2")
    next_of = "get-next-available-ip/"
    assert admin.get(f"{path_of(shared)}{next_of}") == admin.get(f"{path_of(moved)}{next_of}") == "11.0.0.3"
    # An address is one address in all of the tree.
    assert take(admin, moved, "11.0.0.2", 400) == {"ip_address": ["IP address already used."]}
    admin.delete(path_of(moved))
    assert admin.get(f"{path_of(shared)}{next_of}") == "11.0.0.1"


def test_the_subnet_and_the_address_of_a_vpn_server_are_not_deleted_unless_somebody_insists(
    admin, organization, runtime, clock
):
    outer = make(admin, organization, "10.0.0.0/16")
    subnet = make(admin, organization, "10.0.0.0/24", master_subnet=outer["id"])
    provider = Addresses()
    with writing(runtime.session_factory) as session:
        vpn = Vpn(name="wg", organization_id=UUID(organization), created=clock(), modified=clock())
        session.add(vpn)
        session.flush()
        session.add(VpnSubnet(vpn_id=vpn.id, subnet_id=UUID(subnet["id"])))
        session.flush()
        server = provider.provision_server(session, vpn.id, "wg", clock())
        assert server == provider.provision_server(session, vpn.id, "wg", clock())
        assert (server.subnet.cidr, server.address.address) == ("10.0.0.0/24", "10.0.0.1")
    address = f"/api/v1/ipam/ip-address/{server.address.id}/"
    for path in (address, path_of(subnet), path_of(outer)):
        assert "wg" in admin.request("DELETE", path, status=409).json["detail"]
    assert admin.get(address)["description"] == "wg"
    admin.delete(f"{address}?force=true")
    with writing(runtime.session_factory) as session:
        assert provider.servers(session, [vpn.id])[vpn.id].address is None
        provider.provision_server(session, vpn.id, "wg", clock())
        provider.release_server(session, vpn.id)
    assert admin.get(f"{path_of(subnet)}ip-address/")["count"] == 0
    admin.delete(f"{path_of(outer)}?force=true")
    with writing(runtime.session_factory) as session:
        assert provider.servers(session, [vpn.id]) == {}


def test_operators_look_at_subnets_and_take_addresses(admin, operator, organization, other_organization):
    own, foreign, shared = (
        make(admin, owner, subnet)
        for owner, subnet in ((organization, "10.0.0.0/24"), (other_organization, "10.1.0.0/24"), (None, "10.2.0.0/24"))
    )
    assert [each["id"] for each in operator.get(SUBNETS)["results"]] == [own["id"], shared["id"]]
    make(operator, organization, "10.9.0.0/24", 403)
    operator.patch(path_of(own), {"name": "x"}, 403)
    address = operator.post(f"{path_of(own)}request-ip/", {"description": "printer"})
    operator.get(path_of(foreign), 404)
    for name in ("ip-address", "hosts", "allocation", "get-next-available-ip"):
        operator.get(f"{path_of(foreign)}{name}/", 404)
        operator.get(f"{path_of(shared)}{name}/")
    operator.post(f"{path_of(foreign)}request-ip/", {"description": ""}, 404)
    operator.post(f"{path_of(shared)}request-ip/", {"description": ""}, 403)
    # Nor does an address leave its organization.
    path = f"/api/v1/ipam/ip-address/{address['id']}/"
    for subnet in (foreign, shared):
        change = {"subnet": subnet["id"], "ip_address": subnet["subnet"].replace(".0/24", ".7")}
        assert "does not exist" in operator.patch(path, change, 400)["subnet"][0]
    assert operator.get(path) == address
