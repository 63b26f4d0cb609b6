"""Device groups: which templates they may have, and how thousands of devices follow when these change."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.events import ConfigsCreated, GroupTemplatesChanged
from guywire.models import Config, ConfigState, ConfigTemplate, Device, DeviceGroup, DeviceGroupTemplate, Template
from guywire.plugin import notify
from guywire.services.status import ACTIVE, dependents_of_group, mark_stale
from guywire.services.templates import TemplateIds, append, claim_organization, group_templates, merged


def templates_of_groups(session: Session, group_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, TemplateIds]:
    """The templates of each group in their order."""
    found: dict[uuid.UUID, TemplateIds] = {id: [] for id in group_ids}
    links = (
        sa.select(DeviceGroupTemplate.group_id, DeviceGroupTemplate.template_id)
        .where(DeviceGroupTemplate.group_id.in_(group_ids))
        .order_by(DeviceGroupTemplate.position)
    )
    for group_id, template_id in session.execute(links):
        found[group_id].append(template_id)
    return found


def unsuitable_template(session: Session, group: DeviceGroup, template_ids: Sequence[uuid.UUID]) -> uuid.UUID | None:
    """The first of some templates that the group cannot have, or None.

    Neither can it have those of another organization, nor those that all devices get anyway. One that became default
    or required while it was the group's may stay.
    """
    own = DeviceGroupTemplate.template_id == Template.id, DeviceGroupTemplate.group_id == group.id
    suitable = sa.select(Template.id).where(
        Template.id.in_(template_ids),
        sa.or_(Template.organization_id == group.organization_id, Template.organization_id.is_(None)),
        sa.or_(~Template.default & ~Template.required, sa.exists().where(*own)),
    )
    known = set(session.scalars(suitable))
    return next((each for each in template_ids if each not in known), None)


def has_devices(session: Session, group_id: uuid.UUID) -> bool:
    """Whether any device is in the group."""
    return session.scalar(sa.select(Device.id).where(Device.group_id == group_id).limit(1)) is not None


def set_templates(
    session: Session, group: DeviceGroup, template_ids: Sequence[uuid.UUID], now: datetime, *, default_backend: str
) -> None:
    """Give a group these templates in this order; its devices in service follow.

    What the group no longer has is taken from them, what is new to the group comes last. A device without
    configuration gets one of the ``default_backend``, if there is something for it. Nothing is rendered here, and the
    number of statements does not depend on the number of devices. A configuration that cannot be rendered with the
    new templates says so in its state.
    """
    claim_organization(session, group.organization_id)
    former = templates_of_groups(session, [group.id])[group.id]
    wanted = merged(template_ids)
    if wanted == former:
        return
    session.execute(sa.delete(DeviceGroupTemplate).where(DeviceGroupTemplate.group_id == group.id))
    if wanted:
        links = [{"group_id": group.id, "template_id": each, "position": place} for place, each in enumerate(wanted)]
        session.execute(sa.insert(DeviceGroupTemplate), links)
    if set(wanted) != set(former) and has_devices(session, group.id):
        _take(session, group.id, set(former).difference(wanted))
        _append(session, group.id, set(wanted).difference(former))
        if group_templates(session, group.id, default_backend):
            _give_configurations(session, group, default_backend, now)
        mark_stale(session, dependents_of_group(group.id))
    notify(session, GroupTemplatesChanged(group.id, tuple(wanted), tuple(former)))


def _configs_in_service(group_id: uuid.UUID) -> Any:
    return (
        sa.select(Config.id)
        .join(ConfigState, ConfigState.config_id == Config.id)
        .join(Device, Device.id == Config.device_id)
        .where(Device.group_id == group_id, ConfigState.lifecycle == ACTIVE)
    )


def _take(session: Session, group_id: uuid.UUID, template_ids: set[uuid.UUID]) -> None:
    # For each row by its key: a list of all the group's configurations would be gone through again and again.
    of_group = (
        _configs_in_service(group_id)
        .join(Template, Template.backend == Config.backend)
        .where(Config.id == ConfigTemplate.config_id, Template.id == ConfigTemplate.template_id, ~Template.required)
        .correlate(ConfigTemplate)
    )
    session.execute(
        sa.delete(ConfigTemplate)
        .where(ConfigTemplate.template_id.in_(template_ids), of_group.exists())
        .execution_options(synchronize_session=False)
    )


def _append(session: Session, group_id: uuid.UUID, template_ids: set[uuid.UUID]) -> None:
    link = DeviceGroupTemplate
    pairs = (
        _configs_in_service(group_id)
        .join(link, link.group_id == Device.group_id)
        .join(Template, sa.and_(Template.id == link.template_id, Template.backend == Config.backend))
        .where(link.template_id.in_(template_ids))
    )
    append(session, pairs, link.template_id, link.position)


def _give_configurations(session: Session, group: DeviceGroup, backend: str, now: datetime) -> None:
    """Make configurations for the devices in service that have none, with the templates of new ones."""
    nothing = sa.literal({}, Config.config.type)
    time = sa.literal(now, Config.created.type)
    # The device's id serves as the configuration's: databases do not agree on how to make random ones.
    values: Mapping[Any, Any] = {
        Config.id: Device.id,
        Config.device_id: Device.id,
        Config.backend: sa.literal(backend),
        Config.config: nothing,
        Config.context: nothing,
        Config.created: time,
        Config.modified: time,
    }
    lacking = (
        sa.select(*values.values())
        .outerjoin(Config, Config.device_id == Device.id)
        .where(Device.group_id == group.id, ~Device.is_deactivated, Config.id.is_(None))
    )
    session.execute(sa.insert(Config).from_select(list(values), lacking))
    # What has no state yet is what was just made.
    made = (
        sa.select(Config.id)
        .join(Device, Device.id == Config.device_id)
        .outerjoin(ConfigState, ConfigState.config_id == Config.id)
        .where(Device.group_id == group.id, ConfigState.config_id.is_(None))
    )
    link = DeviceGroupTemplate
    of_group = made.join(link, link.group_id == Device.group_id)
    usable = of_group.join(Template, sa.and_(Template.id == link.template_id, Template.backend == backend))
    append(session, usable, link.template_id, link.position)
    enabled = made.join(
        Template,
        sa.and_(
            Template.backend == backend,
            sa.or_(Template.default, Template.required),
            sa.or_(Template.organization_id == Device.organization_id, Template.organization_id.is_(None)),
        ),
    )
    place = sa.func.row_number().over(partition_by=Config.id, order_by=(Template.required.desc(), Template.name))
    append(session, enabled, Template.id, place)
    if made_ids := tuple(session.scalars(made)):
        notify(session, ConfigsCreated(made_ids))
    states = made.with_only_columns(Config.id, Config.device_id)
    session.execute(sa.insert(ConfigState).from_select(["config_id", "device_id"], states))
