"""What this plugin does for others: certificates for VPN servers, vetoes, notices in time; and life without it."""

import logging
from dataclasses import replace
from importlib.metadata import entry_points
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from guywire import hookimpl
from guywire.db import reading, writing
from guywire.errors import Conflict, Invalid
from guywire.events import (
    CADeleting,
    CARenewed,
    CertificatesDeleting,
    CertificatesExpiring,
    CertificatesRenewed,
    CertificatesRevoked,
)
from guywire.interfaces import CertificateOrder, PkiProvider
from guywire_pki.services.expiry import EXPIRY

DAY = 86400


class Tunnels:
    """A plugin that uses certificates."""

    def __init__(self):
        self.events, self.used = [], set()

    @hookimpl
    def on_event(self, session, event):
        if type(event).__module__ == "guywire.events":
            self.events.append(event)
        if isinstance(event, CADeleting | CertificatesDeleting) and self.used and not event.force:
            raise Conflict("In use by the VPN server tower.")


@pytest.fixture
def tunnels():
    return Tunnels()


@pytest.fixture
def plugins(tunnels):
    return [("tunnels", tunnels)]


@pytest.fixture
def provider(runtime):
    return runtime.registry.services[PkiProvider]


def test_whoever_uses_a_certificate_can_keep_it_and_hears_of_it(admin, tunnels, ca, issue):
    made = issue("made")
    tunnels.used.add(made["id"])
    for path in (f"cert/{made['id']}/", f"ca/{ca['id']}/"):
        assert admin.delete(path, status=409).json == {"detail": "In use by the VPN server tower."}
    admin.post(f"cert/{made['id']}/renew/", status=200)
    admin.post(f"ca/{ca['id']}/renew/", status=200)
    admin.post(f"cert/{made['id']}/revoke/", status=200)
    tunnels.events.clear()
    admin.delete(f"cert/{made['id']}/?force=true")
    admin.delete(f"ca/{ca['id']}/?force=true")
    assert tunnels.events == [CertificatesDeleting((made["id"],), True), CADeleting(ca["id"], True)]


def test_renewals_and_revocations_are_told(admin, tunnels, ca, issue):
    made = issue("made")
    tunnels.events.clear()
    admin.post(f"cert/{made['id']}/renew/", status=200)
    admin.post(f"ca/{ca['id']}/renew/", status=200)
    admin.post(f"cert/{made['id']}/revoke/", status=200)
    admin.post(f"cert/{made['id']}/revoke/", status=200)
    ids = (made["id"],)
    assert tunnels.events == [
        CertificatesRenewed(ids),
        CARenewed(ca["id"]),
        CertificatesRenewed(ids),
        CertificatesRevoked(ids),
    ]


def test_the_provider_issues_many_certificates_and_takes_them_back(
    admin, runtime, clock, provider, organization, other_organization, ca
):
    owner = UUID(organization)
    orders = [CertificateOrder(f"device {n}", f"client-{n}", owner) for n in range(3)]
    orders.append(CertificateOrder("tower", "tower", owner, server=True))
    with reading(runtime.session_factory) as session:
        prepared = provider.prepare_keys(session, ca["id"], 2)
    with writing(runtime.session_factory) as session:
        ids = provider.issue(session, ca["id"], orders, clock(), prepared)
        with pytest.raises(Invalid):
            provider.issue(session, ca["id"], [CertificateOrder("x", "x", UUID(other_organization))], clock())
    with reading(runtime.session_factory) as session:
        found = provider.credentials(session, [*ids, 999])
        authority = provider.authorities(session, [ca["id"]])[ca["id"]]
        assert provider.with_common_name(session, "client-0", None, clock()) == [ids[0]]
        assert provider.with_common_name(session, "client-0", ["org1", "x"], clock()) == [ids[0]]
        assert provider.with_common_name(session, "client-0", ["org2"], clock()) == []
    assert sorted(found) == sorted(ids)
    assert authority.pem == ca["certificate"]
    for order, id in zip(orders, ids, strict=True):
        credential = found[id]
        assert (credential.name, credential.common_name, credential.ca_id) == (order.name, order.common_name, ca["id"])
        certificate = x509.load_pem_x509_certificate(credential.pem.encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem.encode()))
        assert load_pem_private_key(credential.key.encode(), None).public_key() == certificate.public_key()
        [usage] = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert usage == (x509.OID_SERVER_AUTH if order.server else x509.OID_CLIENT_AUTH)
    with writing(runtime.session_factory) as session:
        provider.revoke(session, ids[:2], clock())
        provider.delete(session, ids[1:3])
    assert [each["revoked"] for each in admin.get("cert/")["results"]] == [False, True]
    listed = x509.load_pem_x509_crl(admin.request("GET", f"ca/{ca['id']}/crl/").body)
    assert len(listed) == 2
    with reading(runtime.session_factory) as session:
        assert provider.with_common_name(session, "client-0", None, clock()) == []


def test_what_expires_is_told_in_time_and_once_for_each_notice(runtime, clock, tunnels, ca, issue, admin, caplog):
    near, far, revoked = issue("near", validity_end="2026-01-20T00:00:00Z"), issue("far"), issue("revoked")
    admin.post(f"cert/{revoked['id']}/revoke/", status=200)
    told = []
    for days in (0, 1, 14, 20, 3650):
        clock.advance(days * DAY)
        tunnels.events.clear()
        with caplog.at_level(logging.WARNING, logger="guywire_pki"):
            EXPIRY.run(runtime)
            EXPIRY.run(runtime)
        told.append([(each.certificate_ids, each.ca_ids) for each in tunnels.events])
    expiring = [[((near["id"],), ())]]
    assert told == [*expiring, [], *expiring, *expiring, [((far["id"],), (ca["id"],))]]
    assert all(isinstance(each, CertificatesExpiring) for each in tunnels.events)
    assert [each.getMessage().split(":")[0] for each in caplog.records][:3] == [
        f"Cert {near['id']} 'near' expires",
        f"Cert {near['id']} 'near' expires",
        f"Cert {near['id']} 'near' expired",
    ]


class TestWithout:
    """The plugin is left out."""

    @pytest.fixture
    def settings(self, settings):
        # What needs certificates does not start without them.
        needy = {each.name for each in entry_points(group="guywire")} & {"vpn_openvpn"}
        return replace(settings, plugins_blocked=frozenset({"pki"} | needy))

    def test_its_paths_are_unknown_and_the_rest_works(self, admin, app, organization, runtime):
        assert PkiProvider not in runtime.registry.services
        for path in ("ca/", "cert/", "ca/1/crl/", "cert/1/renew/"):
            admin.get(path, status=404)
        app.get("/admin/pki/ca/1.crl", status=404)
        admin.make_device(organization)
