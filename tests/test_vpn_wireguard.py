"""Stories of WireGuard servers and their clients, from the subnet to the peers in the server's file."""

import json
import re

import pytest
from wireguard_story import KEY, SUBNETS, VXLAN, Story, files


@pytest.fixture
def story(admin, organization, router):
    return Story(admin, organization, router)


def test_a_device_becomes_a_peer_and_stops_being_one(story):
    subnet = story.subnet()
    server = story.server(subnet=subnet)
    assert server["subnet"] == subnet
    text = story.files_of(server)["wg0.conf"]
    assert re.fullmatch(rf"\[Interface\]\nAddress = 10\.8\.0\.1/24\nListenPort = 51820\nPrivateKey = {KEY}\n", text)

    template = story.template(server)
    suffix = server["id"].replace("-", "")
    assert template["config"]["interfaces"][0]["private_key"] == f"{{{{pvt_key_{suffix}}}}}"
    device = story.device(1, template)
    network = story.network_of(device)
    assert "list addresses '10.8.0.2/32'" in network
    assert "list allowed_ips '10.8.0.1/32'" in network
    assert "option endpoint_host 'vpn.example.org'" in network
    assert "option endpoint_port '51820'" in network
    with_peer = story.files_of(server)["wg0.conf"]
    assert with_peer.startswith(text)
    assert re.fullmatch(rf"\n\[Peer\]\nAllowedIPs = 10\.8\.0\.2/32\nPublicKey = {KEY}\n", with_peer.removeprefix(text))
    assert story.addresses(subnet) == ["10.8.0.1", "10.8.0.2"]

    # The last template leaves, and with it all that came with it.
    story.assign(device)
    assert "etc/config/network" not in files(story.router(device).download())
    assert story.files_of(server)["wg0.conf"] == text
    assert story.addresses(subnet) == ["10.8.0.1"]
    story.client.delete(f"vpn/{server['id']}/")
    assert story.addresses(subnet) == []


@pytest.mark.parametrize("end", ["deactivate", "delete", "switch"])
def test_however_a_client_ends_its_peer_and_its_address_go(story, end):
    subnet = story.subnet()
    server, other = story.server(subnet=subnet), story.server(subnet=subnet, name="other")
    template, others = story.template(server), story.template(other, "others")
    device = story.device(1, template)
    assert story.addresses(subnet) == ["10.8.0.1", "10.8.0.2", "10.8.0.3"]
    if end == "deactivate":
        story.client.post(f"device/{device['id']}/deactivate/", status=200)
    elif end == "delete":
        story.client.post(f"device/{device['id']}/deactivate/", status=200)
        story.client.delete(f"device/{device['id']}/?force=true")
    else:
        story.assign(device, others)
        assert "[Peer]\nAllowedIPs = 10.8.0.3/32" in story.files_of(other)["wg0.conf"]
    assert "[Peer]" not in story.files_of(server)["wg0.conf"]
    assert story.addresses(subnet) == ["10.8.0.1", "10.8.0.2"] + (["10.8.0.3"] if end == "switch" else [])


def test_vxlan_tunnels_have_a_number_each_unless_the_server_has_one_for_all(story):
    subnet = story.subnet()
    server = story.server(subnet=subnet, backend=VXLAN)
    assert story.files_of(server)["vxlan.json"] == "[]"
    template = story.template(server)
    devices = [story.device(number, template) for number in (1, 2)]
    found = json.loads(story.files_of(server)["vxlan.json"])
    assert sorted((tunnel["remote"], tunnel["vni"]) for tunnel in found) == [("10.8.0.2", 1), ("10.8.0.3", 2)]
    network = story.network_of(devices[1])
    for line in ("config interface 'vxlan'", "option peeraddr '10.8.0.1'", "option vid '2'", "option tunlink 'wg0'"):
        assert line in network

    config = {**server["config"], "vxlan": [{"name": "vx7", "vni": 7}]}
    story.client.patch(f"vpn/{server['id']}/", {"config": config})
    assert "option vid '7'" in story.network_of(devices[1])
    found = story.files_of(server)["vxlan.json"]
    assert {(each["interface"], each["vni"]) for each in json.loads(found)} == {("vx7", 7)}
    assert found.startswith('[\n    {\n        "interface": "vx7",\n        "remote": "10.8.0.')
    # The server changes its mind again: everybody has their own number still.
    story.client.patch(f"vpn/{server['id']}/", {"config": server["config"]})
    assert "option vid '2'" in story.network_of(devices[1])
    config = {"wireguard": [{"name": "wg0", "port": 1}], "vxlan": [{"vni": 2**24}]}
    assert (
        "vxlan/0/vni"
        in story.server(400, backend=VXLAN, name="x", subnet=story.subnet("10.9.0.0/24"), config=config)["__all__"][0]
    )


def test_ipv6_subnets_give_addresses_and_masks_of_ipv6(story):
    server = story.server(subnet=story.subnet("fd00:8::/64"), backend=VXLAN)
    template = story.template(server)
    [address] = template["config"]["interfaces"][0]["addresses"]
    assert (address["family"], address["mask"]) == ("ipv6", 128)
    network = story.network_of(story.device(1, template))
    assert "list addresses 'fd00:8::2/128'" in network
    assert "list allowed_ips 'fd00:8::1/128'" in network
    assert "option proto 'vxlan6'" in network
    assert "option peer6addr 'fd00:8::1'" in network
    text = story.files_of(server)["wg0.conf"]
    assert "Address = fd00:8::1/64\n" in text
    assert "AllowedIPs = fd00:8::2/128\n" in text


