"""Extensions that users ask for as JSON, and the X.509 extensions that they become."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from guywire.errors import MODEL, NON_FIELD, FieldErrors

NS_CERT_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")
NS_COMMENT = x509.ObjectIdentifier("2.16.840.1.113730.1.13")

FORMAT_INVALID = "Extension format invalid"

_MAX_COMMENT = 255
_MAX_PAYLOAD = 65536
_MAX_EXTENSIONS = 100

_USAGES = {
    "clientauth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "serverauth": ExtendedKeyUsageOID.SERVER_AUTH,
    "codesigning": ExtendedKeyUsageOID.CODE_SIGNING,
    "emailprotection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
}

# The first name is the highest bit; bit 4 is reserved (Netscape Certificate Specifications).
_TYPE_BITS = {"client": 0, "server": 1, "email": 2, "objsign": 3, "sslca": 5, "emailca": 6, "objca": 7}

_STRING_TAGS = {"UTF8": 0x0C, "PRINTABLE": 0x13, "IA5": 0x16, "OCTET": 0x04}
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,17})){1,20}")

_RESERVED = {oid.dotted_string for oid in vars(ExtensionOID).values() if isinstance(oid, x509.ObjectIdentifier)} | {
    NS_CERT_TYPE.dotted_string,
    NS_COMMENT.dotted_string,
}


class ExtensionInvalid(Exception):
    """An extension that cannot be made; ``errors`` is the body of the answer."""

    def __init__(self, message: str, key: str = MODEL) -> None:
        super().__init__(message)
        self.errors: FieldErrors = {key: [message]}


def parse(items: Any) -> list[tuple[x509.ExtensionType, bool]]:
    """The extensions of a JSON value, and whether each is critical. Raises ExtensionInvalid."""
    if not isinstance(items, list) or len(items) > _MAX_EXTENSIONS:
        raise ExtensionInvalid(FORMAT_INVALID)
    found: list[tuple[x509.ExtensionType, bool]] = []
    for item in items:
        made = _extension(item)
        if any(made.oid == known.oid for known, _ in found):
            raise ExtensionInvalid(f"Duplicate extension OID is not allowed: {made.oid.dotted_string}")
        found.append((made, item.get("critical", False)))
    return found


def _extension(item: Any) -> x509.ExtensionType:
    if not isinstance(item, Mapping):
        raise ExtensionInvalid(FORMAT_INVALID)
    name, oid, value = item.get("name"), item.get("oid"), item.get("value")
    if name is not None and oid is not None:
        raise ExtensionInvalid("Extension identifier cannot include both 'name' and 'oid'")
    identifier = oid if name is None else name
    if not isinstance(identifier, str) or not isinstance(value, str):
        raise ExtensionInvalid(FORMAT_INVALID)
    if not isinstance(item.get("critical", False), bool):
        raise ExtensionInvalid(FORMAT_INVALID)
    if name is None:
        return _custom(identifier, value)
    if name not in _NAMED:
        raise ExtensionInvalid(f"Unsupported extension: {name}", NON_FIELD)
    return _NAMED[name](value)


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",")]


def _extended_key_usage(value: str) -> x509.ExtensionType:
    usages = []
    for word in _words(value):
        if word.lower() not in _USAGES:
            raise ExtensionInvalid(f"Unsupported extendedKeyUsage value: {word}", NON_FIELD)
        usages.append(_USAGES[word.lower()])
    return x509.ExtendedKeyUsage(dict.fromkeys(usages))


def _ns_cert_type(value: str) -> x509.ExtensionType:
    bits = set()
    for word in _words(value):
        if word.lower() not in _TYPE_BITS:
            raise ExtensionInvalid(f"Unsupported nsCertType value: {word}", NON_FIELD)
        bits.add(_TYPE_BITS[word.lower()])
    # DER wants to know how many bits at the end are unused, and all of them to be zero.
    content = bytes([7 - max(bits), sum(0x80 >> bit for bit in bits)])
    return x509.UnrecognizedExtension(NS_CERT_TYPE, _der(0x03, content))


def _ns_comment(value: str) -> x509.ExtensionType:
    if not value or len(value) > _MAX_COMMENT or not value.isascii():
        message = f"Unsupported nsComment value: 1 to {_MAX_COMMENT} ASCII characters are wanted"
        raise ExtensionInvalid(message, NON_FIELD)
    return x509.UnrecognizedExtension(NS_COMMENT, _der(0x16, value.encode()))


_NAMED = {"extendedKeyUsage": _extended_key_usage, "nsCertType": _ns_cert_type, "nsComment": _ns_comment}


def _custom(oid: str, value: str) -> x509.ExtensionType:
    if not _OID.fullmatch(oid):
        raise ExtensionInvalid(f"Invalid OID format: {oid}")
    try:
        identifier = x509.ObjectIdentifier(oid)
    except ValueError:
        raise ExtensionInvalid(f"Invalid OID format: {oid}") from None
    if oid in _RESERVED or oid.startswith("2.5.29."):
        raise ExtensionInvalid(f"Reserved extension OID is not allowed: {oid}")
    if not value.startswith("ASN1:"):
        raise ExtensionInvalid("Custom OID values must start with 'ASN1:'")
    parts = value.split(":", 3)
    if len(parts) != 4 or parts[2] not in ("string", "hex") or (parts[2] == "hex" and parts[1] != "OCTET"):
        raise ExtensionInvalid("Invalid ASN1 format. Expected 'ASN1:<TYPE>:<KIND>:<VALUE>'")
    _, kind, notation, payload = parts
    if kind not in _STRING_TAGS:
        raise ExtensionInvalid(f"Unsupported ASN1 type: {kind}")
    content = _payload(kind, notation, payload)
    if len(content) > _MAX_PAYLOAD:
        raise ExtensionInvalid(f"The value of {oid} is longer than {_MAX_PAYLOAD} bytes")
    return x509.UnrecognizedExtension(identifier, _der(_STRING_TAGS[kind], content))


def _payload(kind: str, notation: str, payload: str) -> bytes:
    if notation == "hex":
        try:
            return binascii.unhexlify(re.sub("[ :-]", "", payload))
        except (binascii.Error, ValueError):
            raise ExtensionInvalid("The hexadecimal value of an extension has other characters") from None
    if (kind == "IA5" and not payload.isascii()) or (kind == "PRINTABLE" and not _PRINTABLE.fullmatch(payload)):
        raise ExtensionInvalid(f"The value of an extension has characters that {kind} has not")
    return payload.encode()


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content
