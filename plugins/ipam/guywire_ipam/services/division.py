"""Divides subnets: gives configurations the subnets and addresses that a rule promises them, and takes them back."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.events import SubnetsDeleting
from guywire.models import Config, Device, VpnClient
from guywire.plugin import notify
from guywire.services.status import mark_stale
from sqlalchemy.orm import Session

from guywire_ipam.addresses import Address, Network, last_of, parse_address, parse_network
from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule, VpnSubnet
from guywire_ipam.services import pool
from guywire_ipam.services.blocks import free_blocks

log = logging.getLogger(__name__)

_CHUNK = 1000

DEVICE, VPN = "device", "vpn"


def addresses_of_block(block: Network, count: int) -> list[Address]:
    """The addresses that a rule takes of a block: without the first one, unless it needs all of them."""
    offset = 0 if count >= block.num_addresses else 1
    return [block.network_address + offset + number for number in range(count)]


def name_of(rule: SubnetDivisionRule, number: int) -> str:
    """What the ``number``-th subnet that a rule makes for a configuration is called, and its variable."""
    return f"{rule.label}_subnet{number}"


def provision(session: Session, rule: SubnetDivisionRule, config_ids: Sequence[uuid.UUID], now: datetime) -> None:
    """Give configurations what they lack of what a rule promises, and mark those that got something as stale.

    Where the master subnet is full, the log says so and they get what there is. It may be called again at any time.
    """
    master = session.get(Subnet, rule.master_subnet_id)
    if master is None or not pool.is_held(session, master):
        # Somebody deleted it meanwhile, and the rule with it.
        return
    have = _blocks_of(session, rule, config_ids)
    subnets = _Rows(rule, master, now)
    addresses: list[pool.AddressRow] = []
    changed = []
    blocks = _after_reserved(session, master, rule, subnets)
    for config_id in config_ids:
        before = len(addresses)
        for number in range(1, rule.number_of_subnets + 1):
            if number not in have[config_id]:
                block = next(blocks, None)
                if block is None:
                    log.warning("subnet is full: subnet=%s rule=%s configuration=%s", master.id, rule.id, config_id)
                    break
                have[config_id][number] = subnets.add(block, config_id, number), block, set()
            subnet_id, block, taken = have[config_id][number]
            for address in addresses_of_block(block, rule.number_of_ips):
                if address not in taken:
                    addresses.append(pool.new_row(master, address, subnets.description, now, subnet_id))
        if len(addresses) > before:
            changed.append(config_id)
    if subnets.rows:
        session.execute(sa.insert(Subnet), subnets.rows)
    pool.insert_rows(session, addresses)
    if changed:
        mark_stale(session, changed)


def provision_devices(session: Session, config_ids: Sequence[uuid.UUID], now: datetime | None = None) -> None:
    """Give devices' configurations what the rules for devices of their organizations promise.

    ``now`` is when; left out, it is when the configurations were made.
    """
    rules = sa.select(SubnetDivisionRule).where(SubnetDivisionRule.type == DEVICE)
    for rule in session.scalars(rules.order_by(SubnetDivisionRule.created, SubnetDivisionRule.id)).all():
        for start in range(0, len(config_ids), _CHUNK):
            entitled = session.execute(
                sa.select(Config.id, Config.created)
                .join(Device, Device.id == Config.device_id)
                .where(Config.id.in_(config_ids[start : start + _CHUNK]))
                .where(Device.organization_id == rule.organization_id)
                .order_by(Config.id)
            ).all()
            if entitled:
                provision(session, rule, [row.id for row in entitled], now or entitled[0].created)


def release(session: Session, condition: Any) -> None:
    """Take back subnets that rules made, with the addresses in them. ``condition`` is SQL on ``Subnet``."""
    made = sa.and_(Subnet.rule_id.is_not(None), condition)
    query = sa.select(Subnet.root_id, sa.func.min(Subnet.first_address), sa.func.max(Subnet.last_address))
    for root_id, first, last in session.execute(query.where(made).group_by(Subnet.root_id)).all():
        pool.lock_tree(session, root_id)
        in_tree = sa.and_(made, Subnet.root_id == root_id)
        ids = tuple(session.scalars(sa.select(Subnet.id).where(in_tree)))
        notify(session, SubnetsDeleting(ids, force=True))
        mark_stale(session, sa.select(Subnet.config_id).where(in_tree))
        pool.delete_subnets(session, in_tree, root_id, parse_address(first), parse_address(last))


def of_client(config_id: uuid.UUID, master_id: Any) -> Any:
    """A condition on ``Subnet``: what a configuration has of a master because it is a client of a VPN server."""
    of_clients = sa.select(SubnetDivisionRule.id).where(
        SubnetDivisionRule.type == VPN, SubnetDivisionRule.master_subnet_id == master_id
    )
    return sa.and_(Subnet.config_id == config_id, Subnet.rule_id.in_(of_clients))


def follow_device(session: Session, device: Device) -> None:
    """Take back what a device has by rules of other organizations than its own, and give it what those of its own
    promise.
    """
    config = session.scalars(sa.select(Config).where(Config.device_id == device.id)).first()
    if config is None:
        return
    foreign = sa.select(SubnetDivisionRule.id).where(
        SubnetDivisionRule.type == DEVICE, SubnetDivisionRule.organization_id != device.organization_id
    )
    release(session, sa.and_(Subnet.config_id == config.id, Subnet.rule_id.in_(foreign)))
    provision_devices(session, [config.id], device.modified)


def rename(session: Session, rule: SubnetDivisionRule) -> None:
    """Let the subnets of a rule, and the variables of configurations, follow its label."""
    session.execute(
        sa.update(Subnet)
        .where(Subnet.rule_id == rule.id)
        .values(
            name=sa.literal(f"{rule.label}_subnet") + sa.cast(Subnet.number, sa.String), description=_description(rule)
        ),
        execution_options={"synchronize_session": False},
    )
    mark_stale(session, sa.select(Subnet.config_id).where(Subnet.rule_id == rule.id))


def config_ids_of(session: Session, rule: SubnetDivisionRule, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
    """The next configurations, in the order of their ids, that a rule has something for."""
    query = _configs_of(rule, Config.id)
    if after is not None:
        query = query.where(Config.id > after)
    return list(session.scalars(query.order_by(Config.id).limit(limit)))


def count_configs_of(session: Session, rule: SubnetDivisionRule) -> int:
    """How many configurations a rule has something for."""
    return session.scalar(_configs_of(rule, sa.func.count(Config.id))) or 0


def owes(session: Session, rule: SubnetDivisionRule) -> bool:
    """Whether somebody lacks subnets that a rule promises."""
    given = session.scalar(sa.select(sa.func.count(Subnet.id)).where(Subnet.rule_id == rule.id)) or 0
    return given < rule.number_of_subnets * count_configs_of(session, rule)


def _configs_of(rule: SubnetDivisionRule, column: Any) -> Any:
    query = (
        sa.select(column)
        .select_from(Config)
        .join(Device, Device.id == Config.device_id)
        .where(Device.organization_id == rule.organization_id)
    )
    if rule.type == VPN:
        clients = sa.select(VpnClient.config_id).join(VpnSubnet, VpnSubnet.vpn_id == VpnClient.vpn_id)
        query = query.where(Config.id.in_(clients.where(VpnSubnet.subnet_id == rule.master_subnet_id)))
    return query


class _Rows:
    """The rows of subnets that a rule makes."""

    def __init__(self, rule: SubnetDivisionRule, master: Subnet, now: datetime) -> None:
        self.rule, self.master, self.now = rule, master, now
        self.description = _description(rule)
        self.rows: list[dict[str, Any]] = []

    def add(self, block: Network, config_id: uuid.UUID, number: int) -> uuid.UUID:
        """A subnet for a configuration."""
        return self._add(
            block,
            name=name_of(self.rule, number),
            description=self.description,
            organization_id=self.rule.organization_id,
            rule_id=self.rule.id,
            config_id=config_id,
            number=number,
        )

    def add_reserved(self, block: Network) -> None:
        """The first block of a master, which is nobody's: it is where its own addresses come from."""
        self._add(
            block,
            name=f"Reserved Subnet {block}",
            description="",
            organization_id=self.master.organization_id,
            rule_id=None,
            config_id=None,
            number=None,
        )

    def _add(self, block: Network, **values: Any) -> uuid.UUID:
        id = uuid.uuid4()
        self.rows.append(
            {
                "id": id,
                "created": self.now,
                "modified": self.now,
                "subnet": str(block),
                "first_address": block.network_address,
                "last_address": last_of(block),
                "prefix_length": block.prefixlen,
                "master_subnet_id": self.master.id,
                "root_id": self.master.root_id,
                **values,
            }
        )
        return id


