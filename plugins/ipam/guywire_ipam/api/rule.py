"""Rules that divide subnets: ``/api/v1/ipam/subnet-division-rule/``."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api import fields, filters
from guywire.api.base import Resource, register
from guywire.api.schema import Schema
from guywire.errors import NON_FIELD, Invalid
from guywire.models import Organization
from guywire.plugin import notify
from typing_extensions import override

from guywire_ipam.models import Subnet, SubnetDivisionRule
from guywire_ipam.services import division
from guywire_ipam.services.events import DivisionRuleSaved

TYPES = {division.DEVICE: "Device", division.VPN: "VPN"}

MAX_ADDRESSES = 4096
"""How many addresses a rule may give to each configuration."""

_LABEL = fields.matching(
    re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "Only alphanumeric characters and underscores are allowed."
)
_SMALL = 32767
_FIXED = {
    "type": "Type cannot be changed",
    "organization_id": "Organization cannot be changed",
    "master_subnet_id": "Master subnet cannot be changed",
    "size": "Subnet size cannot be changed",
    "number_of_subnets": "Number of Subnets cannot be changed",
}
_COLUMNS = {"organization": "organization_id", "master_subnet": "master_subnet_id"}


class RuleBody(Schema):
    """A rule's fields. Once it is made, only its label and a larger number of addresses can be changed."""

    type: Annotated[
        str, fields.choice(lambda registry: TYPES, help="Who gets subnets: each device, or each VPN client.")
    ]
    organization: Annotated[uuid.UUID, fields.reference(Organization)]
    master_subnet: Annotated[uuid.UUID, fields.reference(Subnet, help="The subnet that is divided.")]
    label: Annotated[str, fields.text(30, rules=(_LABEL,), help="What the names of subnets and variables begin with.")]
    number_of_subnets: Annotated[int, fields.integer(minimum=1, maximum=_SMALL, help="How many subnets each one gets.")]
    size: Annotated[int, fields.integer(minimum=1, maximum=128, help="The prefix length of these subnets.")]
    number_of_ips: Annotated[
        int, fields.integer(minimum=1, maximum=_SMALL, help="How many addresses are taken in each of these subnets.")
    ]


@register("/api/v1/ipam/subnet-division-rule/")
class RuleResource(Resource):
    """Rules that give each device or VPN client of an organization subnets of its own, and variables that name them."""

    model = SubnetDivisionRule
    schema = RuleBody
    kind = "subnetdivisionrule"
    label = "SubnetDivisionRule"
    shown = {  # noqa: RUF012
        "id": SubnetDivisionRule.id,
        "type": SubnetDivisionRule.type,
        "organization": SubnetDivisionRule.organization_id,
        "master_subnet": SubnetDivisionRule.master_subnet_id,
        "label": SubnetDivisionRule.label,
        "number_of_subnets": SubnetDivisionRule.number_of_subnets,
        "size": SubnetDivisionRule.size,
        "number_of_ips": SubnetDivisionRule.number_of_ips,
        "created": SubnetDivisionRule.created,
        "modified": SubnetDivisionRule.modified,
    }
    filters = {  # noqa: RUF012
        **filters.organization(SubnetDivisionRule.organization_id),
        "master_subnet": filters.related(SubnetDivisionRule.master_subnet_id, Subnet, "Only of this subnet."),
        "type": filters.choice(SubnetDivisionRule.type.__eq__, lambda registry: TYPES),
    }

    @override
    def create(self, fields: dict[str, Any]) -> SubnetDivisionRule:
        rule = SubnetDivisionRule(id=uuid.uuid4(), created=self.now)
        self._apply(rule, fields)
        self.session.add(rule)
        self.session.flush()
        notify(self.session, DivisionRuleSaved(rule.id, rule.organization_id))
        return rule

    @override
    def update(self, row: SubnetDivisionRule, fields: dict[str, Any]) -> None:
        given = {_COLUMNS.get(name, name): value for name, value in fields.items()}
        errors = {
            name.removesuffix("_id"): [message]
            for name, message in _FIXED.items()
            if given.get(name, getattr(row, name)) != getattr(row, name)
        }
        label, number_of_ips = row.label, row.number_of_ips
        if given.get("number_of_ips", number_of_ips) < number_of_ips:
            errors["number_of_ips"] = ["Number of IPs cannot be decreased"]
        if errors:
            raise Invalid(errors)
        self._apply(row, fields)
        self.session.flush()
        if row.label != label:
            division.rename(self.session, row)
        if row.number_of_ips != number_of_ips:
            notify(self.session, DivisionRuleSaved(row.id, row.organization_id))

    @override
    def delete(self, row: SubnetDivisionRule) -> None:
        division.release(self.session, Subnet.rule_id == row.id)
        super().delete(row)

    def _apply(self, rule: SubnetDivisionRule, given: dict[str, Any]) -> None:
        for name, value in given.items():
            setattr(rule, _COLUMNS.get(name, name), value)
        rule.modified = self.now
        with self.session.no_autoflush:
            self._check(rule)

    def _check(self, rule: SubnetDivisionRule) -> None:
        namesake = sa.select(SubnetDivisionRule.id).where(
            SubnetDivisionRule.organization_id == rule.organization_id,
            SubnetDivisionRule.label == rule.label,
            SubnetDivisionRule.id != rule.id,
        )
        if self.session.scalar(namesake) is not None:
            raise Invalid({NON_FIELD: ["The fields organization, label must make a unique set."]})
        master = self.session.get_one(Subnet, rule.master_subnet_id)
        if master.organization_id not in (None, rule.organization_id):
            raise Invalid({"organization": ["Organization should be same as the subnet"]})
        network = master.network
        if not network.prefixlen <= rule.size <= network.max_prefixlen:
            raise Invalid({"size": [f"Master subnet cannot accommodate subnets of size /{rule.size}"]})
        if rule.number_of_subnets >= (1 << (rule.size - network.prefixlen)) - 1:
            raise Invalid(
                {
                    "number_of_subnets": [
                        'The master subnet is too small to accommodate the requested "number of subnets" plus the '
                        "reserved subnet: a larger subnet, or fewer or smaller parts of it, are needed."
                    ]
                }
            )
        if rule.number_of_ips > 1 << (network.max_prefixlen - rule.size):
            message = f"Generated subnets of size /{rule.size} cannot accommodate {rule.number_of_ips} IP Addresses."
            raise Invalid({"number_of_ips": [message]})
        if rule.number_of_subnets * rule.number_of_ips > MAX_ADDRESSES:
            message = f"A rule can give at most {MAX_ADDRESSES} addresses to each configuration, all subnets together."
            raise Invalid({"number_of_ips": [message]})
