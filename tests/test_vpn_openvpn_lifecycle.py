"""What holds of the certificates of OpenVPN's clients, whatever operators do and in whatever order."""

from itertools import count
from random import Random
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from cryptography import x509
from guywire.db import reading
from guywire.models import Config, VpnClient
from guywire_pki.models import Cert, VpnCertificate, VpnClientCertificate
from test_vpn_openvpn import Story, common_name

ENDS = ("unassign", "clear", "deactivate", "revoke", "delete device", "drop template", "drop server", "renew")
# What ends a client shows something only where there are clients.
OPERATIONS = ("assign",) * 8 + ("activate",) * 4 + ENDS


class Fleet:
    """An operator who does something by chance, and what should have come of it: which templates each device has."""

    def __init__(self, story, random):
        self.story, self.random = story, random
        # One CA for both servers: a device may have two tunnels, and gets the CA's file once.
        self.cas = [story.ca("one")]
        self.fresh = count(1)
        self.servers, self.templates, self.devices, self.revoked = {}, {}, {}, set()
        self.fill()

    def fill(self):
        """Replace what was deleted."""
        while len(self.servers) < 2:
            server = self.story.server(name=f"vpn-{next(self.fresh)}", ca=self.cas[0])
            self.servers[server["id"]] = server
        for server in self.servers.values():
            while sum(each["vpn"] == server["id"] for each in self.templates.values()) < 2:
                template = self.story.template(server, f"tunnel-{next(self.fresh)}")
                self.templates[template["id"]] = template
        while len(self.devices) < 3:
            made = self.story.device(next(self.fresh))
            self.devices[made["id"]] = SimpleNamespace(made=made, active=True, templates=[])

    def wanted(self):
        """Which device should be a client of which server, in an order that does not depend on ids."""
        return [
            (id, server_id)
            for id, device in self.devices.items()
            for server_id in self.servers
            if any(self.templates[each]["vpn"] == server_id for each in device.templates)
        ]

    def forget(self, template_id):
        del self.templates[template_id]
        for device in self.devices.values():
            device.templates = [each for each in device.templates if each != template_id]

    def assign(self, device, wanted):
        # A device may have one template of each server.
        is_possible = len({self.templates[each]["vpn"] for each in wanted}) == len(wanted)
        status = 403 if not device.active else 200 if is_possible else 400
        self.story.client.patch(f"device/{device.made['id']}/", {"config": {"templates": wanted}}, status)
        if status == 200:
            device.templates = wanted

    def operate(self, what, certificates):
        """Do one thing, whether it makes sense or not. ``certificates`` are the ids of those that clients have."""
        client, random = self.story.client, self.random
        device = random.choice(list(self.devices.values()))
        path = f"device/{device.made['id']}/"
        match what:
            case "assign":
                self.assign(device, random.sample(list(self.templates), random.randrange(1, 3)))
            case "unassign":
                self.assign(device, random.sample(device.templates, len(device.templates) // 2))
            case "clear":
                self.assign(device, [])
            case "deactivate" | "activate":
                applies = device.active == (what == "deactivate")
                client.post(f"{path}{what}/", status=200 if applies else 404)
                if applies:
                    device.active, device.templates = not device.active, []
            case "delete device":
                client.delete(f"{path}?force=true")
                del self.devices[device.made["id"]]
            case "revoke" if certificates:
                chosen = random.choice(certificates)
                client.post(f"cert/{chosen}/revoke/", status=200)
                self.revoked.add(chosen)
            case "renew":
                client.post(f"ca/{random.choice(self.cas)}/renew/", status=200)
            case "drop template":
                template_id = random.choice(list(self.templates))
                client.delete(f"template/{template_id}/?force=true")
                self.forget(template_id)
            case "drop server":
                server_id = random.choice(list(self.servers))
                client.delete(f"vpn/{server_id}/?force=true")
                del self.servers[server_id]
                for template_id in [id for id, each in self.templates.items() if each["vpn"] == server_id]:
                    self.forget(template_id)


def check(fleet, runtime):
    """Clients are those that templates ask for, each with a certificate of its own; every other one is taken back.

    Returns the ids of clients' certificates.
    """
    with reading(runtime.session_factory) as session:
        clients = session.execute(
            sa.select(VpnClient.id, Config.device_id, VpnClient.vpn_id).join(Config, Config.id == VpnClient.config_id)
        ).all()
        own = dict(session.execute(sa.select(VpnClientCertificate.client_id, VpnClientCertificate.cert_id)).all())
        of_servers = set(session.scalars(sa.select(VpnCertificate.cert_id)))
        columns = (Cert.id, Cert.ca_id, Cert.serial_number, Cert.certificate, Cert.revoked)
        certs = {row.id: row for row in session.execute(sa.select(*columns))}
    wanted = fleet.wanted()
    found = {(str(row.device_id), str(row.vpn_id)): own.get(row.id) for row in clients}
    assert sorted(found) == sorted(wanted)
    assert own.keys() == {row.id for row in clients}
    assert len({*own.values()} | of_servers) == len(own) + len(fleet.servers)
    valid = {id for id, row in certs.items() if not row.revoked}
    assert valid == ({*own.values()} | of_servers) - fleet.revoked
    for ca in fleet.cas:
        revoked = {int(row.serial_number) for row in certs.values() if row.revoked and row.ca_id == ca}
        assert fleet.story.crl(ca) == revoked

    for device_id, server_id in wanted:
        cert, device = certs[found[device_id, server_id]], fleet.devices[device_id].made
        made = x509.load_pem_x509_certificate(cert.certificate.encode())
        assert common_name(made).startswith(device["mac_address"])
        assert made.not_valid_before_utc <= runtime.clock() < made.not_valid_after_utc
        if not cert.revoked:
            authority = fleet.story.client.get(f"ca/{fleet.servers[server_id]['ca']}/")["certificate"]
            made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
        assert fleet.story.certificate_of(device, fleet.servers[server_id]) == made
    return [found[each] for each in wanted]


def test_no_order_of_operations_leaves_a_client_without_certificate_or_a_certificate_without_client(
    story, runtime, worker, clock
):
    random = Random(2026)
    fleet = Fleet(story, random)
    certificates = []
    # SQLite is the quicker one here.
    for step in range(200 if runtime.engine.dialect.name == "sqlite" else 40):
        fleet.operate(random.choice(OPERATIONS), certificates)
        clock.advance(10)
        worker.run_due(step * 10.0)
        certificates = check(fleet, runtime)
        fleet.fill()


@pytest.fixture
def story(admin, organization, router):
    return Story(admin, organization, router)
