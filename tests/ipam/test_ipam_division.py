"""Stories of division rules: each device gets subnets of its own, and its configuration knows them."""

import io
import tarfile
from dataclasses import replace
from importlib.metadata import entry_points
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from guywire.app import create_app
from guywire.db import reading, writing
from guywire.models import Config, Vpn, VpnClient
from guywire.testing import Client
from guywire_ipam.models import IpAddress, VpnSubnet
from guywire_ipam.services.provider import Addresses
from webtest import TestApp

SUBNETS = "/api/v1/ipam/subnet/"
RULES = "/api/v1/ipam/subnet-division-rule/"
SHOWS = {"files": [{"path": "/vars", "mode": "0644", "contents": "{{OW_subnet1}} {{OW_subnet2_ip2}} {{OW_prefixlen}}"}]}


@pytest.fixture
def master(admin, organization):
    """The subnet that rules divide."""
    return admin.post(SUBNETS, {"name": "master", "subnet": "10.200.0.0/16", "organization": organization})


@pytest.fixture
def make_rule(admin, organization, master):
    """A function that makes a rule."""

    def make(status=201, **fields):
        body = {
            "type": "device",
            "organization": organization,
            "master_subnet": master["id"],
            "label": "OW",
            "number_of_subnets": 2,
            "size": 28,
            "number_of_ips": 2,
        }
        return admin.post(RULES, body | fields, status)

    return make


def subnets(admin, master):
    query = {"master_subnet": master["id"], "page_size": 100}
    return [(each["name"], each["subnet"]) for each in admin.get(SUBNETS, **query)["results"]]


def shown(router, device):
    """The file that a device's configuration writes the variables to."""
    agent = router(device)
    agent.poll()
    with tarfile.open(fileobj=io.BytesIO(agent.download())) as archive:
        return archive.extractfile("vars").read().decode().strip()


def test_a_device_gets_subnets_and_variables_with_its_configuration(admin, organization, master, make_rule, router):
    rule = make_rule()
    assert list(rule)[:3] == ["id", "type", "organization"]
    device = admin.make_device(organization, config=SHOWS)
    assert subnets(admin, master) == [
        ("Reserved Subnet 10.200.0.0/28", "10.200.0.0/28"),
        ("OW_subnet1", "10.200.0.16/28"),
        ("OW_subnet2", "10.200.0.32/28"),
    ]
    # In the very first archive that there is.
    assert shown(router, device) == "10.200.0.16/28 10.200.0.34 28"
    [first] = [each for each in admin.get(SUBNETS)["results"] if each["name"] == "OW_subnet1"]
    assert first["description"] == "Automatically generated using OW rule."
    path = f"{SUBNETS}{first['id']}/"
    assert [each["ip_address"] for each in admin.get(f"{path}ip-address/")["results"]] == ["10.200.0.17", "10.200.0.18"]
    # The place of a subnet is the rule's business.
    assert admin.patch(path, {"name": "mine"})["name"] == "mine"
    admin.patch(path, {"subnet": "10.200.9.0/28"}, 400)
    # A device without configuration needs none; one that goes leaves nothing behind, and its place to others.
    admin.post("device/", {"name": "bare", "organization": organization, "mac_address": "00:00:00:00:00:01"})
    second = admin.make_device(organization, "second", "00:00:00:00:00:02", config=SHOWS)
    assert shown(router, second) == "10.200.0.48/28 10.200.0.66 28"
    admin.delete(f"device/{device['id']}/?force=true")
    assert [name for name, _ in subnets(admin, master)][1:] == ["OW_subnet1", "OW_subnet2"]


def test_a_rule_gives_the_devices_that_there_are_theirs_in_the_background(
    admin, organization, other_organization, master, make_rule, worker, router
):
    device = admin.make_device(organization, config=SHOWS)
    admin.make_device(other_organization, "other", "00:00:00:00:00:02")
    assert "10.200" not in shown(router, device)
    rule = make_rule()
    worker.run_due(0.0)
    assert shown(router, device) == "10.200.0.16/28 10.200.0.34 28"
    assert len(subnets(admin, master)) == 3
    path = f"{RULES}{rule['id']}/"
    for change, key in (
        ({"size": 27}, "size"),
        ({"number_of_subnets": 3}, "number_of_subnets"),
        ({"number_of_ips": 1}, "number_of_ips"),
        ({"type": "vpn"}, "type"),
    ):
        assert key in admin.patch(path, change, 400)
    admin.patch(path, {"number_of_ips": 3, "label": "a_b"})
    worker.run_due(1.0)
    text = "{{a_b_subnet1_ip3}} {{a_b_subnet2}} {{a_b_prefixlen}}"
    change = {"config": {"config": {"files": [{"path": "/vars", "mode": "0644", "contents": text}]}}}
    admin.patch(f"device/{device['id']}/", change)
    assert shown(router, device) == "10.200.0.19 10.200.0.32/28 28"
    assert [name for name, _ in subnets(admin, master)][1:] == ["a_b_subnet1", "a_b_subnet2"]
    admin.delete(path)
    assert [name for name, _ in subnets(admin, master)] == ["Reserved Subnet 10.200.0.0/28"]
    assert "10.200" not in shown(router, device)


