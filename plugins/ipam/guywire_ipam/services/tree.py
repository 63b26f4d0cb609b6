"""Makes, changes and deletes subnets, so that those of an organization overlap only where one is the other's master."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from guywire.errors import NON_FIELD, Invalid
from guywire.events import SubnetsChanged, SubnetsDeleting
from guywire.models import Vpn
from guywire.plugin import notify
from guywire.services.status import mark_stale
from sqlalchemy.orm import Session, aliased

from guywire_ipam.addresses import Network, last_of
from guywire_ipam.models import IpAddress, Subnet, SubnetDivisionRule, VpnSubnet
from guywire_ipam.services import pool

NOT_UNIQUE = "The fields subnet, organization must make a unique set."
_FIELDS = {"organization": "organization_id", "master_subnet": "master_subnet_id"}
_QUIET = {"synchronize_session": False}


def create(session: Session, fields: dict[str, Any], now: datetime) -> Subnet:
    """Make a subnet of validated fields, named as in the API. Raises Invalid."""
    _hold_all(session)
    id = uuid.uuid4()
    subnet = Subnet(id=id, root_id=id, description="", created=now, modified=now)
    with session.no_autoflush:
        _apply(session, subnet, fields)
        session.add(subnet)
        session.flush()
    return subnet


def update(session: Session, subnet: Subnet, fields: dict[str, Any], now: datetime) -> None:
    """Change the given fields of a subnet. Raises Invalid."""
    subnet.modified = now
    before, network = _place_of(subnet), subnet.network
    with session.no_autoflush:
        _set(subnet, fields)
        if _place_of(subnet) == before:
            return
        _hold_all(session)
        pool.lock_tree(session, subnet.root_id)
        if subnet.rule_id is not None:
            raise Invalid({NON_FIELD: ["The subnet was made by a division rule, which decides where it is."]})
        _check(session, subnet)
        _require_room_for_contents(session, subnet)
        _follow_master(session, subnet)
        session.flush()
    if subnet.network != network:
        notify(session, SubnetsChanged((subnet.id,)))


def delete(session: Session, subnet: Subnet, *, force: bool) -> None:
    """Delete a subnet with all subnets and addresses in it. Raises Conflict when others need it, unless ``force``."""
    pool.lock_tree(session, subnet.root_id)
    within = ids_within(subnet.id)
    notify(session, SubnetsDeleting(tuple(session.scalars(within)), force))
    made_for = sa.select(Subnet.config_id).where(Subnet.id.in_(within), Subnet.config_id.is_not(None))
    mark_stale(session, made_for)
    network = subnet.network
    session.expunge(subnet)
    pool.delete_subnets(session, Subnet.id == subnet.id, subnet.root_id, network.network_address, last_of(network))


def ids_within(subnet_id: uuid.UUID) -> Any:
    """SELECT of the ids of a subnet and of all that are below it."""
    within = sa.select(Subnet.id).where(Subnet.id == subnet_id).cte("within", recursive=True)
    within = within.union_all(sa.select(Subnet.id).join(within, Subnet.master_subnet_id == within.c.id))
    return sa.select(within.c.id)


def set_network(subnet: Subnet, network: Network) -> None:
    """Let a subnet be another network."""
    subnet.subnet = str(network)
    subnet.first_address, subnet.last_address = str(network.network_address), str(last_of(network))
    subnet.prefix_length = network.prefixlen


def _hold_all(session: Session) -> None:
    """Wait for everybody who makes or changes subnets: two of them could overlap without either seeing the other."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text("LOCK TABLE ipam_subnet IN SHARE ROW EXCLUSIVE MODE"))


def _place_of(subnet: Subnet) -> Any:
    return subnet.subnet, subnet.organization_id, subnet.master_subnet_id


