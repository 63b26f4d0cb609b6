"""What VPN servers show of their subnet and address, and who may choose them."""

from __future__ import annotations

import uuid
from typing import Annotated

import sqlalchemy as sa
from guywire.api import fields, filters
from guywire.api.field_groups import FieldGroup
from guywire.api.schema import Schema
from guywire.models import Vpn

from guywire_ipam.models import Subnet, VpnSubnet
from guywire_ipam.services import vpn_servers

_ID = {"type": ["string", "null"], "format": "uuid"}


class VpnSubnetBody(Schema):
    """Where a VPN server is. Its address is the first free one of the subnet."""

    subnet: Annotated[
        uuid.UUID | None,
        fields.reference(Subnet, null=True, help="The subnet that the server and its clients have addresses of."),
    ] = None


VPN_FIELDS = FieldGroup(
    resource="vpn",
    name="ipam",
    after="backend",
    shown={"subnet": _ID, "ip": _ID},
    load=vpn_servers.load,
    body=VpnSubnetBody,
    save=vpn_servers.save,
    filters={
        "subnet": filters.related(
            sa.select(VpnSubnet.subnet_id).where(VpnSubnet.vpn_id == Vpn.id).scalar_subquery(),
            Subnet,
            "Only those with this subnet.",
        )
    },
)
