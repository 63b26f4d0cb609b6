"""CRLs: for users, and without any credentials for the VPN servers that have to know them."""

from __future__ import annotations

from guywire.api.service import APIService, Operation, described
from guywire.errors import NotFound
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from guywire_pki.api.ca import NUMBER, PATH, CAResource
from guywire_pki.models import CA
from guywire_pki.services.revocation import crl_of

MEDIA_TYPE = "application/x-pem-file"

_PUBLIC = ("/admin/pki/ca/{id:[0-9]+}.crl", "/admin/pki/ca/x509/ca/{id:[0-9]+}.crl")
"""Where the reference has them. Whoever configured a VPN server wrote one of these addresses into a cron job."""


def includeme(config: Configurator) -> None:
    """Serve the public copies."""
    for number, path in enumerate(_PUBLIC):
        config.add_route(f"pki_public_crl_{number}", path, request_method=("GET", "HEAD"))
        config.add_view(public_crl, route_name=f"pki_public_crl_{number}")


def _crl_service(name: str, path: str) -> APIService:
    return APIService(name=name, path=path, title="CRL", description="The revocation list of a CA, as of now.")


# The reference's documentation has the slash and its server has not.
slash = _crl_service("ca_crl", f"{PATH}{{id:{NUMBER}}}/crl/")
no_slash = _crl_service("ca_crl_without_slash", f"{PATH}{{id:{NUMBER}}}/crl")

_OPERATION = Operation(permission="view_ca", sends=MEDIA_TYPE, errors=(404,))


@slash.get(operation=_OPERATION)
@no_slash.get(operation=_OPERATION)
def download_crl(request: Request) -> Response:
    """The serial numbers of the revoked certificates that have not expired, as PEM."""
    resource = CAResource(request)
    return _answer(request, resource.row())


@described(Operation(sends=MEDIA_TYPE, errors=(404,)))
def public_crl(request: Request) -> Response:
    """The revocation list of a CA, for anybody."""
    number = int(request.matchdict["id"])
    ca = request.db.get(CA, number) if number < 2**31 else None
    if ca is None:
        raise NotFound()
    return _answer(request, ca)


def _answer(request: Request, ca: CA) -> Response:
    crl = crl_of(request.db, ca, request.now)
    response = Response(crl.pem, content_type=MEDIA_TYPE)
    response.headers["Content-Disposition"] = f"attachment; filename={ca.id}.crl"
    response.last_modified = crl.signed_at
    return response
