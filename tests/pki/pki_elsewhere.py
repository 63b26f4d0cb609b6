"""Certificates that were made elsewhere, good ones and bad ones."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

START = datetime(2025, 12, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(name: str) -> str:
    return key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def ed25519_pem() -> str:
    made = ed25519.Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def subject(name: str) -> x509.Name:
    attributes = [
        (NameOID.ORGANIZATION_NAME, "Elsewhere"),
        (NameOID.DOMAIN_COMPONENT, "net"),
        (NameOID.COMMON_NAME, name),
    ]
    return x509.Name([x509.NameAttribute(*each) for each in attributes])


def certificate(
    name: str,
    issuer: str | None = None,
    *,
    signed_by: str | None = None,
    ca: bool | None = None,
    start: datetime = START,
    end: datetime = END,
    serial: int | None = None,
    extensions: tuple[Any, ...] = (),
) -> str:
    """A certificate for the key ``name``; without ``issuer`` it signs itself and is a CA."""
    ca = issuer is None if ca is None else ca
    builder = (
        x509.CertificateBuilder(extensions=[])
        .subject_name(subject(name))
        .issuer_name(subject(issuer or name))
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .public_key(key(name).public_key())
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    made = builder.sign(key(signed_by or issuer or name), hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


SERVER = (
    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    x509.SubjectAlternativeName([x509.DNSName("vpn.example.org")]),
)
