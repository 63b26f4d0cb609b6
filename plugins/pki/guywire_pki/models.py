"""The tables of this plugin: CAs, certificates, and which serial numbers were revoked."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.models.base import Base, Dated, OrderedJSON, text
from guywire.sealing import SealedText
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

_EXTENSIONS = {"json_schema": {"type": "array", "items": {"type": "object", "additionalProperties": True}}}


class X509:
    """What CAs and certificates have in common: what was asked for, and what was made of it."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = text(64)
    notes: Mapped[str] = mapped_column(Text, default="")
    key_length: Mapped[str] = text(8)
    digest: Mapped[str] = text(8)
    validity_start: Mapped[datetime]
    validity_end: Mapped[datetime] = mapped_column(index=True)
    # Imported certificates may say more than the API lets people ask for.
    country_code: Mapped[str] = text(2)
    state: Mapped[str] = mapped_column(Text, default="")
    city: Mapped[str] = mapped_column(Text, default="")
    organization_name: Mapped[str] = mapped_column(Text, default="")
    organizational_unit_name: Mapped[str] = mapped_column(Text, default="")
    email: Mapped[str] = mapped_column(Text, default="")
    common_name: Mapped[str] = text(255)
    extensions: Mapped[Any] = mapped_column(OrderedJSON, default=list, info=_EXTENSIONS)
    serial_number: Mapped[str] = text(50)
    certificate: Mapped[str] = mapped_column(Text)
    expiry_notices: Mapped[int] = mapped_column(default=0)
    """How often plugins and the log were told that the end is near."""


def _unique_among_shared(table: str) -> sa.Index:
    """NULLs are distinct in a unique constraint, so shared rows need an index of their own."""
    shared = sa.text("organization_id IS NULL")
    return sa.Index(
        f"uq_{table}_shared_common_name", "common_name", unique=True, sqlite_where=shared, postgresql_where=shared
    )


class CA(X509, Dated, Base):
    """A certificate authority. Without organization it is shared by all of them."""

    __tablename__ = "pki_ca"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "common_name"),
        _unique_among_shared(__tablename__),
        sa.Index("ix_pki_ca_created_id", "created", "id"),
        {"sqlite_autoincrement": True},
    )

    organization_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    private_key: Mapped[str] = mapped_column(SealedText("pki_ca.private_key"))
    passphrase: Mapped[str] = mapped_column(SealedText("pki_ca.passphrase"), default="")


class Cert(X509, Dated, Base):
    """A certificate that one of the CAs issued."""

    __tablename__ = "pki_cert"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "common_name"),
        _unique_among_shared(__tablename__),
        sa.UniqueConstraint("ca_id", "serial_number"),
        sa.Index("ix_pki_cert_created_id", "created", "id"),
        sa.Index("ix_pki_cert_common_name", "common_name"),
        {"sqlite_autoincrement": True},
    )

    organization_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    ca_id: Mapped[int] = mapped_column(ForeignKey("pki_ca.id", ondelete="CASCADE"))
    private_key: Mapped[str] = mapped_column(SealedText("pki_cert.private_key"))
    passphrase: Mapped[str] = mapped_column(SealedText("pki_cert.passphrase"), default="")
    revoked: Mapped[bool] = mapped_column(default=False)
    revoked_at: Mapped[datetime | None]


class Revocation(Base):
    """A serial number that its CA takes back, for as long as the certificate would have been valid.

    It refers to the number and not to the certificate, which may be renewed or deleted meanwhile: somebody has the
    key and the file all the same.
    """

    __tablename__ = "pki_revocation"
    __table_args__ = (sa.UniqueConstraint("ca_id", "serial_number"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    """Grows with each revocation: with the number of rows, it says whether a CRL is the same as another."""
    ca_id: Mapped[int] = mapped_column(ForeignKey("pki_ca.id", ondelete="CASCADE"))
    serial_number: Mapped[str] = mapped_column(String(50))
    revoked_at: Mapped[datetime]
    expires: Mapped[datetime]


class VpnCertificate(Base):
    """The CA that an operator chose for a VPN server, and the certificate that the server proves its identity with.

    ``is_automatic``: the certificate was issued for the server, rather than chosen by somebody.
    """

    __tablename__ = "pki_vpn"

    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), primary_key=True)
    ca_id: Mapped[int] = mapped_column(ForeignKey("pki_ca.id", ondelete="CASCADE"), index=True)
    cert_id: Mapped[int | None] = mapped_column(ForeignKey("pki_cert.id", ondelete="SET NULL"), index=True)
    is_automatic: Mapped[bool] = mapped_column(default=False)


class VpnClientCertificate(Base):
    """The certificate of a client of a VPN server."""

    __tablename__ = "pki_vpn_client"

    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn_client.id", ondelete="CASCADE"), primary_key=True)
    cert_id: Mapped[int] = mapped_column(ForeignKey("pki_cert.id", ondelete="CASCADE"), index=True)
