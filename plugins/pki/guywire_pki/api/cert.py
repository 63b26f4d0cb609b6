"""Certificates: ``/api/v1/controller/cert/``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from guywire.api import filters
from guywire.api.base import register
from guywire.api.service import APIService, Operation
from guywire.events import CertificatesDeleting
from guywire.plugin import notify
from pyramid.request import Request
from typing_extensions import override

from guywire_pki.api.bodies import CertBody, Editable
from guywire_pki.api.ca import NUMBER
from guywire_pki.api.issuing import Issuing, columns_of, filters_of
from guywire_pki.models import CA, Cert
from guywire_pki.services import renewal
from guywire_pki.services.authorities import issuer_of, lock_to_issue
from guywire_pki.services.issuing import Values, check_new_certificate, imported, issued, with_defaults
from guywire_pki.services.revocation import revoke
from guywire_pki.services.rules import require_free_common_name, require_free_serial, require_same_organization
from guywire_pki.x509.certificates import VALIDITY

PATH = "/api/v1/controller/cert/"


@register(PATH, id_pattern=NUMBER)
class CertResource(Issuing):
    """Certificates: issued by one of the CAs, or imported with it."""

    model = Cert
    schema = Editable
    create_schema = CertBody
    kind = "cert"
    label = "Cert"
    force = "Delete the certificate although a VPN server or one of its clients needs it."
    shown = {  # noqa: RUF012
        "id": Cert.id,
        "name": Cert.name,
        "organization": Cert.organization_id,
        "ca": Cert.ca_id,
        "notes": Cert.notes,
        "revoked": Cert.revoked,
        "revoked_at": Cert.revoked_at,
        **columns_of(Cert),
    }
    filters = {  # noqa: RUF012
        **filters_of(Cert),
        "ca": filters.related(Cert.ca_id, CA, "Only of this CA."),
        "revoked": filters.yes_no(Cert.revoked.is_, "Only those that are, or are not, revoked."),
    }

    @override
    def organization_of_import(self, fields: dict[str, Any]) -> UUID | None:
        of_ca = self.session.get_one(CA, fields["ca"]).organization_id
        return of_ca or super().organization_of_import(fields)

    @override
    def complete(self, fields: dict[str, Any]) -> Values:
        values = with_defaults(self.given(fields), VALIDITY, self.now)
        ca = self.session.get_one(CA, values.pop("ca"))
        check_new_certificate(self.session, ca, values, has_random_serial=not fields.get("serial_number"))
        return values

    @override
    def create(self, fields: dict[str, Any]) -> Cert:
        ca = lock_to_issue(self.session, fields["ca"])
        require_same_organization(ca, self.prepared["organization_id"])
        if fields.get("serial_number"):
            # No constraint compares it with what was revoked meanwhile.
            require_free_serial(self.session, ca.id, self.prepared["serial_number"], imported="own" not in self.keys)
        if "own" in self.keys:
            made = issued(ca, self.prepared, self.keys["own"], issuer_of(ca), self.now)
        else:
            made = imported(self.session, ca, self.prepared, self.now)
        self.session.add(made)
        return made

    @override
    def update(self, row: Cert, fields: dict[str, Any]) -> None:
        self.edit(row, fields)
        if "organization" in fields:
            with self.session.no_autoflush:
                require_same_organization(lock_to_issue(self.session, row.ca_id), row.organization_id)
                require_free_common_name(self.session, Cert, row.common_name, row.organization_id, row.id)

    @override
    def delete(self, row: Cert) -> None:
        notify(self.session, CertificatesDeleting((row.id,), self.is_forced))
        super().delete(row)


class CertRenewal(CertResource):
    """Gives a certificate a new key."""

    @override
    def prepare(self) -> list[tuple[Any, str]]:
        certificate = self.row()
        self.prepared = self.session.get_one(CA, certificate.ca_id), [certificate]
        return renewal.needed([certificate])

    @override
    def sign(self) -> None:
        ca, certificates = self.prepared
        self.prepared = ca.id, renewal.signed(ca, certificates, self.keys, self.now, with_ca=False)

    def renew(self) -> dict[str, Any]:
        """Renew the certificate and answer it."""
        ca_id, renewals = self.prepared
        # In the order in which the renewal of a CA takes them.
        ca = lock_to_issue(self.session, ca_id)
        certificate = self.row()
        renewal.renew_certificate(self.session, certificate, ca, renewals)
        return self.represent(certificate)


class CertRevocation(CertResource):
    """Takes a certificate back."""

    @override
    def prepare(self) -> list[tuple[Any, str]]:
        return []

    def revoke(self) -> dict[str, Any]:
        """Revoke the certificate and answer it."""
        certificate = self.row()
        revoke(self.session, [certificate], self.now)
        return self.represent(certificate)


renewing = APIService(
    name="cert_renew",
    path=f"{PATH}{{id:{NUMBER}}}/renew/",
    title="Renewal of a certificate",
    description="Gives a certificate a new key, serial number and time.",
)
revoking = APIService(
    name="cert_revoke",
    path=f"{PATH}{{id:{NUMBER}}}/revoke/",
    title="Revocation of a certificate",
    description="Takes a certificate back, for good.",
)


@renewing.post(operation=Operation(answer=CertResource, permission="add_cert", errors=(404,)))
def renew_cert(request: Request) -> dict[str, Any]:
    """The certificate with a new key, serial number and end. One that was revoked stays revoked."""
    return CertRenewal(request).renew()


@revoking.post(operation=Operation(answer=CertResource, permission="add_cert", errors=(404,)))
def revoke_cert(request: Request) -> dict[str, Any]:
    """The revoked certificate. It is on the CRL of its CA until it would have expired, whatever happens to it."""
    return CertRevocation(request).revoke()
