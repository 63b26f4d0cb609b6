"""The variables of one device, read from where they are kept."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.interfaces import JSONObject
from guywire.models import Device, DeviceGroup, OrganizationConfigSettings
from guywire.renderer import Renderer
from guywire.services.context import added_context, system_context
from guywire.services.rendering import templates_of


class Variables(NamedTuple):
    """What a device's configuration is rendered with: ``own`` wins over ``system``."""

    system: JSONObject
    own: JSONObject


def variables_of(session: Session, renderer: Renderer, device: Device) -> Variables:
    """The variables of a device, whether it has a configuration or not."""
    settings = OrganizationConfigSettings
    organization = session.scalar(sa.select(settings.context).where(settings.organization_id == device.organization_id))
    group = session.scalar(sa.select(DeviceGroup.context).where(DeviceGroup.id == device.group_id))
    config = device.config
    templates = [] if config is None else templates_of(session, [config.id])[config.id]
    added = {} if config is None else added_context(session, renderer.registry, [config.id]).get(config.id, {})
    system = system_context(device, templates, renderer.global_context, organization or {}, group or {}, added)
    return Variables(system, {} if config is None else config.context)
