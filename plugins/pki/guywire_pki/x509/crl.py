"""Makes certificate revocation lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from guywire_pki.x509.certificates import Issuer, authority_key_identifier

VALIDITY = timedelta(days=1)


def revocation_list(issuer: Issuer, revoked: Iterable[tuple[int, datetime]], now: datetime) -> bytes:
    """The CRL of a CA, as PEM: serial numbers, and since when they do not serve. Its own number is the time."""
    entry = x509.RevokedCertificateBuilder()
    extensions: list[x509.Extension[x509.ExtensionType]] = []
    builder = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject,
        now.replace(tzinfo=None),
        (now + VALIDITY).replace(tzinfo=None),
        extensions,
        # In one go: adding them one by one copies the list each time.
        [entry.serial_number(serial).revocation_date(since).build() for serial, since in revoked],
    )
    builder = builder.add_extension(authority_key_identifier(issuer.certificate), critical=False)
    builder = builder.add_extension(x509.CRLNumber(int(now.timestamp() * 1_000_000)), critical=False)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)
