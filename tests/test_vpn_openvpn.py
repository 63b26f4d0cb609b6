"""Stories of OpenVPN servers and their clients, from the CA to the files that daemons read."""

import io
import re
import tarfile
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from guywire.builtin import BUILTIN
from guywire.plugin import PluginError, load_plugins
from guywire.registry import Registry
from guywire.settings import SettingInvalid, Settings

OPENVPN = "openwisp_controller.vpn_backends.OpenVpn"
SERVER = {"name": "server", "mode": "server", "proto": "udp", "dev": "tun0", "dev_type": "tun", "tls_server": True}
SERVER |= {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "dh": "dh.pem"}
FILES = [
    {"path": f"{name}.pem", "mode": "0600" if name == "key" else "0644", "contents": f"{{{{ {name} }}}}"}
    for name in ("ca", "cert", "key", "dh")
]


def files(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar}


def common_name(certificate):
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


class Story:
    """What happens between an operator, a server and routers."""

    def __init__(self, client, organization, router):
        self.client, self.organization, self.router = client, organization, router

    def ca(self, name="ca", **fields):
        body = {"name": name, "common_name": name, "organization": self.organization, "key_length": "256"}
        return self.client.post("ca/", body | fields)["id"]

    def server(self, status=201, name="vpn", **fields):
        body = {"name": name, "organization": self.organization, "backend": OPENVPN, "host": "vpn.example.org"}
        return self.client.post("vpn/", body | {"config": {"openvpn": [SERVER], "files": FILES}} | fields, status)

    def change(self, server, status=200, **fields):
        return self.client.patch(f"vpn/{server['id']}/", fields, status)

    def template(self, server, name="tunnel", **fields):
        fields = {"type": "vpn", "vpn": server["id"], "config": {}} | fields
        return self.client.make_template(self.organization, name, **fields)

    def device(self, number, *templates, **fields):
        ids = [template["id"] for template in templates]
        return self.client.make_device(
            self.organization, f"r{number}", f"00:11:22:33:44:{number:02x}", templates=ids, **fields
        )

    def assign(self, device, *templates):
        ids = [template["id"] for template in templates]
        return self.client.patch(f"device/{device['id']}/", {"config": {"templates": ids}})

    def files_of(self, server):
        return files(self.client.request("GET", f"vpn/{server['id']}/configuration/").body)

    def certificate_of(self, device, server):
        """The certificate in the device's archive, None if there is none."""
        text = files(self.router(device).download()).get(f"etc/x509/client-{server['id'].replace('-', '')}.pem")
        return None if text is None else x509.load_pem_x509_certificate(text.encode())

    def crl(self, ca):
        pem = self.client.request("GET", f"ca/{ca}/crl/").body
        return {each.serial_number for each in x509.load_pem_x509_crl(pem)}

    def cert(self, id):
        return self.client.get(f"cert/{id}/")


@pytest.fixture
def story(admin, organization, router):
    return Story(admin, organization, router)


def test_a_server_gets_a_certificate_and_an_archive_that_a_daemon_can_read(story):
    ca = story.ca(country_code="NO", city="Tromsø")
    server = story.server(name="My VPN", ca=ca)
    cert = story.cert(server["cert"])
    assert (cert["ca"], cert["name"], cert["common_name"]) == (ca, "My VPN", "my-vpn")
    assert (cert["city"], cert["country_code"], cert["key_length"]) == ("Tromsø", "NO", "256")
    made = x509.load_pem_x509_certificate(cert["certificate"].encode())
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]

    found = story.files_of(server)
    text = (
        "ca ca.pem\ncert cert.pem\ndev tun0\ndev-type tun\ndh dh.pem\nkey key.pem\nmode server\nproto udp\ntls-server\n"
    )
    assert found.pop("server.conf") == text
    assert found.pop("ca.pem") == story.client.get(f"ca/{ca}/")["certificate"]
    assert found.pop("key.pem") == cert["private_key"]
    assert found.pop("cert.pem") == cert["certificate"]
    assert found == {"dh.pem": server["dh"]}

    keys = list(story.client.get(f"vpn/{server['id']}/"))
    assert keys.index("ca") == keys.index("key") + 1
    assert keys[keys.index("notes") + 1] == "dh"