def test_a_rule_must_fit_its_subnet(make_rule, admin, organization, other_organization, operator):
    assert "cannot accommodate subnets of size /12" in make_rule(400, size=12)["size"][0]
    assert "too small" in make_rule(400, size=18, number_of_subnets=3)["number_of_subnets"][0]
    assert "/30 cannot accommodate 9" in make_rule(400, size=30, number_of_ips=9)["number_of_ips"][0]
    assert "at most 4096" in make_rule(400, size=24, number_of_subnets=100, number_of_ips=200)["number_of_ips"][0]
    assert make_rule(400, label="a-b") == {"label": ["Only alphanumeric characters and underscores are allowed."]}
    assert make_rule(400, organization=other_organization) == {
        "organization": ["Organization should be same as the subnet"]
    }
    assert "not a valid choice" in make_rule(400, type="x")["type"][0]
    rule = make_rule(size=18)
    assert "unique set" in make_rule(400)["non_field_errors"][0]
    assert operator.get(RULES)["count"] == 1
    operator.delete(f"{RULES}{rule['id']}/", 403)
    operator.post(RULES, {}, 403)


def test_a_full_subnet_gives_what_it_has_and_what_was_freed_is_used_again(
    admin, organization, make_rule, router, caplog, worker
):
    small = admin.post(SUBNETS, {"name": "small", "subnet": "10.1.0.0/28", "organization": organization})
    make_rule(master_subnet=small["id"], size=30, number_of_subnets=2, number_of_ips=4)
    first = admin.make_device(organization, "first", "00:00:00:00:00:01", config=SHOWS)
    second = admin.make_device(organization, "second", "00:00:00:00:00:02", config=SHOWS)
    # All four addresses of a block are wanted, so its first one is one of them.
    assert shown(router, first) == "10.1.0.4/30 10.1.0.9 30"
    assert shown(router, second).startswith("10.1.0.12/30 ")
    assert "subnet is full" in caplog.text
    admin.delete(f"device/{first['id']}/?force=true")
    worker.run_due(0.0)
    assert shown(router, second) == "10.1.0.12/30 10.1.0.5 30"
    third = admin.make_device(organization, "third", "00:00:00:00:00:03", config=SHOWS)
    assert shown(router, third).startswith("10.1.0.8/30 ")
    assert sorted(subnet for _, subnet in subnets(admin, small)) == [
        "10.1.0.0/30",
        "10.1.0.12/30",
        "10.1.0.4/30",
        "10.1.0.8/30",
    ]
    admin.patch(f"{SUBNETS}{small['id']}/", {"subnet": "10.1.0.0/27"})
    worker.run_due(1.0)
    assert shown(router, third) == "10.1.0.8/30 10.1.0.17 30"


def test_blocks_with_addresses_are_passed_over(admin, organization, make_rule, master, router):
    path = f"{SUBNETS}{master['id']}/"
    for _ in range(3):
        admin.post(f"{path}request-ip/", {"description": ""})
    lines = "".join(f"10.200.0.{last},\n" for last in [*range(16, 60), 100])
    file = f"master\n10.200.0.0/16\norg1\n\nip_address,description\n{lines}"
    headers = {"Authorization": f"Bearer {admin.token}"}
    files = [("csvfile", "s.csv", file.encode())]
    admin.app.post("/api/v1/ipam/import-subnet/", upload_files=files, headers=headers)
    make_rule()
    device = admin.make_device(organization, config=SHOWS)
    # 16 to 63 and 96 to 111 are in use; the first block is set aside, whatever is in it.
    assert shown(router, device) == "10.200.0.64/28 10.200.0.82 28"
    second = admin.make_device(organization, "second", "00:00:00:00:00:02", config=SHOWS)
    assert shown(router, second) == "10.200.0.112/28 10.200.0.130 28"