def _set(subnet: Subnet, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name == "subnet":
            set_network(subnet, value)
        else:
            setattr(subnet, _FIELDS.get(name, name), value)


def _apply(session: Session, subnet: Subnet, fields: dict[str, Any]) -> None:
    _set(subnet, fields)
    _check(session, subnet)
    if subnet.master_subnet_id is not None:
        subnet.root_id = session.get_one(Subnet, subnet.master_subnet_id).root_id
        pool.lock_tree(session, subnet.root_id)


def _check(session: Session, subnet: Subnet) -> None:
    """Whether a subnet can be where it is, in the reference's order. Raises Invalid."""
    master = None if subnet.master_subnet_id is None else session.get_one(Subnet, subnet.master_subnet_id)
    _require_unique(session, subnet)
    if master is not None and master.organization_id not in (None, subnet.organization_id):
        raise Invalid({"master_subnet": [_mismatch("Subnet", "Subnet")]})
    _require_no_overlap(session, subnet, master)
    if master is not None:
        _require_inside(subnet, master)


def _mismatch(kind: str, related: str) -> str:
    return f"Please ensure that the organization of this {kind} and the organization of the related {related} match."


def _require_unique(session: Session, subnet: Subnet) -> None:
    namesakes = sa.select(Subnet.organization_id).where(Subnet.subnet == subnet.subnet, Subnet.id != subnet.id)
    for organization_id in session.scalars(namesakes):
        if organization_id == subnet.organization_id:
            raise Invalid({NON_FIELD: [NOT_UNIQUE]})
        if organization_id is None:
            raise Invalid({"subnet": ["This subnet is already assigned for internal usage in the system."]})
        if subnet.organization_id is None:
            raise Invalid({"subnet": ["This subnet is already assigned to another organization."]})


def _require_no_overlap(session: Session, subnet: Subnet, master: Subnet | None) -> None:
    """No subnet that the same devices may be given overlaps, except for the masters and what is below the subnet."""
    network = subnet.network
    around = [network.supernet(new_prefix=length).network_address for length in range(network.prefixlen)]
    others = (
        sa.select(Subnet)
        .where(
            sa.or_(
                Subnet.first_address.between(network.network_address, last_of(network)),
                sa.and_(Subnet.first_address.in_(around), Subnet.last_address >= last_of(network)),
            ),
            Subnet.id.not_in(ids_within(subnet.id)),
        )
        .order_by(Subnet.first_address, Subnet.prefix_length)
    )
    if master is not None:
        others = others.where(Subnet.id.not_in(_with_masters(master)))
    # What is shared is everybody's, and so is what lies in it.
    if subnet.organization_id is not None and (master is None or master.organization_id is not None):
        own = Subnet.organization_id == subnet.organization_id
        others = others.where(sa.or_(own, Subnet.organization_id.is_(None)))
    other = session.scalars(others.limit(1)).first()
    if other is not None:
        is_known = other.organization_id in (None, subnet.organization_id)
        what = other.subnet if is_known else "a subnet of another organization"
        raise Invalid({"subnet": [f"Subnet overlaps with {what}."]})


def _with_masters(subnet: Subnet) -> Any:
    above = sa.select(Subnet.id, Subnet.master_subnet_id).where(Subnet.id == subnet.id).cte("above", recursive=True)
    upper = aliased(Subnet)
    above = above.union_all(sa.select(upper.id, upper.master_subnet_id).where(upper.id == above.c.master_subnet_id))
    return sa.select(above.c.id)


def _require_inside(subnet: Subnet, master: Subnet) -> None:
    network, outer = subnet.network, master.network
    if network.version != outer.version:
        raise Invalid(
            {
                "master_subnet": [
                    f"IP version mismatch: Subnet {network} is IPv{network.version}, "
                    f"but Master Subnet {outer} is IPv{outer.version}."
                ]
            }
        )
    # As large as its master a subnet cannot be either: that keeps it from being its own, by whatever way around.
    if network.prefixlen <= outer.prefixlen or network.supernet(new_prefix=outer.prefixlen) != outer:
        raise Invalid({"master_subnet": ["Invalid master subnet."]})


def _require_room_for_contents(session: Session, subnet: Subnet) -> None:
    """Whatever is in the subnet stays in it and stays its organization's. Raises Invalid."""

    def found(query: Any) -> Any:
        return session.scalar(query.limit(1))

    children = sa.select(Subnet.subnet).where(Subnet.master_subnet_id == subnet.id)
    if child := found(children.where(_outside(subnet, Subnet.first_address, Subnet.last_address))):
        raise Invalid({"subnet": [f"The subnet {child} would not be inside any more."]})
    addresses = sa.select(IpAddress.ip_address).where(IpAddress.subnet_id == subnet.id)
    if address := found(addresses.where(_outside(subnet, IpAddress.ip_address, IpAddress.ip_address))):
        raise Invalid({"subnet": [f"The address {address} would not belong to the subnet any more."]})
    rules = sa.select(SubnetDivisionRule.label).where(SubnetDivisionRule.master_subnet_id == subnet.id)
    if label := found(rules.where(SubnetDivisionRule.size <= subnet.prefix_length)):
        raise Invalid({"subnet": [f"The division rule {label} needs a larger subnet."]})
    if subnet.organization_id is None:
        return
    servers = sa.select(Vpn.name).join(VpnSubnet, VpnSubnet.vpn_id == Vpn.id).where(VpnSubnet.subnet_id == subnet.id)
    if name := found(servers.where(Vpn.organization_id.is_distinct_from(subnet.organization_id))):
        raise Invalid({"organization": [f"The VPN server {name} of another organization has this subnet."]})
    foreign_children = children.where(Subnet.organization_id.is_distinct_from(subnet.organization_id))
    if found(foreign_children) or found(rules.where(SubnetDivisionRule.organization_id != subnet.organization_id)):
        raise Invalid({"organization": ["Subnets or rules of another organization depend on this subnet."]})


def _outside(subnet: Subnet, first: Any, last: Any) -> Any:
    # Addresses of the other version come before or after all of this one's.
    return sa.or_(first < subnet.first_address, last > subnet.last_address)


def _follow_master(session: Session, subnet: Subnet) -> None:
    """Let a subnet and what is in it belong to the tree of its master. Raises Invalid."""
    former = subnet.root_id
    root_id = subnet.id
    if subnet.master_subnet_id is not None:
        root_id = session.get_one(Subnet, subnet.master_subnet_id).root_id
    if root_id == former:
        return
    pool.lock_tree(session, root_id)
    within = ids_within(subnet.id)
    moving = IpAddress.subnet_id.in_(within)
    there = aliased(IpAddress)
    taken = sa.select(IpAddress.ip_address).join(there, there.ip_address == IpAddress.ip_address)
    if address := session.scalar(taken.where(moving, there.root_id == root_id).limit(1)):
        raise Invalid({"master_subnet": [f"The address {address} is used in both subnets."]})
    session.flush()
    session.execute(sa.update(Subnet).where(Subnet.id.in_(within)).values(root_id=root_id), execution_options=_QUIET)
    session.execute(sa.update(IpAddress).where(moving).values(root_id=root_id), execution_options=_QUIET)
    subnet.root_id = root_id
    network = subnet.network
    for each in (former, root_id):
        pool.mark_runs(session, each, network.network_address, last_of(network))
