"""The device that a path is about, for what lies below it."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from guywire.errors import NotFound, PermissionDenied
from guywire.models import Device
from guywire.security import Identity, visible_to
from pyramid.request import Request


def device_of_path(request: Request, identity: Identity) -> Device:
    """The device ``device_id`` of the path. Raises NotFound, PermissionDenied.

    What belongs to a deactivated device may be looked at and not changed. The device is locked when something of it is
    going to be changed: it does not move to another organization meanwhile.
    """
    changes = request.method not in ("GET", "HEAD")
    visible = visible_to(identity, Device.organization_id, shared=False)
    query = sa.select(Device).where(Device.id == uuid.UUID(request.matchdict["device_id"]), visible)
    device: Device | None = request.db.scalars(query.with_for_update(key_share=True) if changes else query).first()
    if device is None:
        raise NotFound()
    if device.is_deactivated and changes:
        raise PermissionDenied()
    return device
