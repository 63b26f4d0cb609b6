"""CAs and certificates over REST: what is made, what is refused, and what nobody sees."""

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from guywire.db import reading, writing
from guywire_pki.x509 import keys

NS_CERT_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")


def loaded(shown):
    return x509.load_pem_x509_certificate(shown["certificate"].encode())


def value(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def test_a_ca_issues_a_certificate_that_verifies_and_can_be_filtered_by_its_end(admin, clock, ca, issue):
    first = issue("first", key_length="2048", validity_end="2026-02-01T00:00:00Z")
    clock.advance(60)
    second = issue("second")
    certificate, authority = loaded(first), loaded(ca)
    certificate.verify_directly_issued_by(authority)
    key = load_pem_private_key(first["private_key"].encode(), None)
    assert key.public_key() == certificate.public_key()
    assert str(certificate.serial_number) == first["serial_number"]
    assert [each["name"] for each in admin.get("cert/", expires__lt="2026-03-01T00:00:00Z")["results"]] == ["first"]
    assert [each["name"] for each in admin.get("cert/", ca=ca["id"])["results"]] == ["second", "first"]
    assert admin.get("cert/", revoked="true")["count"] == 0
    # Default times count from the request.
    assert (second["validity_start"], second["validity_end"]) == ("2025-12-31T00:00:00Z", "2027-01-02T00:00:00Z")
    clock.advance(30 * 86400)
    assert issue("later")["validity_end"] == "2027-02-01T00:00:00Z"


def test_usages_fit_the_key_and_extensions_are_der(ca, issue):
    extensions = [
        {"name": "nsCertType", "value": "server"},
        {"name": "extendedKeyUsage", "value": "serverAuth,clientAuth", "critical": True},
        {"name": "nsComment", "value": "x" * 200},
        {"oid": "1.3.6.1.4.1.99999.1", "value": "ASN1:UTF8:string:a:b"},
        {"oid": "1.3.6.1.4.1.99999.2", "value": "ASN1:OCTET:hex:00 ff"},
    ]
    rsa = loaded(issue("rsa", key_length="2048", extensions=extensions))
    usage = value(rsa, x509.KeyUsage)
    assert (usage.digital_signature, usage.key_encipherment, usage.key_agreement) == (True, True, False)
    by_oid = {each.oid.dotted_string: each for each in rsa.extensions}
    assert by_oid[NS_CERT_TYPE.dotted_string].value.value == bytes.fromhex("03020640")
    assert by_oid["2.16.840.1.113730.1.13"].value.value == b"\x16\x81\xc8" + b"x" * 200
    assert by_oid["1.3.6.1.4.1.99999.1"].value.value == b"\x0c\x03a:b"
    assert by_oid["1.3.6.1.4.1.99999.2"].value.value == b"\x04\x02\x00\xff"
    assert by_oid["2.5.29.37"].critical
    usage = value(loaded(issue("ec")), x509.KeyUsage)
    assert (usage.digital_signature, usage.key_encipherment, usage.key_agreement) == (True, False, True)
    authority = loaded(ca)
    assert value(authority, x509.BasicConstraints).ca
    identifier = value(authority, x509.SubjectKeyIdentifier).digest
    assert value(rsa, x509.AuthorityKeyIdentifier).key_identifier == identifier


BAD = [
    ({"common_name": "a\nb"}, {"common_name"}),
    ({"common_name": "é" * 40}, {"common_name"}),
    ({"country_code": "1!"}, {"non_field_errors"}),
    ({"country_code": "X"}, {"non_field_errors"}),
    ({"email": "é@example.org"}, {"non_field_errors"}),
    ({"serial_number": "-1"}, {"non_field_errors"}),
    ({"serial_number": "9" * 48}, {"non_field_errors"}),
    ({"validity_start": "0001-01-01T00:00:00Z"}, {"non_field_errors"}),
    ({"validity_end": "2001-01-01"}, {"non_field_errors"}),
    ({"digest": "sha1"}, {"digest"}),
    ({"certificate": "garbage", "private_key": "garbage"}, {"certificate"}),
    ({"extensions": [1]}, {"__all__"}),
    ({"extensions": [{"name": "nsComment", "value": 1}]}, {"__all__"}),
    ({"extensions": [{"name": "nsComment", "value": "x", "critical": "no"}]}, {"__all__"}),
    ({"extensions": [{"name": "a", "oid": "1.2", "value": "x"}]}, {"__all__"}),
    ({"extensions": [{"oid": "9.9", "value": "ASN1:UTF8:string:x"}]}, {"__all__"}),
    ({"extensions": [{"oid": "2.5.29.19", "value": "ASN1:UTF8:string:x"}]}, {"__all__"}),
    ({"extensions": [{"oid": "1.2.3", "value": "text"}]}, {"__all__"}),
    ({"extensions": [{"oid": "1.2.3", "value": "ASN1:UTF8:hex:00"}]}, {"__all__"}),
    ({"extensions": [{"oid": "1.2.3", "value": "ASN1:OCTET:hex:0"}]}, {"__all__"}),
    ({"extensions": [{"oid": "1.2.3", "value": "ASN1:IA5:string:é"}]}, {"__all__"}),
    ({"extensions": [{"name": "nsComment", "value": "x"}] * 2}, {"__all__"}),
    ({"extensions": [{"name": "extendedKeyUsage", "value": "flying"}]}, {"non_field_errors"}),
    ({"extensions": [{"name": "nsComment", "value": ""}]}, {"non_field_errors"}),
]


def test_bad_input_is_named_and_makes_nothing(admin, organization, ca):
    for path, more in (("ca/", {}), ("cert/", {"ca": ca["id"]})):
        for fields, named in BAD:
            body = {"name": "x", "common_name": "x", "organization": organization, "key_length": "256"} | more | fields
            assert set(admin.post(path, body, status=400)) == named, fields
    assert admin.get("cert/")["count"] == 0
    assert admin.get("ca/")["count"] == 1


def test_what_has_no_other_name_has_its_name_as_subject(admin, organization):
    made = admin.post("ca/", {"name": "é" * 40, "organization": organization, "key_length": "256"})
    leaf = admin.post("cert/", {"name": "leaf", "ca": made["id"], "organization": organization, "key_length": "256"})
    assert (made["common_name"], leaf["common_name"]) == ("", "")
    assert loaded(leaf).issuer.rfc4514_string() == f"CN={'é' * 32}"
    assert loaded(leaf).subject.rfc4514_string() == "CN=leaf"


def test_keys_are_sealed_in_the_database_and_passphrases_are_not_shown(admin, runtime, organization):
    made = admin.post(
        "ca/",
        {"name": "c", "common_name": "c", "organization": organization, "passphrase": " secret ", "key_length": "256"},
    )
    assert "passphrase" not in made
    assert load_pem_private_key(made["private_key"].encode(), b" secret ")
    with reading(runtime.session_factory) as session:
        row = session.execute(sa.text("SELECT private_key, passphrase FROM pki_ca")).one()
    assert not any(word in bytes(part) for part in row for word in (b"KEY", b"secret"))
    # The CA signs all the same.
    admin.post("cert/", {"name": "x", "organization": organization, "ca": made["id"], "key_length": "256"})


def test_keys_are_made_while_others_may_write(admin, runtime, organization, monkeypatch):
    make, written = keys.generate_many, []

    def make_and_write(lengths):
        with writing(runtime.session_factory) as session:
            session.execute(sa.text("UPDATE organization SET description = 'meanwhile'"))
        written.append(len(lengths))
        return make(lengths)

    monkeypatch.setattr(keys, "generate_many", make_and_write)
    ca = admin.post("ca/", {"name": "c", "common_name": "c", "organization": organization, "key_length": "256"})
    made = admin.post("cert/", {"name": "x", "organization": organization, "ca": ca["id"], "key_length": "256"})
    admin.post(f"cert/{made['id']}/renew/", status=200)
    admin.post(f"ca/{ca['id']}/renew/", status=200)
    # What is refused needs no key.
    admin.post("cert/", {"name": "x", "organization": organization, "ca": ca["id"]}, status=400)
    assert written == [1, 1, 1, 2, 0][: len(written)]
    assert len(written) == 4


def test_common_names_are_unique_in_an_organization_and_a_shared_ca_signs_for_all(
    admin, administrator, operator, organization, other_organization
):
    shared = admin.post("ca/", {"name": "s", "common_name": "s", "organization": None, "key_length": "256"})
    body = {"name": "x", "common_name": "x", "ca": shared["id"], "key_length": "256"}
    made = administrator.post("cert/", body | {"organization": organization})
    admin.post("cert/", body | {"organization": other_organization})
    assert "non_field_errors" in administrator.post("cert/", body | {"organization": organization}, status=400)
    assert "organization" in administrator.post("cert/", body, status=400)
    assert "organization" in administrator.post("cert/", body | {"organization": None}, status=400)
    assert "organization" in administrator.post("cert/", body | {"organization": other_organization}, status=400)
    administrator.patch(f"ca/{shared['id']}/", {"name": "mine"}, status=403)
    administrator.post(f"ca/{shared['id']}/renew/", status=403)
    operator.get(f"cert/{made['id']}/")
    # Whoever had the key of a shared CA could be the server and the client of anybody.
    assert [operator.get(f"ca/{shared['id']}/")["private_key"], operator.get("ca/")["results"][0]["private_key"]] == [
        "********",
        "********",
    ]
    assert admin.get(f"ca/{shared['id']}/")["private_key"] == shared["private_key"]
    operator.post(f"cert/{made['id']}/revoke/", status=403)
    # A CA does not leave certificates of others behind, and certificates stay with their CA's organization.
    assert "organization" in admin.patch(f"ca/{shared['id']}/", {"organization": organization}, status=400)
    own = administrator.post(
        "ca/", {"name": "o", "common_name": "o", "organization": organization, "key_length": "256"}
    )
    theirs = administrator.post("cert/", body | {"common_name": "y", "ca": own["id"], "organization": organization})
    assert "organization" in admin.patch(f"cert/{theirs['id']}/", {"organization": other_organization}, status=400)
    assert admin.put(f"cert/{theirs['id']}/", {"name": "z"})["organization"] == organization