def _after_reserved(session: Session, master: Subnet, rule: SubnetDivisionRule, subnets: _Rows) -> Iterator[Network]:
    """The free blocks of a master. The first block of all is set aside, whatever addresses it holds already."""
    if session.scalar(sa.select(Subnet.id).where(Subnet.master_subnet_id == master.id).limit(1)) is not None:
        yield from free_blocks(session, master, rule.size)
        return
    reserved = parse_network(f"{master.network.network_address}/{rule.size}")
    subnets.add_reserved(reserved)
    yield from (block for block in free_blocks(session, master, rule.size) if block != reserved)


_Block = tuple[uuid.UUID, Network, set[Address]]


def _blocks_of(
    session: Session, rule: SubnetDivisionRule, config_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, dict[int, _Block]]:
    """What configurations have of a rule: their subnets by number, and which addresses are taken in them."""
    made = session.scalars(sa.select(Subnet).where(Subnet.rule_id == rule.id, Subnet.config_id.in_(config_ids))).all()
    taken: dict[uuid.UUID, set[Address]] = defaultdict(set)
    if made:
        query = sa.select(IpAddress.subnet_id, IpAddress.ip_address)
        for subnet_id, text in session.execute(query.where(IpAddress.subnet_id.in_([each.id for each in made]))):
            taken[subnet_id].add(parse_address(text))
    have: dict[uuid.UUID, dict[int, _Block]] = defaultdict(dict)
    for each in made:
        assert each.config_id is not None
        assert each.number is not None
        have[each.config_id][each.number] = each.id, each.network, taken[each.id]
    return have


def _description(rule: SubnetDivisionRule) -> str:
    return f"Automatically generated using {rule.label} rule."
