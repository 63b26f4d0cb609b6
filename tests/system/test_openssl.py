"""Certificates and revocation lists as OpenSSL and GnuTLS see them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from guywire.db import reading, writing
from guywire.interfaces import CertificateOrder, PkiProvider
from guywire.runtime import utc_now

pytestmark = pytest.mark.system

LENGTHS = ("256", "384", "521", "2048", "4096")


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def refused(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.fixture
def clock() -> Any:
    """The real time: the programs have no other."""
    return utc_now


@pytest.mark.parametrize("length", LENGTHS)
def test_openssl_and_gnutls_accept_them(
    length: str, admin: Any, app: Any, runtime: Any, clock: Any, organization: str, tmp_path: Path
) -> None:
    ca = admin.post("ca/", {"name": "ca", "common_name": "ca", "organization": organization, "key_length": length})
    provider = runtime.registry.services[PkiProvider]
    names = ["server", "client", "revoked"]
    with writing(runtime.session_factory) as session:
        orders = [CertificateOrder(name, name, UUID(organization), server=name == "server") for name in names]
        ids = dict(zip(names, provider.issue(session, ca["id"], orders, clock()), strict=True))
    admin.post(f"cert/{ids['revoked']}/revoke/", status=200)
    with reading(runtime.session_factory) as session:
        for credential in provider.credentials(session, list(ids.values())).values():
            (tmp_path / f"{credential.name}.pem").write_text(credential.pem)
            (tmp_path / f"{credential.name}.key").write_text(credential.key)
    (tmp_path / "ca.pem").write_text(ca["certificate"])
    (tmp_path / "ca.crl").write_bytes(app.get(f"/admin/pki/ca/{ca['id']}.crl").body)

    with_crl = ("-CAfile", "ca.pem", "-CRLfile", "ca.crl", "-crl_check", "-x509_strict")
    run(tmp_path, "openssl", "verify", *with_crl, "-purpose", "sslserver", "server.pem")
    run(tmp_path, "openssl", "verify", *with_crl, "-purpose", "sslclient", "client.pem")
    refused(tmp_path, "openssl", "verify", *with_crl, "-purpose", "sslserver", "client.pem")
    assert "revoked" in refused(tmp_path, "openssl", "verify", *with_crl, "revoked.pem")
    assert "verify OK" in run(tmp_path, "openssl", "crl", "-in", "ca.crl", "-CAfile", "ca.pem", "-noout")
    run(tmp_path, "openssl", "pkey", "-in", "client.key", "-check", "-noout")
    assert "SSL Server" in run(tmp_path, "openssl", "x509", "-in", "server.pem", "-noout", "-text")

    run(tmp_path, "certtool", "--verify", "--load-ca-certificate", "ca.pem", "--infile", "server.pem")
    run(tmp_path, "certtool", "--verify-crl", "--load-ca-certificate", "ca.pem", "--infile", "ca.crl")
    trusted = ("certtool", "--verify", "--load-ca-certificate", "ca.pem", "--load-crl", "ca.crl", "--infile")
    run(tmp_path, *trusted, "client.pem")
    assert "revoked" in refused(tmp_path, *trusted, "revoked.pem")
    assert len(x509.load_pem_x509_crl((tmp_path / "ca.crl").read_bytes())) == 1


def test_a_key_with_a_passphrase_and_custom_extensions_are_read(admin: Any, organization: str, tmp_path: Path) -> None:
    for length in ("256", "2048"):
        body = {"name": "c", "common_name": f"c{length}", "organization": organization, "key_length": length}
        extensions = [
            {"name": "nsCertType", "value": "server, client"},
            {"name": "nsComment", "value": "hello"},
            {"oid": "1.3.6.1.4.1.99999.1", "value": "ASN1:UTF8:string:grüße", "critical": False},
        ]
        made = admin.post("ca/", body | {"passphrase": "geheim", "extensions": extensions})
        (tmp_path / "ca.key").write_text(made["private_key"])
        (tmp_path / "ca.pem").write_text(made["certificate"])
        run(tmp_path, "openssl", "pkey", "-in", "ca.key", "-passin", "pass:geheim", "-check", "-noout")
        refused(tmp_path, "openssl", "pkey", "-in", "ca.key", "-passin", "pass:wrong", "-noout")
        text = run(tmp_path, "openssl", "x509", "-in", "ca.pem", "-noout", "-text")
        assert "SSL Client, SSL Server" in text
        assert "hello" in text
        run(tmp_path, "certtool", "--certificate-info", "--infile", "ca.pem")


def test_an_old_ca_that_openssl_made_comes_in_and_is_renewed_without_sha1(
    admin: Any, organization: str, tmp_path: Path
) -> None:
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-subj", "/CN=Old", "-days", "9")
    run(tmp_path, *new, "-keyout", "ca.key", "-out", "ca.pem")
    parts = {"certificate": (tmp_path / "ca.pem").read_text(), "private_key": (tmp_path / "ca.key").read_text()}
    made = admin.post("ca/", {"name": "old", "organization": organization, **parts})
    assert made["digest"] == "sha1"
    (tmp_path / "new.pem").write_text(admin.post(f"ca/{made['id']}/renew/", status=200)["certificate"])
    assert "sha256" in run(tmp_path, "openssl", "x509", "-in", "new.pem", "-noout", "-text")