def test_a_device_that_moves_gets_what_the_rules_of_its_new_organization_promise(
    admin, organization, other_organization, make_rule, router
):
    make_rule()
    own = admin.post(SUBNETS, {"name": "own", "subnet": "10.9.0.0/16", "organization": other_organization})
    make_rule(organization=other_organization, master_subnet=own["id"], size=24)
    device = admin.make_device(organization, config=SHOWS)
    admin.patch(f"device/{device['id']}/", {"organization": other_organization})
    assert shown(router, device) == "10.9.1.0/24 10.9.2.2 24"
    assert [name for name, _ in subnets(admin, own)][1:] == ["OW_subnet1", "OW_subnet2"]
    listed = admin.get(SUBNETS, organization=organization)["results"]
    assert [each["name"] for each in listed] == ["master", "Reserved Subnet 10.200.0.0/28"]


def test_a_vpn_client_gets_the_first_address_of_its_own_subnets(
    admin, organization, other_organization, make_rule, master, runtime, clock, router
):
    make_rule(type="vpn")
    device = admin.make_device(organization, config=SHOWS)
    stranger = admin.make_device(other_organization, "other", "00:00:00:00:00:02")
    assert subnets(admin, master) == []
    provider, subnet_id = Addresses(), UUID(master["id"])
    vpn = Vpn(id=uuid4(), name="x", host="x", key="x", backend="x", config={}, created=clock(), modified=clock())
    with writing(runtime.session_factory) as session:
        by_device = {str(config.device_id): config.id for config in session.scalars(sa.select(Config))}
        own, other = (
            VpnClient(id=uuid4(), config_id=by_device[each["id"]], vpn_id=vpn.id) for each in (device, stranger)
        )
        session.add_all([vpn, own, other, VpnSubnet(vpn_id=vpn.id, subnet_id=subnet_id)])
        session.flush()
        clients = {each.id: each.config_id for each in (own, other)}
        taken = provider.allocate_for_clients(session, vpn.id, clients, clock())
        assert provider.allocate_for_clients(session, vpn.id, clients, clock()) == taken
        server = provider.reserve(session, subnet_id, "10.200.0.9", "server", clock())
        assert provider.of_clients(session, [own.id, other.id, vpn.id]) == taken
    assert {client_id: facts.address for client_id, facts in taken.items()} == {
        own.id: "10.200.0.17",
        other.id: "10.200.0.1",
    }
    assert shown(router, device) == "10.200.0.16/28 10.200.0.34 28"
    with writing(runtime.session_factory) as session:
        provider.release_clients(session, [own.id, other.id])
        assert provider.addresses(session, [server.id, taken[own.id].id]) == {server.id: server}
    assert [name for name, _ in subnets(admin, master)] == ["Reserved Subnet 10.200.0.0/28"]
    assert "10.200" not in shown(router, device)
    with reading(runtime.session_factory) as session:
        assert list(session.scalars(sa.select(IpAddress.ip_address))) == ["10.200.0.9"]


def test_two_rules_do_not_get_in_each_others_way(admin, organization, make_rule, clock, router):
    make_rule()
    clock.advance(1)
    make_rule(label="LAN", size=24, number_of_subnets=1, number_of_ips=1)
    text = "{{OW_subnet2}} {{OW_prefixlen}} {{LAN_subnet1_ip1}} {{LAN_prefixlen}}"
    files = {"files": [{"path": "/vars", "mode": "0644", "contents": text}]}
    device = admin.make_device(organization, config=files)
    assert shown(router, device) == "10.200.0.32/28 28 10.200.1.1 24"
    # What an operator deletes is missed by the configuration, which hears of it.
    [lan] = [each for each in admin.get(SUBNETS)["results"] if each["name"] == "LAN_subnet1"]
    [address] = admin.get(f"{SUBNETS}{lan['id']}/ip-address/")["results"]
    admin.delete(f"/api/v1/ipam/ip-address/{address['id']}/")
    assert "10.200.1.1" not in shown(router, device)


def test_without_the_plugin_everything_else_goes_on(admin, organization, make_rule, settings, clock, router):
    make_rule()
    device = admin.make_device(organization, config=SHOWS)
    # With it goes who cannot do without addresses.
    blocked = frozenset({"ipam"} | {"vpn_wireguard"} & {each.name for each in entry_points(group="guywire")})
    application = create_app(replace(settings, plugins_blocked=blocked), clock=clock)
    client = Client(TestApp(application), admin.token)
    for path in (SUBNETS, RULES, "/api/v1/ipam/import-subnet/"):
        client.get(path, 404)
    assert client.get(f"device/{device['id']}/")["name"] == device["name"]
    client.patch(f"device/{device['id']}/", {"name": "renamed"})
    client.make_device(organization, "second", "00:00:00:00:00:02")
    client.delete(f"device/{device['id']}/?force=true")
    application.registry.poll_reader.close()
    application.registry.runtime.close()
