"""Which templates a configuration has: assignment by operators, groups, defaults, requirement and tags."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import (
    Config,
    ConfigState,
    ConfigTemplate,
    Device,
    DeviceGroup,
    DeviceGroupTemplate,
    OrganizationConfigSettings,
    Template,
    TemplateTag,
    Vpn,
)
from guywire.services.status import ACTIVE, dependents_of_template, mark_stale

TemplateIds = list[uuid.UUID]


def hold_organization(session: Session, organization_id: uuid.UUID) -> None:
    """Let nobody change what configurations of an organization get by themselves until this transaction ends.

    For one who makes a configuration: a change that lands meanwhile would not find it, and it not the change.
    """
    session.execute(_settings_of(organization_id).with_for_update(read=True))


def claim_organization(session: Session, organization_id: uuid.UUID | None) -> None:
    """Wait for those who make configurations, before changing what these get. None: of all organizations."""
    session.execute(_settings_of(organization_id).with_for_update())


def _settings_of(organization_id: uuid.UUID | None) -> Any:
    column = OrganizationConfigSettings.organization_id
    query = sa.select(column).order_by(column)
    return query if organization_id is None else query.where(column == organization_id)


def required_templates(session: Session, organization_id: uuid.UUID, backend: str) -> TemplateIds:
    """What no configuration of this organization and backend may lack, by name."""
    return list(session.scalars(_available(organization_id, backend).where(Template.required).order_by(Template.name)))


def enabled_templates(session: Session, organization_id: uuid.UUID, backend: str) -> TemplateIds:
    """What a new configuration gets by itself: required ones first, then defaults, each by name."""
    return list(
        session.scalars(
            _available(organization_id, backend)
            .where(sa.or_(Template.default, Template.required))
            .order_by(Template.required.desc(), Template.name)
        )
    )


def group_templates(session: Session, group_id: uuid.UUID | None, backend: str) -> TemplateIds:
    """What a device gets from its group, as far as its backend can use it."""
    if group_id is None:
        return []
    return list(
        session.scalars(
            sa.select(Template.id)
            .join(DeviceGroupTemplate, DeviceGroupTemplate.template_id == Template.id)
            .join(DeviceGroup, DeviceGroup.id == DeviceGroupTemplate.group_id)
            .where(DeviceGroup.id == group_id, Template.backend == backend, _visible(DeviceGroup.organization_id))
            .order_by(DeviceGroupTemplate.position)
        )
    )


def tagged_templates(session: Session, organization_id: uuid.UUID, tags: Iterable[str]) -> TemplateIds:
    """What a registering device asks for by the names of tags, whatever the backend."""
    wanted = list(tags)
    if not wanted:
        return []
    return list(
        session.scalars(
            sa.select(Template.id)
            .where(
                _visible(organization_id),
                Template.id.in_(sa.select(TemplateTag.template_id).where(TemplateTag.name.in_(wanted))),
            )
            .order_by(Template.name)
        )
    )


def _visible(organization_id: Any) -> Any:
    return sa.or_(Template.organization_id == organization_id, Template.organization_id.is_(None))


def _available(organization_id: uuid.UUID, backend: str) -> Any:
    return sa.select(Template.id).where(_visible(organization_id), Template.backend == backend)


def automatic_templates(session: Session, device: Device, backend: str) -> TemplateIds:
    """What a configuration has that nobody has touched: the group's templates, then the enabled ones."""
    return merged(
        group_templates(session, device.group_id, backend),
        enabled_templates(session, device.organization_id, backend),
    )


def merged(*lists: Iterable[uuid.UUID]) -> TemplateIds:
    """The lists one after the other; what occurs again keeps its first place."""
    return list(dict.fromkeys(template_id for each in lists for template_id in each))


_ASSIGNED = (
    sa.select(ConfigTemplate.__table__.c.template_id)
    .where(ConfigTemplate.__table__.c.config_id == sa.bindparam("config_id"))
    .order_by(ConfigTemplate.__table__.c.position)
)


def assigned_templates(session: Session, config_id: uuid.UUID) -> TemplateIds:
    """The templates of a configuration, from the weakest to the strongest."""
    return list(session.connection().scalars(_ASSIGNED, {"config_id": config_id}))


