"""What bodies of CAs and certificates hold."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from guywire.api import fields
from guywire.api.body import parse_json
from guywire.api.field import Field, context_of
from guywire.api.schema import Schema
from guywire.errors import ParseError
from guywire.models import Organization
from pydantic import BeforeValidator, ValidationInfo

from guywire_pki.models import CA
from guywire_pki.x509.certificates import DEFAULT_DIGEST, DIGESTS
from guywire_pki.x509.keys import DEFAULT_LENGTH, LENGTHS

_MAX_KEY = 16384
_MAX_CERTIFICATE = 65536


def _printable(text: str) -> list[str]:
    return [] if text.isprintable() else ["Control characters are not allowed."]


def _short(text: str) -> list[str]:
    # X.509 counts bytes where people count characters.
    return [] if len(text.encode()) <= 64 else ["Ensure this field has no more than 64 bytes."]


def _of_subject(max_length: int = 64, help: str = "") -> Field:
    return fields.text(max_length, blank=True, rules=(_printable, _short), help=help)


def _integer(text: str) -> list[str]:
    return [] if text.removeprefix("-").isdecimal() else ["Serial number must be an integer"]


def _serial(*rules: fields.Rule) -> Field:
    help = "A number of up to 159 bits. By default a random one."
    return fields.text(48, blank=True, null=True, rules=rules, help=help)


def _listed(value: Any, info: ValidationInfo) -> Any:
    """Whatever is given: what is wrong with it is an error of the whole certificate, as in the reference."""
    if context_of(info).is_form and isinstance(value, str):
        try:
            return parse_json(value.encode()) if value.strip() else []
        except ParseError:
            return value
    return [] if value is None else value


_EXTENSIONS = Field(
    _listed,
    kind="object",
    help="A list of objects with name (extendedKeyUsage, nsCertType, nsComment) or oid, value, and critical.",
)

_number_as_text = BeforeValidator(lambda value: str(value) if type(value) is int else value)


class Editable(Schema):
    """The fields that can be changed."""

    name: Annotated[str, fields.text(64)]
    organization: Annotated[uuid.UUID | None, fields.reference(Organization, null=True)] = None
    notes: Annotated[str, fields.text(blank=True)] = ""


class _Particulars(Schema):
    key_length: Annotated[str, fields.choice(lambda registry: LENGTHS), _number_as_text] = DEFAULT_LENGTH
    digest: Annotated[str, fields.choice(lambda registry: {digest: digest.upper() for digest in DIGESTS})] = (
        DEFAULT_DIGEST
    )
    validity_start: Annotated[datetime | None, fields.moment(null=True, help="By default since yesterday.")] = None
    validity_end: Annotated[datetime | None, fields.moment(null=True, help="By default a year; of a CA ten.")] = None
    country_code: Annotated[str, fields.text(2, blank=True, help="Two letters.")] = ""
    state: Annotated[str, _of_subject()] = ""
    city: Annotated[str, _of_subject()] = ""
    organization_name: Annotated[str, _of_subject()] = ""
    organizational_unit_name: Annotated[str, _of_subject()] = ""
    email: Annotated[str, fields.email(blank=True)] = ""
    common_name: Annotated[str, _of_subject()] = ""
    extensions: Annotated[Any, _EXTENSIONS] = []  # noqa: RUF012 (pydantic copies defaults)
    serial_number: Annotated[str | None, _serial()] = None
    certificate: Annotated[
        str, fields.text(_MAX_CERTIFICATE, blank=True, kind="text", help="To import one, as PEM; with its private key.")
    ] = ""
    private_key: Annotated[str, fields.text(_MAX_KEY, blank=True, kind="text", help="To import it, as PEM.")] = ""
    passphrase: Annotated[
        str, fields.text(64, blank=True, trim=False, kind="password", help="Of the private key, if it has one.")
    ] = ""


class CABody(_Particulars, Editable):
    """A new CA, or one to import. The organization has to be stated, but for imported ones."""

    serial_number: Annotated[str | None, _serial(_integer)] = None


class StatedCABody(CABody):
    """A new CA that is not imported."""

    organization: Annotated[uuid.UUID | None, fields.reference(Organization, null=True)]


class _Issued(Schema):
    ca: Annotated[int, fields.reference(CA, help="The CA that signs, or signed, it.")]


class CertBody(_Particulars, _Issued, Editable):
    """A new certificate, or one to import."""
