"""Devices and their configurations: ``/api/v1/controller/device/``."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload
from typing_extensions import override

from guywire.api.base import Resource, register
from guywire.api.body import read_body
from guywire.api.device_body import DeviceBody, NewDeviceBody
from guywire.api.device_shown import FILTERS, SHOWN, SHOWN_IN_DETAIL
from guywire.db import is_conflict, is_overload
from guywire.errors import NotFound, PermissionDenied
from guywire.models import Config, Device
from guywire.services import device_edits, devices
from guywire.services.rendering import refresh
from guywire.services.status import is_stale, status_of

PATH = "/api/v1/controller/device/"

_LOADING = (joinedload(Device.config).joinedload(Config.state),)
_DEVICE = sa.select(Device).where(Device.id == sa.bindparam("id")).options(*_LOADING)
"""Made once: building it takes longer than running it."""


@register(PATH)
class DeviceResource(Resource):
    """Devices: the routers, each with at most one configuration."""

    model = Device
    schema = DeviceBody
    create_schema = NewDeviceBody
    kind = "device"
    label = "Device"
    force = "Delete the device although it is not deactivated."
    shown = SHOWN
    shown_in_detail = SHOWN_IN_DETAIL
    filters = FILTERS
    loading = _LOADING

    @override
    def row(self) -> Device:
        """The device; what is stale of it is rendered first, so that a read tells the truth."""
        if self.request.method not in ("GET", "HEAD"):
            changed: Device = super().row()
            return changed
        device = self._read()
        if device.config is not None and is_stale(device.config.state):
            self._refresh(device.config)
            self.session.rollback()
            self.session.expire_all()
            device = self._read()
        return device

    @override
    def check_object(self, row: Device) -> None:
        super().check_object(row)
        if row.is_deactivated and self.request.method in ("PUT", "PATCH"):
            raise PermissionDenied()

    @override
    def create(self, fields: dict[str, Any]) -> Device:
        return device_edits.create(self.session, self.runtime, fields, self.now)

    @override
    def update(self, row: Device, fields: dict[str, Any]) -> None:
        device_edits.update(self.session, self.runtime, row, fields, self.now)

    @override
    def delete(self, row: Device) -> None:
        ready = row.is_deactivated and (row.config is None or status_of(row.config.state) == "deactivated")
        if not ready and not self.is_forced:
            raise PermissionDenied("The device must be deactivated prior to deletion")
        devices.delete(self.session, self.runtime.registry, row, self.now)

    @override
    def represent_new(self, row: Device) -> dict[str, Any]:
        # Empty addresses are answered as they came; what is stored is null.
        given = read_body(self.request)
        blank = {name: "" for name in device_edits.ADDRESSES if given.get(name) == ""}
        return super().represent_new(row) | blank

    def _read(self) -> Device:
        """As ``super().row()`` finds it. Scripts read many devices one by one, so that time counts."""
        device = self.session.scalars(_DEVICE, {"id": self.path_id()}).first()
        if device is None or not self.identity.manages(device.organization_id):
            raise NotFound.of(self.label)
        return device

    def _refresh(self, config: Config) -> None:
        try:
            refresh(self.runtime.session_factory, self.runtime.renderer, [config.id], self.now)
        except sa.exc.SQLAlchemyError as error:
            # A read must not fail because somebody writes: the status says "modified" meanwhile.
            if not is_overload(error) and not is_conflict(error):
                raise
