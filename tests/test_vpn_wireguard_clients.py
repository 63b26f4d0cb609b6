"""What holds of the clients of WireGuard servers whatever happens, and at the same time."""

import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from guywire.builtin import BUILTIN
from guywire.db import writing
from guywire.plugin import PluginError, load_plugins
from guywire.registry import Registry
from guywire_vpn_wireguard import peers
from guywire_vpn_wireguard.models import WireguardClient
from wireguard_story import SUBNETS, VXLAN, Story

STEPS = 40


@pytest.fixture
def story(admin, organization, router):
    return Story(admin, organization, router)


def tunnels_of(story, server):
    """What a server's files say of its clients, in order: the addresses of peers, and the tunnels."""
    found = story.files_of(server)
    allowed = re.findall(r"AllowedIPs = (.*)/32", found["wg0.conf"])
    return allowed, json.loads(found["vxlan.json"])


def check(story, runtime, subnet, servers, clients):
    """Nobody has what somebody else has, and nothing is left of those who are gone. ``clients`` are how many each
    server should have."""
    addresses = []
    for server, count in zip(servers, clients, strict=True):
        allowed, tunnels = tunnels_of(story, server)
        assert len(allowed) == count
        assert allowed == [tunnel["remote"] for tunnel in tunnels]
        assert len({tunnel["vni"] for tunnel in tunnels}) == count
        addresses += allowed
    own = [f"10.8.0.{number}" for number in range(1, len(servers) + 1)]
    assert sorted(story.addresses(subnet)) == sorted(own + addresses)
    with runtime.engine.connect() as connection:
        tables = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {name}")
            for name in ("vpn_client", "vpn_wireguard_client")
        ]
        assert [each.scalar() for each in tables] == [sum(clients)] * 2


@pytest.mark.parametrize("seed", range(2))
def test_whatever_devices_do_addresses_and_numbers_are_theirs_alone(story, runtime, worker, seed):
    chance = random.Random(seed)
    subnet = story.subnet("10.8.0.0/28")
    servers = [story.server(subnet=subnet, backend=VXLAN, name=name) for name in ("a", "b")]
    templates = [story.template(server, server["name"]) for server in servers]
    devices = {}  # by number: the device and which of the templates it has
    for step in range(STEPS):
        what = chance.choice(["add", "assign", "assign", "delete", "worker"])
        chosen = chance.sample([0, 1], chance.randrange(3))
        if what == "add" and len(devices) < 5:
            devices[step] = story.device(step, *[templates[each] for each in chosen]), chosen
        elif what == "worker":
            worker.run_due(5)
        elif devices:
            number = chance.choice(list(devices))
            device, _ = devices.pop(number)
            if what == "delete":
                story.client.post(f"device/{device['id']}/deactivate/", status=200)
                story.client.delete(f"device/{device['id']}/?force=true")
            else:
                story.assign(device, *[templates[each] for each in chosen])
                devices[number] = device, chosen
        if step % 4 == 3:
            counts = [sum(each in chosen for _, chosen in devices.values()) for each in (0, 1)]
            check(story, runtime, subnet, servers, counts)


def test_clients_that_come_at_the_same_time_get_different_addresses_and_numbers(story, runtime):
    subnet = story.subnet()
    server = story.server(subnet=subnet, backend=VXLAN)
    template = story.template(server)
    devices = [story.device(number) for number in range(8)]
    start = threading.Barrier(4)

    def assign(mine):
        start.wait(30)
        for device in mine:
            story.assign(device, template)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(assign, devices[number::4]) for number in range(4)]:
            done.result()
    check(story, runtime, subnet, [server], [8])


def test_numbers_go_on_from_the_highest_and_then_fill_the_gaps(story, runtime):
    server = story.server(subnet=story.subnet(), backend=VXLAN)
    template = story.template(server)
    for number in range(3):
        story.device(number, template)
    with writing(runtime.session_factory) as session:
        [first, _, third] = session.scalars(sa.select(WireguardClient).order_by(WireguardClient.vni)).all()
        assert peers.free_numbers(session, first.vpn_id, 2) == [4, 5]
        third.vni = peers.LARGEST_VNI - 1
        session.flush()
        assert peers.free_numbers(session, first.vpn_id, 1) == [peers.LARGEST_VNI]
        assert peers.free_numbers(session, first.vpn_id, 2) == [3, 4]


def test_a_full_subnet_leaves_out_only_those_who_find_no_place(story):
    server = story.server(subnet=story.subnet("10.8.0.0/30"))
    template = story.template(server)
    served = story.device(1, template)
    error = story.client.post(
        "device/",
        {
            "name": "r2",
            "organization": story.organization,
            "mac_address": "00:11:22:33:44:02",
            "config": {"backend": "netjsonconfig.OpenWrt", "config": {}, "context": {}, "templates": [template["id"]]},
        },
        status=400,
    )
    assert "10.8.0.0/30" in json.dumps(error)
    assert "list addresses '10.8.0.2/32'" in story.network_of(served)


def test_who_found_no_place_gets_one_as_soon_as_there_is_room(story, worker):
    subnet = story.subnet("10.8.0.0/30")
    server = story.server(subnet=subnet)
    taken = story.client.post(f"{SUBNETS}{subnet}/request-ip/", {"description": "printer"})
    waiting = story.device(1)
    story.template(server, default=True, required=True)
    worker.run_due(0.0)
    assert "10.8.0.0/30" in story.client.get(f"device/{waiting['id']}/state/")["rendering_error"]["message"]
    story.client.delete(f"/api/v1/ipam/ip-address/{taken['id']}/")
    assert "list addresses '10.8.0.2/32'" in story.network_of(waiting)


def test_where_a_rule_divides_the_subnet_a_device_keeps_its_block_as_long_as_a_server_needs_it(story):
    subnet = story.subnet("10.200.0.0/16")
    rule = {"type": "vpn", "organization": story.organization, "master_subnet": subnet, "label": "OW", "size": 28}
    story.client.post("/api/v1/ipam/subnet-division-rule/", rule | {"number_of_subnets": 1, "number_of_ips": 2})
    interfaces = ("wg0", "wg1")
    servers = [
        story.server(subnet=subnet, name=name, config={"wireguard": [{"name": name, "port": 51820}]})
        for name in interfaces
    ]
    templates = [story.template(server, server["name"]) for server in servers]
    device = story.device(1, *templates)
    address = "10.200.0.17"
    assert f"list addresses '{address}/32'" in story.network_of(device)
    for server, template in zip(servers, reversed(templates), strict=True):
        assert f"AllowedIPs = {address}/32" in story.files_of(server)[f"{server['name']}.conf"]
        story.assign(device, template)
        assert f"list addresses '{address}/32'" in story.network_of(device)
        story.assign(device, *templates)
    story.assign(device)
    assert [each["subnet"] for each in story.client.get("/api/v1/ipam/subnet/")["results"]] == [
        "10.200.0.0/16",
        "10.200.0.0/28",
    ]


def test_without_the_plugin_for_addresses_the_start_says_what_to_do():
    with pytest.raises(PluginError, match=r"leaves out ipam; allow the one that does, or block vpn_wireguard too"):
        Registry(load_plugins(BUILTIN, ["ipam"]))
    assert (
        "openwisp_controller.vpn_backends.Wireguard"
        not in Registry(load_plugins(BUILTIN, ["ipam", "vpn_wireguard"])).vpn_backends
    )
