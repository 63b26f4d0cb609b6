"""Room that appears in trees of subnets, and those who found none there before."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from guywire.events import (
    AddressesChanged,
    AddressesDeleting,
    DevicesDeleting,
    Event,
    SubnetsChanged,
    SubnetsDeleting,
)
from guywire.models import Config
from guywire.plugin import notify
from guywire.services.vpn_clients import try_again
from sqlalchemy.orm import Session

from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule, VpnSubnet
from guywire_ipam.services import division
from guywire_ipam.services.events import DivisionRuleSaved


def hear(session: Session, event: Event) -> None:
    """Let rules give what they owe, and VPN clients be what they could not become, once the event has made room."""
    roots = _roots(event)
    if roots is None:
        return
    trees = sa.select(Subnet.id).where(Subnet.root_id.in_(roots))
    owing = sa.select(SubnetDivisionRule).where(
        SubnetDivisionRule.type == division.DEVICE, SubnetDivisionRule.master_subnet_id.in_(trees)
    )
    for rule in session.scalars(owing).all():
        if division.owes(session, rule):
            notify(session, DivisionRuleSaved(rule.id, rule.organization_id))
    try_again(session, sa.select(VpnSubnet.vpn_id).where(VpnSubnet.subnet_id.in_(trees)))


def _roots(event: Event) -> Any:
    """SELECT of the trees in which there is, or will be, more room."""
    match event:
        case SubnetsChanged(ids) | SubnetsDeleting(ids):
            return sa.select(Subnet.root_id).where(Subnet.id.in_(ids))
        case AddressesChanged(ids) | AddressesDeleting(ids):
            return sa.select(IpAddress.root_id).where(IpAddress.id.in_(ids))
        case DevicesDeleting(ids):
            made_for = sa.select(Subnet.root_id).join(Config, Config.id == Subnet.config_id)
            return made_for.where(Config.device_id.in_(ids))
    return None