def test_the_parameters_of_the_key_exchange_are_fixed_and_can_be_replaced(story):
    server = story.server(ca=story.ca())
    assert re.fullmatch(r"-----BEGIN DH PARAMETERS-----\n[^-]+-----END DH PARAMETERS-----\n", server["dh"])
    other = server["dh"].replace("MIIB", "MIIC")
    assert story.change(server, dh=other)["dh"] == other
    assert story.files_of(server)["dh.pem"] == other
    assert story.change(server, dh="")["dh"] == server["dh"]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"ca": None}, {"ca": ["CA is required with this VPN backend"]}),
        ({"ca": 999999}, {"ca": ['Invalid pk "999999" - object does not exist.']}),
        ({"config": {"openvpn": []}}, "#/openvpn"),
        ({"config": {"wireguard": []}}, "#/"),
        ({"config": {"openvpn": [{**SERVER, "name": "../x"}]}}, "#/openvpn/0"),
        ({"config": {"openvpn": [SERVER], "files": [{**FILES[0], "path": "../ca.pem"}]}}, "#/files/0/path"),
        ({"config": {"openvpn": [SERVER], "files": [{**FILES[0], "path": "/server.conf"}]}}, "#/files/0/path"),
    ],
)
def test_what_is_no_server_is_refused_and_leaves_nothing(story, fields, errors):
    answer = story.server(400, **{"ca": story.ca()} | fields)
    if isinstance(errors, str):
        [message] = answer.pop("__all__")
        assert message.startswith(f'Invalid configuration triggered by "{errors}", validator says:\n\n')
        errors = {}
    assert answer == errors
    assert story.client.get("vpn/")["count"] == story.client.get("cert/")["count"] == 0


def test_certificates_belong_to_the_ca_and_the_organization_of_their_server(story, other_organization):
    ca, other = story.ca(), story.ca("other")
    chosen = {"name": "chosen", "common_name": "chosen", "organization": story.organization, "ca": ca}
    chosen = story.client.post("cert/", chosen | {"key_length": "256"})["id"]
    foreign = story.ca("foreign", organization=other_organization)
    mismatch = "Please ensure that the organization of this VPN server and the organization of the related CA match."
    assert story.server(400, ca=foreign) == {"organization": [mismatch]}
    mismatch = {"cert": ["The selected certificate must match the selected CA."]}
    assert story.server(400, ca=other, cert=chosen) == mismatch
    server = story.server(ca=ca, cert=chosen)
    assert server["cert"] == chosen

    # With the CA the certificate changes; what somebody chose is not taken back, what was issued is.
    moved = story.change(server, ca=other)
    assert story.cert(moved["cert"])["ca"] == other
    assert story.cert(moved["cert"])["common_name"] == "vpn"
    assert story.change(moved, 400, cert=chosen) == mismatch
    back = story.change(moved, ca=ca)
    assert story.cert(back["cert"])["common_name"].startswith("vpn-")
    assert not story.cert(chosen)["revoked"]
    assert story.cert(moved["cert"])["revoked"]
    story.client.delete(f"vpn/{server['id']}/")
    assert story.cert(back["cert"])["revoked"]
    story.client.delete(f"ca/{other}/")


def test_a_device_gets_a_certificate_with_a_template_and_loses_it_with_it(story):
    ca = story.ca("my ca")
    server = story.server(ca=ca)
    x = server["id"].replace("-", "")
    template = story.template(server)
    assert template["config"] == {
        "openvpn": [
            {
                "mode": "p2p",
                "nobind": True,
                "resolv_retry": "infinite",
                "tls_client": True,
                "remote": [{"host": f"{{{{vpn_host_{x}}}}}", "port": 1195}],
                "proto": "udp",
                "ns_cert_type": "",
                "remote_cert_tls": "",
                "name": "server",
                "dev_type": "tun",
                "dev": "tun0",
                "ca": f"{{{{ca_path_{x}}}}}",
                "cert": f"{{{{cert_path_{x}}}}}",
                "key": f"{{{{key_path_{x}}}}}",
            }
        ],
        "files": [
            {"path": f"{{{{{name}_path_{x}}}}}", "contents": f"{{{{{name}_contents_{x}}}}}", "mode": "0600"}
            for name in ("ca", "cert", "key")
        ],
    }
    device = story.device(1, template)
    found = files(story.router(device).download())
    for line in (
        f"option ca '/etc/x509/ca-{ca}-my_ca.pem'",
        f"option cert '/etc/x509/client-{x}.pem'",
        f"option key '/etc/x509/key-{x}.pem'",
        "list remote 'vpn.example.org 1195'",
    ):
        assert line in found["etc/config/openvpn"]
    assert found[f"etc/x509/ca-{ca}-my_ca.pem"] == story.client.get(f"ca/{ca}/")["certificate"]
    assert "PRIVATE KEY" in found[f"etc/x509/key-{x}.pem"]
    certificate = story.certificate_of(device, server)
    assert re.fullmatch(r"00:11:22:33:44:01-r1-[A-Za-z0-9]{8}", common_name(certificate))
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert story.crl(ca) == set()

    story.assign(device)
    assert story.crl(ca) == {certificate.serial_number}
    assert story.certificate_of(device, server) is None
    story.assign(device, template)
    again = story.certificate_of(device, server)
    assert again.serial_number not in story.crl(ca)