def test_a_server_that_moves_to_another_subnet_takes_its_clients_along(story):
    subnet, other = story.subnet(), story.subnet("10.9.0.0/24")
    server = story.server(subnet=subnet)
    device = story.device(1, story.template(server))
    story.client.patch(f"vpn/{server['id']}/", {"subnet": other})
    network = story.network_of(device)
    assert "list addresses '10.9.0.2/32'" in network
    assert "list allowed_ips '10.9.0.1/32'" in network
    assert "AllowedIPs = 10.9.0.2/32" in story.files_of(server)["wg0.conf"]
    assert (story.addresses(subnet), story.addresses(other)) == ([], ["10.9.0.1", "10.9.0.2"])


def test_the_address_of_a_client_can_be_changed_but_not_taken_away_by_mistake(story):
    subnet = story.subnet()
    server = story.server(subnet=subnet)
    device = story.device(1, story.template(server))
    page = story.client.get(f"{SUBNETS}{subnet}/ip-address/")
    [path] = [f"/api/v1/ipam/ip-address/{each['id']}/" for each in page["results"] if each["ip_address"] == "10.8.0.2"]
    story.client.patch(path, {"ip_address": "10.8.0.200"})
    assert "list addresses '10.8.0.200/32'" in story.network_of(device)
    assert "AllowedIPs = 10.8.0.200/32" in story.files_of(server)["wg0.conf"]

    refused = story.client.request("DELETE", path, status=409).json
    assert refused == {"detail": "Clients of VPN servers have addresses here: vpn."}
    # Whoever insists makes room; the client gets another address.
    story.client.delete(f"{path}?force=true")
    assert "list addresses '10.8.0.2/32'" in story.network_of(device)
    assert "AllowedIPs = 10.8.0.2/32" in story.files_of(server)["wg0.conf"]


def test_a_server_has_to_be_what_wireguard_takes(story):
    subnet = story.subnet()
    assert story.server(400, subnet=None) == {"subnet": ["Subnet is required for this VPN backend."]}
    triggered = 'Invalid configuration triggered by "#/{}", validator says:\n\n{}'
    tunnel = {"name": "wg0", "port": 51820}
    for config, path, message in [
        ({"wireguard": [{"name": "wg0"}]}, "wireguard/0", "'port' is a required property"),
        ({"wireguard": [tunnel, {**tunnel, "port": 1}]}, "wireguard", " is too long"),
        ({"wireguard": [tunnel | {"port": 99999999}]}, "wireguard/0/port", " is greater than the maximum of 65535"),
        ({"wireguard": [tunnel | {"name": "a b"}]}, "wireguard/0/name", r"'a b' does not match '^[^\\s]*$'"),
        ({"wireguard": [tunnel | {"name": "../x"}]}, "wireguard/0/name", "'../x' is not the name of an interface"),
        (
            {"wireguard": [tunnel | {"peers": [{"public_key": "x", "allowed_ips": "10.0.0.1"}]}]},
            "wireguard/0/peers/0/public_key",
            "'x' is not a key of WireGuard",
        ),
        (
            {"wireguard": [tunnel], "files": [{"path": "/wg0.conf", "mode": "0600", "contents": ""}]},
            "files/0/path",
            "there are two files '/wg0.conf'",
        ),
    ]:
        [error] = story.server(400, subnet=subnet, config=config)["__all__"]
        assert error.startswith(triggered.format(path, "")), error
        assert error.endswith(message)
    assert story.addresses(subnet) == []


def test_operators_add_options_peers_and_files_of_their_own(story):
    key = "GA0p0dX3p8E+XxmZf6HtDYHpZ4sA+1BmtxQpW6kNo1I="
    peer = {"public_key": key, "allowed_ips": "192.168.7.0/24", "endpoint_host": "fd00::9", "endpoint_port": 7}
    tunnel = {
        "name": "wg0",
        "port": 51820,
        "dns": ["9.9.9.9", "1.1.1.1"],
        "post_up": "echo a\necho b\n",
        "peers": [peer],
    }
    extra = {"path": "/etc/motd", "mode": "0600", "contents": "{{ ip_address }} of {{ subnet }}"}
    server = story.server(subnet=story.subnet(), config={"wireguard": [tunnel], "files": [extra]})
    found = story.files_of(server)
    assert found["etc/motd"] == "10.8.0.1 of 10.8.0.0/24"
    head, _, tail = found["wg0.conf"].partition("PrivateKey = ")
    assert head == (
        "[Interface]\nAddress = 10.8.0.1/24\nDNS = 9.9.9.9,1.1.1.1\nListenPort = 51820\n"
        "PostUp = echo a\nPostUp = echo b\n"
    )
    assert tail[44:] == f"\n\n[Peer]\nAllowedIPs = 192.168.7.0/24\nEndpoint = [fd00::9]:7\nPublicKey = {key}\n"


def test_private_keys_are_nowhere_to_be_read(story, runtime):
    server = story.server(subnet=story.subnet(), backend=VXLAN)
    device = story.device(1, story.template(server))
    secret = re.search(rf"option private_key '({KEY})'", story.network_of(device))[1]
    own = re.search(rf"PrivateKey = ({KEY})", story.files_of(server)["wg0.conf"])[1]
    answers = [story.client.get(path) for path in (f"vpn/{server['id']}/", "vpn/", "template/", "device/")]
    with runtime.engine.connect() as connection:
        stored = [
            bytes(row.private_key)
            for table in ("vpn_wireguard_server", "vpn_wireguard_client")
            for row in connection.exec_driver_sql(f"SELECT private_key FROM {table}")
        ]
    assert len(stored) == 2
    for key in (secret, own):
        assert key not in json.dumps(answers)
        assert all(key.encode() not in sealed for sealed in stored)