def assign(session: Session, config_id: uuid.UUID, template_ids: Sequence[uuid.UUID]) -> bool:
    """Give a configuration exactly these templates in this order. Returns whether that changed anything.

    The caller renders the configuration afterwards.
    """
    if assigned_templates(session, config_id) == list(template_ids):
        return False
    session.execute(sa.delete(ConfigTemplate).where(ConfigTemplate.config_id == config_id))
    if template_ids:
        session.execute(
            sa.insert(ConfigTemplate),
            [
                {"config_id": config_id, "template_id": template_id, "position": position}
                for position, template_id in enumerate(template_ids)
            ],
        )
    return True


def foreign_templates(session: Session, template_ids: Sequence[uuid.UUID], organization_id: uuid.UUID) -> list[str]:
    """The names of those templates that belong to another organization than ``organization_id``."""
    return list(
        session.scalars(
            sa.select(Template.name)
            .where(Template.id.in_(template_ids), Template.organization_id.is_not(None))
            .where(Template.organization_id != organization_id)
            .order_by(Template.name)
        )
    )


def templates_by_server(session: Session, template_ids: Sequence[uuid.UUID]) -> dict[str, list[str]]:
    """The names of those templates that make clients of VPN servers, by the server's name."""
    if not template_ids:
        return {}
    query = sa.select(Vpn.id, Vpn.name, Template.name).join(Vpn, Vpn.id == Template.vpn_id)
    found: dict[tuple[uuid.UUID, str], list[str]] = defaultdict(list)
    for vpn_id, server, name in session.execute(query.where(Template.id.in_(template_ids)).order_by(Template.name)):
        found[vpn_id, server].append(name)
    return {server: names for (_, server), names in found.items()}


def add_to_existing(session: Session, template: Template) -> None:
    """Append a template that became default or required to every configuration of its backend that lacks it.

    Deactivated devices keep their empty configuration. One statement, however many devices there are.
    """
    claim_organization(session, template.organization_id)
    configs = (
        sa.select(Config.id)
        .join(ConfigState, ConfigState.config_id == Config.id)
        .join(Device, Device.id == Config.device_id)
        .where(Config.backend == template.backend, ConfigState.lifecycle == ACTIVE)
    )
    if template.organization_id is not None:
        configs = configs.where(Device.organization_id == template.organization_id)
    append(session, configs, sa.literal(template.id, sa.Uuid()))
    mark_stale(session, dependents_of_template(template.id))


def append(session: Session, configs: Any, template_id: Any, offset: Any = 0) -> None:
    """Append templates to many configurations at once, to those that lack them.

    ``configs`` is a SELECT from ``Config`` with a row for each template of each configuration: ``template_id`` is the
    expression for the template in it, ``offset`` the one for its place among those that are appended.
    """
    last = (
        sa.select(sa.func.coalesce(sa.func.max(ConfigTemplate.position), -1) + 1)
        .where(ConfigTemplate.config_id == Config.id)
        .scalar_subquery()
    )
    has_it = sa.exists().where(ConfigTemplate.config_id == Config.id, ConfigTemplate.template_id == template_id)
    lacking = configs.with_only_columns(Config.id, template_id, last + offset).where(~has_it)
    session.execute(sa.insert(ConfigTemplate).from_select(["config_id", "template_id", "position"], lacking))


def changed_templates(
    session: Session,
    config: Config,
    device: Device,
    *,
    explicit: Sequence[uuid.UUID] | None,
    previous_organization_id: uuid.UUID,
    previous_group_id: uuid.UUID | None,
    previous_backend: str,
) -> TemplateIds:
    """The templates that a configuration has after an operator's change of it or of its device.

    ``explicit`` is the list that the operator gave (None: the old one stays). Required templates come first and
    cannot be left out. Another organization brings only its required templates; another group takes the former
    group's templates away and appends its own; another backend does both.
    """
    required = required_templates(session, device.organization_id, config.backend)
    if explicit is not None:
        kept = merged(required, explicit)
    elif device.organization_id != previous_organization_id:
        return merged(required, group_templates(session, device.group_id, config.backend))
    else:
        kept = assigned_templates(session, config.id)
        if config.backend != previous_backend:
            unusable = set(required_templates(session, device.organization_id, previous_backend))
            kept = merged(required, (each for each in kept if each not in unusable))
    if (device.group_id, config.backend) != (previous_group_id, previous_backend):
        of_group = group_templates(session, device.group_id, config.backend)
        # A template of the former group may be required by now.
        former = set(group_templates(session, previous_group_id, previous_backend)).difference(of_group, required)
        kept = merged((each for each in kept if each not in former), of_group)
    return kept
