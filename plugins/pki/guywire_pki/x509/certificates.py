"""Makes certificates: those of CAs, signed by themselves, and those that CAs sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from guywire.errors import NON_FIELD, Invalid

from guywire_pki.x509.extensions import ExtensionInvalid, parse
from guywire_pki.x509.keys import PrivateKey
from guywire_pki.x509.names import name_of

_DIGESTS: dict[str, hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}

DIGESTS = ("sha1", *_DIGESTS)
"""What certificates may be signed with. SHA-1 is for imported ones only."""

DEFAULT_DIGEST = "sha256"

CA_VALIDITY = timedelta(days=3650)
VALIDITY = timedelta(days=365)

GENERATION_FAILED = "Certificate generation failed due to invalid certificate parameters."

_DAY = timedelta(days=1)
_NO_USAGE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}
_CA_USAGE = x509.KeyUsage(**_NO_USAGE | {"key_cert_sign": True, "crl_sign": True})
_RSA_USAGE = x509.KeyUsage(**_NO_USAGE | {"digital_signature": True, "key_encipherment": True})
# Elliptic keys encipher nothing (RFC 8813, section 3).
_EC_USAGE = x509.KeyUsage(**_NO_USAGE | {"digital_signature": True, "key_agreement": True})


class Particulars(Protocol):
    """What a certificate says, besides its key: a row of a CA or of a certificate has all of it.

    It has the fields of ``names.SUBJECT_FIELDS`` too.
    """

    name: Any
    digest: Any
    validity_start: Any
    validity_end: Any
    extensions: Any
    serial_number: Any


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA that can sign."""

    certificate: x509.Certificate
    key: PrivateKey


def new_serial() -> str:
    """A serial number that nobody can guess."""
    return str(uuid4().int)


def default_start(now: datetime) -> datetime:
    """When a certificate begins to be valid: yesterday, because routers' clocks are slow."""
    return _midnight(now - _DAY)


def default_end(now: datetime, validity: timedelta) -> datetime:
    """When a certificate ends: with the day on which its time is over."""
    return _midnight(now + validity + _DAY)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def self_signed(particulars: Particulars, key: PrivateKey) -> str:
    """The certificate of a CA, as PEM. Raises Invalid."""
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    own: Sequence[tuple[x509.ExtensionType, bool]] = [
        (constraints, True),
        (_CA_USAGE, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
    ]
    return _sign(particulars, key, own, None, key)


def signed(particulars: Particulars, key: PrivateKey, issuer: Issuer) -> str:
    """A certificate that a CA signs, as PEM. Raises Invalid."""
    usage = _EC_USAGE if isinstance(key, ec.EllipticCurvePrivateKey) else _RSA_USAGE
    own: Sequence[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), False),
        (usage, False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (authority_key_identifier(issuer.certificate), False),
    ]
    return _sign(particulars, key, own, issuer.certificate.subject, issuer.key)


def renewed(
    old: x509.Certificate, serial: str, end: datetime, digest: str, key: PrivateKey, issuer: Issuer | None
) -> str:
    """A certificate that says what ``old`` said, for another key. ``issuer`` None: it signs itself. Raises Invalid.

    All of the subject and of the extensions is kept, also what nobody can ask for here.
    """
    public_key = key.public_key()
    by_itself = x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)
    of_keys: dict[x509.ObjectIdentifier, x509.ExtensionType] = {
        x509.SubjectKeyIdentifier.oid: x509.SubjectKeyIdentifier.from_public_key(public_key),
        x509.AuthorityKeyIdentifier.oid: by_itself if issuer is None else authority_key_identifier(issuer.certificate),
    }
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject if issuer is None else issuer.certificate.subject)
        .serial_number(int(serial))
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(end)
        .public_key(public_key)
    )
    for extension in old.extensions:
        builder = builder.add_extension(of_keys.pop(extension.oid, extension.value), extension.critical)
    for value in of_keys.values():
        builder = builder.add_extension(value, critical=False)
    return _signed(builder, key if issuer is None else issuer.key, digest)


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """How what an issuer signs refers to its key."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def check(particulars: Particulars) -> None:
    """Refuse, without a key, what could not become a certificate. Raises Invalid."""
    _builder(particulars, (), None)


def _builder(
    particulars: Particulars, own: Sequence[tuple[x509.ExtensionType, bool]], issuer: x509.Name | None
) -> x509.CertificateBuilder:
    try:
        wanted = parse(particulars.extensions)
    except ExtensionInvalid as error:
        raise Invalid(error.errors) from None
    if particulars.digest == "sha1":
        raise Invalid({"digest": ["SHA-1 is broken: nothing is signed with it any more."]})
    try:
        subject = name_of(particulars)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer)
            .serial_number(int(particulars.serial_number))
            .not_valid_before(particulars.validity_start)
            .not_valid_after(particulars.validity_end)
        )
        for extension, critical in (*own, *wanted):
            builder = builder.add_extension(extension, critical)
    except (ValueError, OverflowError) as error:
        raise Invalid({NON_FIELD: [GENERATION_FAILED, str(error)]}) from None
    return builder


def _sign(
    particulars: Particulars,
    key: PrivateKey,
    own: Sequence[tuple[x509.ExtensionType, bool]],
    issuer: x509.Name | None,
    signing_key: PrivateKey,
) -> str:
    return _signed(_builder(particulars, own, issuer).public_key(key.public_key()), signing_key, particulars.digest)


def _signed(builder: x509.CertificateBuilder, key: PrivateKey, digest: str) -> str:
    try:
        certificate = builder.sign(key, _DIGESTS[digest])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid({NON_FIELD: [GENERATION_FAILED, str(error)]}) from None
    return certificate.public_bytes(Encoding.PEM).decode()
