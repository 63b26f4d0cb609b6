"""Tables of subnets, addresses and the rules that divide subnets among devices."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from guywire.models.base import Base, Dated, Identified, text
from sqlalchemy import ForeignKey, String
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from guywire_ipam.addresses import Network, address_of, key_of, parse_address, parse_network


class AddressKey(TypeDecorator[str]):
    """An IP address: text in Python, bytes that every database orders like addresses in the table."""

    impl = sa.LargeBinary(17)
    cache_ok = True

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else key_of(parse_address(value) if isinstance(value, str) else value)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else str(address_of(bytes(value)))


def _when(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


class Subnet(Identified, Dated, Base):
    """A network in CIDR notation. Without organization it is shared.

    ``root_id`` is the top of the tree that the masters make (the subnet itself, if it has none): what is unique, is so
    within a tree. A subnet that a rule made is its ``number``-th one for the configuration ``config_id``; it goes with
    either of them.
    """

    __tablename__ = "ipam_subnet"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "subnet"),
        # NULLs are distinct in a unique constraint, so shared subnets need an index of their own.
        sa.Index("uq_ipam_subnet_shared_subnet", "subnet", unique=True, **_when("organization_id IS NULL")),
        sa.UniqueConstraint("rule_id", "config_id", "number"),
        sa.Index("ix_ipam_subnet_first_address", "first_address", "prefix_length", "id"),
        sa.Index("ix_ipam_subnet_master_subnet_id", "master_subnet_id", "last_address"),
    )

    name: Mapped[str] = text(100)
    subnet: Mapped[str] = text(43)
    description: Mapped[str] = text(100)
    organization_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    master_subnet_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ipam_subnet.id", ondelete="CASCADE"))
    root_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ipam_subnet.id", ondelete="CASCADE"), index=True)
    first_address: Mapped[str] = mapped_column(AddressKey)
    last_address: Mapped[str] = mapped_column(AddressKey)
    prefix_length: Mapped[int]

    rule_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("ipam_subnet_division_rule.id", ondelete="CASCADE", use_alter=True)
    )
    config_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("config.id", ondelete="CASCADE"), index=True)
    number: Mapped[int | None]

    @property
    def network(self) -> Network:
        """The subnet as a network."""
        return parse_network(self.subnet)


class IpAddress(Identified, Dated, Base):
    """An address that is taken. It is unique in the tree that its subnet belongs to.

    ``ends_run``: the ``successor``, which is the next address, is not taken. So the first free address is the
    successor of the first row that ends a run: one step in an index, however many addresses are taken before it.
    """

    __tablename__ = "ipam_ip_address"
    __table_args__ = (
        sa.UniqueConstraint("root_id", "ip_address"),
        sa.Index("ix_ipam_ip_address_subnet_id", "subnet_id", "ip_address"),
        # By the successor, so that no database is tempted to look through the constraint's index instead.
        sa.Index("ix_ipam_ip_address_ends_run", "root_id", "ends_run", "successor"),
    )

    ip_address: Mapped[str] = mapped_column(AddressKey)
    description: Mapped[str] = text(100)
    subnet_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ipam_subnet.id", ondelete="CASCADE"))
    root_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ipam_subnet.id", ondelete="CASCADE"))
    successor: Mapped[str | None] = mapped_column(AddressKey)
    ends_run: Mapped[bool]


class VpnSubnet(Base):
    """The subnet of a VPN server, and its own address."""

    __tablename__ = "ipam_vpn"

    vpn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn.id", ondelete="CASCADE"), primary_key=True)
    subnet_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ipam_subnet.id", ondelete="CASCADE"), index=True)
    ip_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("ipam_ip_address.id", ondelete="SET NULL"), unique=True)


class VpnClientAddress(Base):
    """The address of a client of a VPN server.

    Where a rule divides the subnet that two servers share, a configuration has one address for both.
    """

    __tablename__ = "ipam_vpn_client"

    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("vpn_client.id", ondelete="CASCADE"), primary_key=True)
    address_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ipam_ip_address.id", ondelete="CASCADE"), index=True)


class SubnetDivisionRule(Identified, Dated, Base):
    """Gives each device of an organization (``type`` device), or each VPN client (vpn), subnets of its own."""

    __tablename__ = "ipam_subnet_division_rule"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "label"),
        sa.Index("ix_ipam_subnet_division_rule_created_id", "created", "id"),
    )

    type: Mapped[str] = mapped_column(String(16))
    organization_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    master_subnet_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ipam_subnet.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = text(30)
    number_of_subnets: Mapped[int]
    size: Mapped[int]
    number_of_ips: Mapped[int]
