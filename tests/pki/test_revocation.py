"""Revocation lists: what was revoked stays on them until it would have expired, whatever happens meanwhile."""

from datetime import timedelta
from uuid import UUID

import pytest
from cryptography import x509
from guywire_pki.models import Cert
from guywire_pki.services import renewal
from guywire_pki.services.authorities import issuer_of
from guywire_pki.services.revocation import crl_of, forget_expired, revoke
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pki_rows import ca_row, cert_row, some_key


def crl(client, ca, path="ca/{}/crl/"):
    answer = client.request("GET", path.format(ca["id"]), status=200)
    assert answer.content_type == "application/x-pem-file"
    return x509.load_pem_x509_crl(answer.body)


def serials(listed):
    return {each.serial_number for each in listed}


def test_a_revoked_certificate_is_on_every_copy_of_the_crl(
    admin, anonymous, operator, app, clock, ca, issue, other_organization
):
    made, kept = issue("made"), issue("kept")
    clock.advance(60)
    revoked = admin.post(f"cert/{made['id']}/revoke/", status=200)
    assert (revoked["revoked"], revoked["revoked_at"]) == (True, "2026-01-01T12:01:00Z")
    clock.advance(60)
    # Once is enough.
    assert admin.post(f"cert/{made['id']}/revoke/", status=200)["revoked_at"] == revoked["revoked_at"]
    paths = ["ca/{}/crl/", "ca/{}/crl", "/admin/pki/ca/{}.crl", "/admin/pki/ca/x509/ca/{}.crl"]
    for path in paths:
        listed = crl(anonymous if path.startswith("/admin") else operator, ca, path)
        assert serials(listed) == {int(made["serial_number"])}
        assert serials(listed).isdisjoint({int(kept["serial_number"])})
        assert listed.is_signature_valid(x509.load_pem_x509_certificate(ca["certificate"].encode()).public_key())
        assert (listed.last_update_utc, listed.next_update_utc) == (clock.now, clock.now + timedelta(days=1))
    answer = operator.request("GET", f"ca/{ca['id']}/crl/", headers={"Accept": "text/html"})
    assert answer.headers["Content-Disposition"] == f"attachment; filename={ca['id']}.crl"
    number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    # One that says the same is signed again after a minute.
    clock.advance(59)
    assert crl(operator, ca).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number
    clock.advance(1)
    assert crl(operator, ca).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > number
    anonymous.get(f"ca/{ca['id']}/crl/", status=401)
    for path in ("/admin/pki/ca/999.crl", "/admin/pki/ca/99999999999999999999.crl"):
        app.get(path, status=404)
    foreign = admin.post("ca/", {"name": "f", "organization": other_organization, "key_length": "256"})
    operator.get(f"ca/{foreign['id']}/crl/", status=404)


def test_a_renewed_or_deleted_certificate_stays_on_the_crl_until_it_expires(admin, clock, ca, issue):
    renewed, deleted = issue("renewed"), issue("deleted", validity_end="2026-01-03T00:00:00Z")
    for each in (renewed, deleted):
        admin.post(f"cert/{each['id']}/revoke/", status=200)
    again = admin.post(f"cert/{renewed['id']}/renew/", status=200)
    assert again["revoked"]
    admin.delete(f"cert/{deleted['id']}/")
    admin.post(f"ca/{ca['id']}/renew/", status=200)
    # What is revoked is not worth a new key.
    assert admin.get(f"cert/{renewed['id']}/")["serial_number"] == again["serial_number"]
    longer = {int(renewed["serial_number"]), int(again["serial_number"])}
    assert serials(crl(admin, ca)) == longer | {int(deleted["serial_number"])}
    clock.advance(2 * 86400)
    assert serials(crl(admin, ca)) == longer


HISTORY = st.lists(
    st.tuples(st.sampled_from(["issue", "revoke", "renew", "delete", "renew-ca", "day", "forget"]), st.integers(0, 5)),
    max_size=30,
)


def test_what_a_shared_ca_issued_for_an_organization_stays_on_the_crl_when_that_goes(
    admin, organization, other_organization, ca, issue
):
    shared = admin.post("ca/", {"name": "shared", "organization": None, "key_length": "256"})
    own, kept = (issue(name, ca=shared["id"], organization=each) for name, each in (("a", organization), ("b", None)))
    issue("c")
    admin.delete(f"/api/v1/users/organization/{organization}/")
    assert serials(crl(admin, shared)) == {int(own["serial_number"])}
    assert [each["id"] for each in admin.get("cert/")["results"]] == [kept["id"]]


@pytest.fixture
def owner(runtime, organization):
    return UUID(organization)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=HISTORY)
def test_every_history_keeps_the_crl_right(runtime, clock, owner, history):
    revoked: dict[str, object] = {}
    now = clock.now
    with runtime.session_factory() as session:
        ca = ca_row(session, owner)
        present: list[Cert] = []
        for action, number in history:
            chosen = present[number % len(present)] if present else None
            if action == "issue":
                fields = {"validity_end": now + timedelta(days=number % 3 + 1)}
                present.append(cert_row(session, owner, ca, **fields))
            elif action == "renew-ca":
                with_keys = {use: some_key() for use, _ in renewal.needed([ca, *present])}
                signed = renewal.signed(ca, present[::2], with_keys, now, with_ca=True)
                renewal.renew_ca(session, ca, signed, now)
            elif action == "day":
                now += timedelta(days=1)
            elif action == "forget":
                forget_expired(session, now)
            elif chosen is not None and action == "revoke":
                revoke(session, [chosen], now)
                revoked[chosen.serial_number] = chosen.validity_end
            elif chosen is not None and action == "renew":
                signed = renewal.signed(ca, [chosen], {(Cert, chosen.id): some_key()}, now, with_ca=False)
                renewal.renew_certificate(session, chosen, ca, signed)
                if chosen.revoked:
                    revoked[chosen.serial_number] = chosen.validity_end
            elif chosen is not None:
                present.remove(chosen)
                session.delete(chosen)
                session.flush()
            listed = x509.load_pem_x509_crl(crl_of(session, ca, now).pem)
            assert {str(each) for each in serials(listed)} == {key for key, end in revoked.items() if end > now}
            issuer = issuer_of(ca)
            assert listed.is_signature_valid(issuer.certificate.public_key())
        session.rollback()
