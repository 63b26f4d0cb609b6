"""CAs: ``/api/v1/controller/ca/``."""

from __future__ import annotations

from typing import Any, ClassVar

from guywire.api.base import register
from guywire.api.body import read_body
from guywire.api.schema import Schema
from guywire.api.service import APIService, Operation
from guywire.events import CADeleting
from guywire.plugin import notify
from pyramid.request import Request
from typing_extensions import override

from guywire_pki.api.bodies import CABody, Editable, StatedCABody
from guywire_pki.api.issuing import Issuing, columns_of, filters_of, is_import
from guywire_pki.models import CA
from guywire_pki.services import renewal
from guywire_pki.services.issuing import Values, check_new_ca, make_ca, with_defaults
from guywire_pki.services.rules import refuse_strangers, require_free_common_name
from guywire_pki.x509.certificates import CA_VALIDITY
from guywire_pki.x509.imported import check_authority, load_certificate

PATH = "/api/v1/controller/ca/"
NUMBER = "[0-9]+"


@register(PATH, id_pattern=NUMBER)
class CAResource(Issuing):
    """Certificate authorities: made here or imported. Without organization they sign for all of them."""

    model = CA
    schema = Editable
    create_schema: ClassVar[type[Schema] | None] = CABody
    kind = "ca"
    label = "Ca"
    force = "Delete the CA although VPN servers or their clients need it or its certificates."
    shown = {  # noqa: RUF012
        "id": CA.id,
        "name": CA.name,
        "organization": CA.organization_id,
        "notes": CA.notes,
        **columns_of(CA),
    }
    filters = filters_of(CA)

    @override
    def validated(self, *, partial: bool) -> dict[str, Any]:
        if self.request.method == "POST":
            self.create_schema = CABody if is_import(read_body(self.request)) else StatedCABody  # type: ignore[misc]
        return super().validated(partial=partial)

    @override
    def complete(self, fields: dict[str, Any]) -> Values:
        values = with_defaults(self.given(fields), CA_VALIDITY, self.now)
        if "certificate" in values:
            check_authority(load_certificate(values["certificate"]))
        check_new_ca(self.session, values)
        return values

    @override
    def create(self, fields: dict[str, Any]) -> CA:
        return make_ca(self.session, self.prepared, self.keys.get("own"), self.now)

    @override
    def update(self, row: CA, fields: dict[str, Any]) -> None:
        self.edit(row, fields)
        with self.session.no_autoflush:
            require_free_common_name(self.session, CA, row.common_name, row.organization_id, row.id)
            refuse_strangers(self.session, row)

    @override
    def delete(self, row: CA) -> None:
        notify(self.session, CADeleting(row.id, self.is_forced))
        super().delete(row)


class CARenewal(CAResource):
    """Gives a CA, and what it issued, new keys."""

    @override
    def prepare(self) -> list[tuple[Any, str]]:
        ca = self.row()
        renewal.require_self_signed(ca)
        certificates = renewal.certificates_to_renew(self.session, ca.id)
        self.prepared = ca, certificates
        return renewal.needed([ca, *certificates])

    @override
    def sign(self) -> None:
        ca, certificates = self.prepared
        self.prepared = renewal.signed(ca, certificates, self.keys, self.now, with_ca=True)

    def renew(self) -> dict[str, Any]:
        """Renew the CA and answer it."""
        ca = self.row()
        renewal.renew_ca(self.session, ca, self.prepared, self.now)
        return self.represent(ca)


renewing = APIService(
    name="ca_renew",
    path=f"{PATH}{{id:{NUMBER}}}/renew/",
    title="Renewal of a CA",
    description="Gives a CA and its certificates new keys, serial numbers and time.",
)


@renewing.post(operation=Operation(answer=CAResource, permission="add_ca", errors=(400, 404)))
def renew_ca(request: Request) -> dict[str, Any]:
    """The CA with a new key, serial number and end. All its certificates are renewed too, but for the revoked ones."""
    return CARenewal(request).renew()
