"""Keys and signatures are made while nobody waits for a lock of ours, and by a few at a time."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from cryptography import x509
from guywire.db import writing
from guywire.models import Organization
from guywire_pki.services import renewal
from guywire_pki.x509 import keys
from pki_rows import some_key

SERVER = {"name": "server", "mode": "server", "proto": "udp", "dev": "tun0", "dev_type": "tun", "tls_server": True}
SERVER |= {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "dh": "dh.pem"}
VPN = {"name": "vpn", "backend": "openwisp_controller.vpn_backends.OpenVpn", "host": "vpn.example.org"}
VPN |= {"config": {"openvpn": [SERVER]}}


@pytest.fixture
def settings(settings):
    return replace(settings, busy_timeout=1.0)


@pytest.fixture
def write(runtime):
    """A function that writes like another process, which a lock of a request would keep it from."""

    def write():
        with writing(runtime.session_factory) as session:
            session.execute(sa.update(Organization).values(description=Organization.description + "."))

    return write


@pytest.fixture
def made(monkeypatch, write):
    """Which keys were made. All are the same, and made in no time."""
    made, key = [], some_key()

    def generate(length):
        if not keys.is_fast(length):
            write()
        made.append(length)
        return key

    monkeypatch.setattr(keys, "generate", generate)
    return made


@pytest.fixture
def make_ca(admin, organization):
    def make(name):
        return admin.post("ca/", {"name": name, "common_name": name, "organization": organization})

    return make


def test_the_key_of_a_server_is_made_before_any_lock(admin, organization, make_ca, made):
    server = admin.post("vpn/", VPN | {"organization": organization, "ca": make_ca("one")["id"]})
    other = make_ca("two")["id"]
    assert admin.patch(f"vpn/{server['id']}/", {"ca": other})["cert"] not in (None, server["cert"])
    assert made == ["2048"] * 4


def test_what_a_renewal_signs_is_signed_before_any_lock_and_what_comes_meanwhile_is_not_forgotten(
    admin, ca, issue, write, monkeypatch
):
    early, late, sign = issue("early"), [], renewal.renewed

    def renewed(*args):
        if not late:
            write()
            late.append(issue("late"))
        return sign(*args)

    monkeypatch.setattr(renewal, "renewed", renewed)
    authority = x509.load_pem_x509_certificate(admin.post(f"ca/{ca['id']}/renew/", status=200)["certificate"].encode())
    for each in (early, *late):
        now = admin.get(f"cert/{each['id']}/")
        assert now["serial_number"] != each["serial_number"]
        x509.load_pem_x509_certificate(now["certificate"].encode()).verify_directly_issued_by(authority)


def test_a_renewal_that_somebody_overtakes_begins_anew(admin, ca, issue, monkeypatch):
    cert, sign, serials = issue(), renewal.renewed, []

    def renewed(*args):
        if not serials:
            serials.append(None)
            serials[0] = admin.post(f"ca/{ca['id']}/renew/", status=200)["serial_number"]
        return sign(*args)

    monkeypatch.setattr(renewal, "renewed", renewed)
    after = admin.post(f"cert/{cert['id']}/renew/", status=200)
    authority = admin.get(f"ca/{ca['id']}/")
    assert authority["serial_number"] == serials[0]
    authority, after = (x509.load_pem_x509_certificate(each["certificate"].encode()) for each in (authority, after))
    after.verify_directly_issued_by(authority)


def test_who_finds_too_many_making_rsa_keys_is_told_to_come_back(admin, organization, make_ca, made, ca):
    server = admin.post("vpn/", VPN | {"organization": organization, "ca": ca["id"]})
    slow = make_ca("slow")["id"]
    body = {"name": "x", "common_name": "x", "organization": organization, "ca": ca["id"]}
    for _ in range(keys._PLACES):
        keys._places.acquire()
    try:
        assert admin.request("POST", "cert/", body | {"key_length": "2048"}, 503).headers["Retry-After"] == "5"
        admin.patch(f"vpn/{server['id']}/", {"ca": slow}, 503)
        admin.post("cert/", body | {"key_length": "256"})
    finally:
        for _ in range(keys._PLACES):
            keys._places.release()
    assert admin.patch(f"vpn/{server['id']}/", {"ca": slow})["ca"] == slow
