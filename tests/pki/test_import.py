"""What was made elsewhere comes in by four fields, if it would work."""

from datetime import UTC, datetime
from uuid import UUID

import pki_elsewhere as elsewhere
import pytest
import sqlalchemy as sa
from cryptography import x509
from guywire.db import writing
from guywire.models import User
from guywire.security import add_member
from guywire.testing import Client
from guywire.testing.fixtures import make_user


def body(name, pem, key=None, **fields):
    return {"name": name, "certificate": pem, "private_key": elsewhere.key_pem(key or name)} | fields


@pytest.fixture
def ca(admin, organization):
    """An imported CA of the organization."""
    return admin.post("ca/", body("root", elsewhere.certificate("root"), organization=organization))


def test_a_ca_and_its_certificate_need_only_the_documented_fields(admin, administrator, organization, ca):
    assert (ca["common_name"], ca["key_length"], ca["digest"]) == ("root", "256", "sha256")
    assert (ca["organization_name"], ca["validity_end"]) == ("Elsewhere", "2027-01-01T00:00:00Z")
    pem = elsewhere.certificate("leaf", "root", extensions=elsewhere.SERVER)
    made = administrator.post("cert/", body("leaf", pem, ca=ca["id"]))
    assert made["organization"] == organization
    assert made["certificate"].strip() == pem.strip()
    # Renewing it keeps what nobody can ask for here.
    renewed = administrator.post(f"cert/{made['id']}/renew/", status=200)
    old, new = (x509.load_pem_x509_certificate(each["certificate"].encode()) for each in (made, renewed))
    assert (new.subject, new.not_valid_before_utc) == (old.subject, old.not_valid_before_utc)
    assert new.not_valid_after_utc == datetime(2027, 1, 2, tzinfo=UTC)
    for kind in (x509.ExtendedKeyUsage, x509.SubjectAlternativeName):
        assert new.extensions.get_extension_for_class(kind) == old.extensions.get_extension_for_class(kind)
    # So does renewing the CA, whose certificates verify with what it has become.
    authority = administrator.post(f"ca/{ca['id']}/renew/", status=200)
    again = administrator.get(f"cert/{made['id']}/")
    assert len({each["serial_number"] for each in (made, renewed, again)}) == 3
    issuer = x509.load_pem_x509_certificate(authority["certificate"].encode())
    x509.load_pem_x509_certificate(again["certificate"].encode()).verify_directly_issued_by(issuer)
    assert issuer.subject == elsewhere.subject("root")


def test_without_organization_it_is_the_only_one_of_the_user_or_shared(
    admin, administrator, app, runtime, organization, other_organization
):
    pem = elsewhere.certificate("mine")
    assert administrator.post("ca/", body("mine", pem))["organization"] == organization
    shared = admin.post("ca/", body("mine", pem))
    assert shared["organization"] is None
    leaf = body("leaf", elsewhere.certificate("leaf", "mine"), ca=shared["id"])
    assert administrator.post("cert/", leaf)["organization"] == organization
    assert "__all__" in admin.post("cert/", leaf, status=400)
    other = body("other", elsewhere.certificate("other", "mine"), ca=shared["id"])
    assert admin.post("cert/", other)["organization"] is None
    many = make_user(runtime, "many", organization, "Administrator")
    _join(runtime, "many", other_organization)
    assert "organization" in Client(app, many).post("ca/", body("mine", pem), status=400)


def test_the_chain_up_to_the_root_comes_along(admin, organization):
    root, middle = elsewhere.certificate("root"), elsewhere.certificate("middle", "root", ca=True)
    stranger = elsewhere.certificate("middle", "root", ca=True, signed_by="impostor")
    for wrong in (stranger + root, middle + stranger):
        assert list(admin.post("ca/", body("middle", wrong, organization=organization), status=400)) == ["certificate"]
    made = admin.post("ca/", body("middle", middle + root, organization=organization))
    assert made["certificate"].strip() == (middle + root).strip()
    leaf = admin.post("cert/", {"name": "leaf", "ca": made["id"], "organization": organization, "key_length": "256"})
    issuer = x509.load_pem_x509_certificate(middle.encode())
    x509.load_pem_x509_certificate(leaf["certificate"].encode()).verify_directly_issued_by(issuer)
    # It would become another CA, which nobody trusts.
    assert list(admin.post(f"ca/{made['id']}/renew/", status=400)) == ["__all__"]
    assert admin.get(f"ca/{made['id']}/")["certificate"] == made["certificate"]


def _join(runtime, username, organization):
    with writing(runtime.session_factory) as session:
        user = session.scalars(sa.select(User).where(User.username == username)).one()
        add_member(session, user, UUID(organization), is_admin=True)


def test_what_would_not_work_is_refused(admin, organization, ca):
    past, future = datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    good = elsewhere.certificate("leaf", "root")
    leaf = {"ca": ca["id"], "organization": organization}
    encrypted = {"private_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"}
    for sent, named in (
        (body("leaf", good, "other", **leaf), "private_key"),
        (body("leaf", good, **leaf) | {"private_key": "garbage"}, "private_key"),
        (body("leaf", good, **leaf) | {"private_key": elsewhere.ed25519_pem()}, "private_key"),
        (body("leaf", good, **leaf) | encrypted, "passphrase"),
        (body("leaf", good, **leaf) | {"private_key": ""}, "__all__"),
        (body("leaf", good, **leaf) | {"certificate": ""}, "__all__"),
        (body("leaf", "garbage", **leaf), "certificate"),
        (body("leaf", elsewhere.certificate("leaf", "root", end=past), **leaf), "__all__"),
        (body("leaf", elsewhere.certificate("leaf", "root", start=future), **leaf), "__all__"),
        (body("leaf", elsewhere.certificate("leaf", "stranger"), **leaf), "__all__"),
        (body("leaf", elsewhere.certificate("leaf", "root", signed_by="impostor"), **leaf), "__all__"),
    ):
        assert list(admin.post("cert/", sent, status=400)) == [named]
    for sent, named in (
        (body("x", elsewhere.certificate("x", ca=False), organization=organization), "__all__"),
        (body("x", elsewhere.certificate("x", end=past), organization=organization), "__all__"),
        (body("x", elsewhere.certificate("x"), "y", organization=organization), "private_key"),
    ):
        assert list(admin.post("ca/", sent, status=400)) == [named]
    assert admin.get("cert/")["count"] == 0
    admin.post("cert/", body("leaf", good, **leaf))
    assert list(admin.post("cert/", body("leaf", good, **leaf), status=400)) == ["non_field_errors"]


def test_a_revoked_certificate_that_comes_back_is_still_revoked(admin, clock, ca):
    sent = body("leaf", elsewhere.certificate("leaf", "root"), ca=ca["id"])
    made = admin.post("cert/", sent)
    revoked = admin.post(f"cert/{made['id']}/revoke/", status=200)
    admin.delete(f"cert/{made['id']}/")
    clock.advance(60)
    # As a file from Windows with words around it: the same all the same.
    around = {part: f"Words\n{sent[part]}".replace("\n", "\r\n") for part in ("certificate", "private_key")}
    again = admin.post("cert/", sent | around)
    assert again["private_key"] == made["private_key"]
    assert (again["revoked"], again["revoked_at"]) == (True, revoked["revoked_at"])
    # And nobody else gets its number.
    admin.delete(f"cert/{again['id']}/")
    other = {"name": "o", "common_name": "o", "organization": ca["organization"], "ca": ca["id"], "key_length": "256"}
    assert "__all__" in admin.post("cert/", other | {"serial_number": made["serial_number"]}, status=400)