@pytest.mark.parametrize("end", ["deactivate", "delete", "switch", "server"])
def test_however_a_client_ends_its_certificate_is_revoked(story, end):
    ca = story.ca()
    server, other = story.server(ca=ca), story.server(ca=ca, name="other")
    template, others = story.template(server), story.template(other, "others")
    device = story.device(1, template)
    serial = story.certificate_of(device, server).serial_number
    if end == "switch":
        story.assign(device, others)
        assert story.certificate_of(device, other) is not None
    elif end == "server":
        assert "r1" in story.client.delete(f"vpn/{server['id']}/", 409).json["detail"]
        story.client.delete(f"vpn/{server['id']}/?force=true")
    else:
        story.client.post(f"device/{device['id']}/deactivate/", status=200)
        if end == "delete":
            story.client.delete(f"device/{device['id']}/?force=true")
    assert serial in story.crl(ca)
    if end != "delete":
        assert story.certificate_of(device, server) is None


def test_clients_follow_their_server_to_another_ca(story, worker):
    ca, other = story.ca(), story.ca("other")
    server = story.server(ca=ca)
    device = story.device(1, story.template(server))
    before = story.certificate_of(device, server)
    story.change(server, ca=other)
    assert story.crl(ca) >= {before.serial_number}
    after = story.certificate_of(device, server)
    assert (common_name(before)[:20], after.issuer.rfc4514_string()) == (common_name(after)[:20], "CN=other")


def test_what_is_renewed_reaches_the_server_and_its_clients(story):
    ca = story.ca()
    server = story.server(ca=ca)
    device = story.device(1, story.template(server))
    before, served = story.certificate_of(device, server), story.files_of(server)
    story.client.post(f"ca/{ca}/renew/", status=200)
    after, now_served = story.certificate_of(device, server), story.files_of(server)
    assert before.serial_number != after.serial_number
    assert {name for name in served if served[name] != now_served[name]} == {"ca.pem", "cert.pem", "key.pem"}


def test_what_tunnels_need_is_deleted_only_by_force(story):
    ca = story.ca()
    server = story.server(ca=ca)
    device = story.device(1, story.template(server))
    before = story.certificate_of(device, server)
    [own] = [each for each in story.client.get("cert/")["results"] if each["common_name"] == common_name(before)]
    for path in (f"ca/{ca}/", f"cert/{server['cert']}/", f"cert/{own['id']}/"):
        assert "vpn" in story.client.delete(path, 409).json["detail"]
    story.client.delete(f"cert/{own['id']}/?force=true")
    after = story.certificate_of(device, server)
    assert after.serial_number != before.serial_number

    story.client.delete(f"cert/{server['cert']}/?force=true")
    assert story.client.get(f"vpn/{server['id']}/")["cert"] is None
    assert story.change(server)["cert"] is not None
    assert "server.conf" in story.files_of(server)

    story.client.delete(f"ca/{ca}/?force=true")
    assert story.client.get(f"vpn/{server['id']}/")["ca"] is None
    assert story.change(server, 400, host="x") == {"ca": ["CA is required with this VPN backend"]}
    story.change(server, ca=story.ca("next"))
    assert story.certificate_of(device, server).issuer.rfc4514_string() == "CN=next"


def test_the_group_of_a_client_is_found_by_its_certificate(story, clock):
    ca = story.ca()
    server = story.server(ca=ca)
    template = story.template(server)
    group = story.client.post("group/", {"name": "g", "organization": story.organization, "templates": []})
    device = story.device(1, template)
    story.client.patch(f"device/{device['id']}/", {"group": group["id"]})
    if story.certificate_of(device, server) is None:
        story.assign(device, template)
    name = common_name(story.certificate_of(device, server))
    assert story.client.get(f"cert/{name}/group/")["id"] == group["id"]
    assert story.client.get(f"cert/{name}/group/?org=org1")["id"] == group["id"]
    story.client.get(f"cert/{name}/group/?org=nobody", status=404)
    story.assign(device)
    story.client.get(f"cert/{name}/group/", status=404)


class TestSettings:
    @pytest.fixture
    def settings(self, settings):
        return replace(settings, cert_path="/etc/openvpn", common_name_format="router-{name}")

    def test_paths_and_common_names_are_as_configured(self, story):
        server = story.server(ca=story.ca())
        found = files(story.router(story.device(1, story.template(server))).download())
        [name] = [name for name in found if name.startswith("etc/openvpn/client-")]
        assert common_name(x509.load_pem_x509_certificate(found[name].encode())).startswith("router-r1-")


def test_settings_that_cannot_be_used_are_refused():
    for key, text in (("common_name_format", "{serial}"), ("common_name_format", "{name"), ("cert_path", "x509/../")):
        with pytest.raises(SettingInvalid, match=f"guywire.{key}"):
            Settings.from_mapping({f"guywire.{key}": text})


def test_without_certificates_the_start_says_what_to_do():
    with pytest.raises(PluginError, match=r"PkiProvider.*pki.*block vpn_openvpn too"):
        Registry(load_plugins(BUILTIN, ["pki"]))
    assert OPENVPN not in Registry(load_plugins(BUILTIN, ["pki", "vpn_openvpn"])).vpn_backends
