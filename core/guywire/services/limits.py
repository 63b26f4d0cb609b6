"""How many devices an organization may have."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.models import Device, Organization, OrganizationConfigSettings


class DeviceLimitReached(Exception):
    """An organization may not have one more device; the text says so in the words of the reference."""


def claim_place(session: Session, organization_id: uuid.UUID) -> None:
    """Make sure that an organization may have one more device, and that it still may when the transaction ends.

    To be called before the device is written: who changes what devices get takes the same lock first. Raises
    DeviceLimitReached. Deactivated devices count.
    """
    limit = _limit(organization_id)
    # Without a limit nobody has to wait for others who add devices.
    is_unlimited = session.scalar(limit) == 0
    if session.scalar(limit.with_for_update(read=is_unlimited)) == 0:
        return
    allowed = session.scalar(limit.with_for_update())
    count = sa.select(sa.func.count()).select_from(Device).where(Device.organization_id == organization_id)
    if allowed is None or 0 < allowed <= (session.scalar(count) or 0):
        name = session.scalar(sa.select(Organization.name).where(Organization.id == organization_id))
        raise DeviceLimitReached(f"The maximum amount of allowed devices has been reached for organization {name}.")


def _limit(organization_id: uuid.UUID) -> Any:
    return sa.select(OrganizationConfigSettings.device_limit).where(
        OrganizationConfigSettings.organization_id == organization_id
    )
