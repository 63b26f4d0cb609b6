"""Distinguished names, and the fields of the API that they are made of."""

from __future__ import annotations

import secrets
import string
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

_ATTRIBUTES = {
    "country_code": NameOID.COUNTRY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "city": NameOID.LOCALITY_NAME,
    "organization_name": NameOID.ORGANIZATION_NAME,
    "organizational_unit_name": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "email": NameOID.EMAIL_ADDRESS,
    "common_name": NameOID.COMMON_NAME,
}
"""In the order in which the reference writes them."""

SUBJECT_FIELDS = tuple(_ATTRIBUTES)


_LONGEST = 64
_SUFFIX_LENGTH = 8
_LONGEST_BEGINNING = 55


def with_suffix(common_name: str) -> str:
    """A common name that nobody has, with the same beginning."""
    suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SUFFIX_LENGTH))
    return f"{common_name[:_LONGEST_BEGINNING]}-{suffix}"


def name_of(thing: Any) -> x509.Name:
    """The name that an object with the fields of the API has; empty fields are left out. Raises ValueError."""
    given = [(oid, getattr(thing, field)) for field, oid in _ATTRIBUTES.items()]
    if not any(value for _, value in given):
        # X.509 wants issuers to have a name (RFC 5280, 4.1.2.4), and OpenVPN refuses whoever has none.
        given = [(NameOID.COMMON_NAME, _short(thing.name) or thing.serial_number)]
    for oid, value in given:
        if oid == NameOID.COUNTRY_NAME and value and not (value.isascii() and value.isalpha()):
            raise ValueError("country_code: two letters are wanted")
        if oid == NameOID.EMAIL_ADDRESS and not value.isascii():
            raise ValueError("email: in certificates it is ASCII")
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in given if value])


def _short(name: str) -> str:
    printable = "".join(character for character in name if character.isprintable())
    return printable.encode()[:_LONGEST].decode(errors="ignore")


def fields_of(certificate: x509.Certificate) -> dict[str, Any]:
    """The fields that a certificate's subject gives; a country that is none becomes empty, as in the reference."""
    found = {}
    for field, oid in _ATTRIBUTES.items():
        values = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]
        found[field] = values[0] if values else ""
    if len(found["country_code"]) > 2:
        found["country_code"] = ""
    found["email"] = _alternative_email(certificate) or found["email"]
    return found


def _alternative_email(certificate: x509.Certificate) -> str:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    addresses = alternatives.get_values_for_type(x509.RFC822Name)
    return addresses[0] if addresses else ""
