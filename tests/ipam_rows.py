"""Rows of subnets, addresses and division rules, for tests that need some and do not look at them."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule
from guywire_ipam.services import pool, tree
from sqlalchemy.orm import Session

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATES: dict[str, Any] = {"created": NOW, "modified": NOW}


def subnet_row(session: Session, owner: UUID | None) -> Subnet:
    """A subnet that nobody else has."""
    id = uuid4()
    subnet = Subnet(id=id, root_id=id, name="some", organization_id=owner, **DATES)
    tree.set_network(subnet, ip_network((id.int >> 64 << 64, 64)))
    session.add(subnet)
    session.flush()
    return subnet


def address_row(session: Session, owner: UUID | None) -> IpAddress:
    [row] = pool.take_next(session, subnet_row(session, owner), [""], NOW)
    return session.get_one(IpAddress, row["id"])


def rule_row(session: Session, owner: UUID) -> SubnetDivisionRule:
    fields = {"label": f"l{uuid4().hex[:8]}", "number_of_subnets": 1, "size": 80, "number_of_ips": 1}
    master = subnet_row(session, owner)
    rule = SubnetDivisionRule(type="device", organization_id=owner, master_subnet_id=master.id, **fields, **DATES)
    session.add(rule)
    session.flush()
    return rule
