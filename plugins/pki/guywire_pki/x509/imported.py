"""Reads certificates that were made elsewhere, and refuses those that would not work."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from guywire.errors import MODEL, Invalid

from guywire_pki.x509 import keys
from guywire_pki.x509.certificates import DIGESTS
from guywire_pki.x509.keys import KeyInvalid, PassphraseWrong
from guywire_pki.x509.names import fields_of

BOTH_NEEDED = "When importing an existing certificate, both keys (private and public) must be present"

_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----\n.*?\n-----END \1PRIVATE KEY-----", re.DOTALL)

_INVALID = "Invalid certificate"
_FAILED = "Cryptographic signature verification failed: CA does not match."
_NOT_AUTHORIZED = "The selected CA is not authorized to sign certificates(BasicConstraints)."
_MISSING = "The selected CA is missing BasicConstraints and cannot sign."


def read(certificate_pem: str, key_pem: str, passphrase: str, now: datetime) -> dict[str, Any]:
    """The fields that a certificate gives which is valid now, and belongs to the key. Raises Invalid.

    The certificates of its issuers may follow it, each after the one that it issued; they are kept with it.
    """
    certificate, *issuers = _load(certificate_pem)
    # What OpenSSL writes around it (parameters of the curve, the key in words) is nobody's business.
    block = _KEY.search(key_pem.replace("\r\n", "\n"))
    key_pem = block[0] if block else ""
    try:
        key = keys.load(key_pem, passphrase, trusted=False)
        length = keys.length_of(key)
    except PassphraseWrong:
        raise Invalid({"passphrase": ["Incorrect Passphrase"]}) from None
    except KeyInvalid as error:
        raise Invalid({"private_key": [str(error)]}) from None
    try:
        belongs = certificate.public_key() == key.public_key()
        digest = certificate.signature_hash_algorithm
        fields: dict[str, Any] = fields_of(certificate)
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid({"certificate": [_INVALID]}) from None
    if not belongs:
        raise Invalid({"private_key": ["The private key does not belong to the certificate."]})
    _check_chain([certificate, *issuers])
    if digest is None or digest.name not in DIGESTS:
        raise Invalid({"certificate": ["The certificate is signed in a way that is not supported."]})
    if not 0 < certificate.serial_number < 2**160:
        raise Invalid({"certificate": ["The serial number of the certificate is not one that X.509 allows."]})
    if "\0" in "".join(fields.values()) or len(fields["common_name"]) > 255:
        raise Invalid({"certificate": ["The subject of the certificate cannot be stored."]})
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Invalid({MODEL: ["The certificate has expired or is not yet valid."]})
    return fields | {
        "key_length": length,
        "digest": digest.name,
        "validity_start": certificate.not_valid_before_utc,
        "validity_end": certificate.not_valid_after_utc,
        "serial_number": str(certificate.serial_number),
        "certificate": "".join(each.public_bytes(Encoding.PEM).decode() for each in (certificate, *issuers)).strip(),
        "private_key": key_pem,
        "passphrase": passphrase if "ENCRYPTED" in key_pem else "",
    }


def load_certificate(pem: str) -> x509.Certificate:
    """The first certificate of a text. Raises Invalid."""
    return _load(pem)[0]


def _load(pem: str) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
        for each in certificates:
            # What else would only be noticed when it is used.
            each.subject, each.issuer, each.extensions  # noqa: B018
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Invalid({"certificate": [_INVALID]}) from None
    return certificates


def _check_chain(certificates: list[x509.Certificate]) -> None:
    """Whether each certificate was issued by the one that follows it: OpenVPN wants to see them up to the root."""
    for each, issuer in pairwise(certificates):
        try:
            check_issued_by(each, issuer)
        except Invalid:
            raise Invalid({"certificate": ["What follows a certificate has to be the one of its issuer."]}) from None


def check_authority(ca: x509.Certificate) -> None:
    """Whether a certificate may sign others, and is sound if it signed itself. Raises Invalid."""
    _check_constraints(ca)
    if ca.issuer == ca.subject:
        _check_signature(ca, ca)


def check_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> None:
    """Whether a CA issued a certificate. Raises Invalid."""
    if certificate.issuer != ca.subject:
        raise Invalid({MODEL: ["The Certificate Issuer does not match the CA Subject."]})
    _check_constraints(ca)
    _check_signature(certificate, ca)


def _check_constraints(ca: x509.Certificate) -> None:
    try:
        is_ca = ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        raise Invalid({MODEL: [_MISSING]}) from None
    try:
        may_sign = ca.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        may_sign = True
    if not (is_ca and may_sign):
        raise Invalid({MODEL: [_NOT_AUTHORIZED]})


def _check_signature(certificate: x509.Certificate, ca: x509.Certificate) -> None:
    # By hand, because cryptography's own check knows no SHA-1, which old CAs have.
    signature, content = certificate.signature, certificate.tbs_certificate_bytes
    try:
        key = ca.public_key()
        how, digest = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and isinstance(how, (padding.PKCS1v15, padding.PSS)) and digest:
            key.verify(signature, content, how, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
            key.verify(signature, content, how)
        else:
            raise InvalidSignature
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        raise Invalid({MODEL: [_FAILED]}) from None
