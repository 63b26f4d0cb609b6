"""What VPN servers show of their CA and certificate, and who may choose them."""

from __future__ import annotations

from typing import Annotated

from guywire.api import fields
from guywire.api.field_groups import FieldGroup
from guywire.api.schema import Schema

from guywire_pki.models import CA, Cert
from guywire_pki.services import vpn_servers

_NUMBER = {"type": ["integer", "null"]}


class VpnCertificateBody(Schema):
    """How a VPN server proves who it is."""

    ca: Annotated[
        int | None, fields.reference(CA, null=True, help="Issues the certificates of the server and of its clients.")
    ] = None
    cert: Annotated[
        int | None, fields.reference(Cert, null=True, help="The server's certificate; empty: a new one is issued.")
    ] = None


VPN_FIELDS = FieldGroup(
    resource="vpn",
    name="pki",
    after="key",
    shown={"ca": _NUMBER, "cert": _NUMBER},
    load=vpn_servers.load,
    body=VpnCertificateBody,
    save=vpn_servers.save,
)
