"""The variables that division rules give to configurations."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire_ipam.addresses import parse_address, parse_network
from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule
from guywire_ipam.services.division import addresses_of_block, name_of

# Made once: they are asked before every rendering.
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_BLOCKS = (
    sa.select(Subnet.id, Subnet.config_id, Subnet.subnet, Subnet.number, SubnetDivisionRule)
    .join(SubnetDivisionRule, SubnetDivisionRule.id == Subnet.rule_id)
    .where(Subnet.config_id.in_(_IDS))
)
_ADDRESSES = sa.select(IpAddress.subnet_id, IpAddress.ip_address).where(IpAddress.subnet_id.in_(_IDS))


def config_context(session: Session, config_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Mapping[str, Any]]:
    """For each subnet that a rule made for a configuration: ``<label>_subnet<n>``, ``<label>_subnet<n>_ip<m>`` for the
    addresses in it, and ``<label>_prefixlen``.
    """
    blocks = session.execute(_BLOCKS, {"ids": config_ids}).all()
    if not blocks:
        return {}
    taken = defaultdict(set)
    for subnet_id, text in session.execute(_ADDRESSES, {"ids": [block.id for block in blocks]}):
        taken[subnet_id].add(parse_address(text))
    variables: dict[uuid.UUID, dict[str, Any]] = defaultdict(dict)
    for id, config_id, subnet, number, rule in blocks:
        assert config_id is not None
        assert number is not None
        own, name = variables[config_id], name_of(rule, number)
        own[f"{rule.label}_prefixlen"] = str(rule.size)
        own[name] = subnet
        for position, address in enumerate(addresses_of_block(parse_network(subnet), rule.number_of_ips), start=1):
            if address in taken[id]:
                own[f"{name}_ip{position}"] = str(address)
    return variables
