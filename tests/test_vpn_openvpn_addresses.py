"""Stories of OpenVPN servers that have a subnet: addresses come and go with clients, and nobody loses a certificate."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from guywire.db import reading
from guywire_pki.models import Revocation
from test_vpn_openvpn import FILES, SERVER, Story, files

SUBNETS = "/api/v1/ipam/subnet/"
PLACE = {"path": "place", "mode": "0644", "contents": "{{ ip_address }} {{ subnet }} {{ subnet_prefixlen }}"}


@pytest.fixture
def story(admin, organization, router):
    return Story(admin, organization, router)


@pytest.fixture
def tunnel(story):
    """A server without subnet, a subnet that it may have, and a device that shows what it knows of them."""
    server = story.server(ca=story.ca(), config={"openvpn": [SERVER], "files": [*FILES, PLACE]})
    id = server["id"].replace("-", "")
    names = ("ip_address", "server_ip_address", "server_ip_network", "vpn_subnet")
    shows = {"path": "/shown", "mode": "0644", "contents": " ".join(f"{{{{{name}_{id}}}}}" for name in names)}
    template = story.template(server)
    device = story.device(1, template, config={"files": [shows]})
    body = {"name": "s", "subnet": "10.200.0.0/16", "organization": story.organization}
    return SimpleNamespace(
        server=server, template=template, device=device, subnet=story.client.post(SUBNETS, body)["id"]
    )


def shown(story, tunnel):
    return files(story.router(tunnel.device).download())["shown"]


def taken(story, tunnel):
    page = story.client.get(f"{SUBNETS}{tunnel.subnet}/ip-address/")
    return [each["ip_address"] for each in page["results"]]


def test_clients_get_addresses_with_the_subnet_of_their_server_and_keep_their_certificates(
    story, tunnel, runtime, worker
):
    certificate = story.certificate_of(tunnel.device, tunnel.server)
    assert story.files_of(tunnel.server)["place"] == PLACE["contents"]
    assert "10.200" not in shown(story, tunnel)
    story.change(tunnel.server, subnet=tunnel.subnet)
    assert story.files_of(tunnel.server)["place"] == "10.200.0.1 10.200.0.0/16 16"
    assert shown(story, tunnel) == "10.200.0.2 10.200.0.1 10.200.0.1/32 10.200.0.0/16"
    # A rule divides the subnet: also for those who are clients already.
    rule = {"type": "vpn", "organization": story.organization, "master_subnet": tunnel.subnet, "label": "OW"}
    rule |= {"size": 28, "number_of_subnets": 1, "number_of_ips": 2}
    rule = story.client.post("/api/v1/ipam/subnet-division-rule/", rule)
    worker.run_due(0.0)
    assert shown(story, tunnel).startswith("10.200.0.17 ")
    assert taken(story, tunnel) == ["10.200.0.1"]
    story.client.delete(f"/api/v1/ipam/subnet-division-rule/{rule['id']}/")
    assert shown(story, tunnel).startswith("10.200.0.2 ")
    _, own = story.client.get(f"{SUBNETS}{tunnel.subnet}/ip-address/")["results"]
    assert "vpn" in story.client.delete(f"/api/v1/ipam/ip-address/{own['id']}/", 409).json["detail"]
    story.client.delete(f"/api/v1/ipam/ip-address/{own['id']}/?force=true")
    assert shown(story, tunnel).startswith("10.200.0.2 ")
    assert story.certificate_of(tunnel.device, tunnel.server) == certificate

    story.assign(tunnel.device)
    assert taken(story, tunnel) == ["10.200.0.1"]
    story.assign(tunnel.device, tunnel.template)
    story.change(tunnel.server, subnet=None)
    assert taken(story, tunnel) == []
    assert "10.200" not in shown(story, tunnel)
    with reading(runtime.session_factory) as session:
        # The one of the client that ended.
        assert session.scalar(sa.select(sa.func.count(Revocation.id))) == 1


class TestWithoutAddresses:
    @pytest.fixture
    def settings(self, settings):
        return replace(settings, plugins_blocked=frozenset({"ipam", "vpn_wireguard"}))

    def test_tunnels_work_as_ever(self, story):
        server = story.server(ca=story.ca())
        template = story.template(server)
        device = story.device(1, template)
        assert story.certificate_of(device, server) is not None
        assert not {"subnet", "ip"} & server.keys()
        story.client.delete(f"vpn/{server['id']}/?force=true")


def test_no_error_quotes_a_private_key(story, worker, runtime):
    server = story.server(ca=story.ca(), config={"openvpn": [SERVER], "files": FILES})
    template = story.template(server)
    group = story.client.post("group/", {"name": "g", "organization": story.organization, "templates": []})
    device = story.device(1, template)
    story.client.patch(f"device/{device['id']}/", {"group": group["id"]})
    id = server["id"].replace("-", "")
    own = files(story.router(device).download())[f"etc/x509/key-{id}.pem"]
    secrets = [*own.splitlines()[1:-1], *story.files_of(server)["key.pem"].splitlines()[1:-1]]
    key = f"{{{{key_contents_{id}}}}}"
    interface = {"name": "{{name_}}", "type": "ethernet", "mac": "{{mac_}}", "comment": key}
    file = {"path": "/x", "mode": "{{mode_}}", "contents": key}
    answers = []

    def configure(status, **config):
        body = {"config": {"config": config, "context": {"name_": "eth0", "mac_": "", "mode_": "0600"}}}
        answers.append(story.client.patch(f"device/{device['id']}/", body, status))
        return str(answers[-1])

    assert "#/interfaces/0" in configure(400, interfaces=[interface | {"name": "a b c d e f g h i j"}])
    assert "#/files/0" in configure(400, files=[file | {"mode": key}])
    assert "#/files" in configure(400, files=[file | {"contents": [key]}])
    # What can be rendered until a variable changes.
    body = {"config": {"config": {"interfaces": [interface]}, "context": {}}}
    story.client.patch(f"group/{group['id']}/", {"context": {"name_": "eth0", "mac_": ""}})
    story.client.patch(f"device/{device['id']}/", body)
    story.client.patch(f"group/{group['id']}/", {"context": {"name_": "x" * 40, "mac_": ""}})
    worker.run_due(0.0)
    answers.append(story.client.state(device))
    assert "#/interfaces/0" in answers[-1]["rendering_error"]["message"]
    # The server's own.
    story.change(server, config={"openvpn": [SERVER | {"dev": "{{key}}"}], "files": FILES})
    worker.run_due(5.0)
    answers.append(story.client.get(f"vpn/{server['id']}/"))
    with runtime.engine.connect() as connection:
        stored = [
            str(connection.exec_driver_sql(f"SELECT {columns} FROM {table}").all())
            for table, columns in (("config_state", "*"), ("vpn_state", "*"), ("config", "*"))
        ]
    assert "#/openvpn/0" in stored[1]
    for text in (*map(str, answers), *stored):
        assert not [line for line in secrets if line in text]
