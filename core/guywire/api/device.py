"""Devices and their configurations: ``/api/v1/controller/device/``."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload
from typing_extensions import override

from guywire.api.base import Resource, register
from guywire.api.body import read_body
from guywire.api.device_body import DeviceBody, NewDeviceBody
from guywire.api.device_shown import FILTERS, SHOWN, SHOWN_IN_DETAIL
from guywire.db import is_conflict, is_overload
from guywire.errors import MODEL, NON_FIELD, Invalid, PermissionDenied
from guywire.models import Config, Device, DeviceGroup
from guywire.services import configurations, devices
from guywire.services.rendering import refresh
from guywire.services.status import is_stale, status_of

PATH = "/api/v1/controller/device/"
GROUP_MISMATCH = (
    "Please ensure that the organization of this Device and the organization of the related Device Group match."
)


@register(PATH)
class DeviceResource(Resource):
    """Devices: the routers, each with at most one configuration."""

    model = Device
    schema = DeviceBody
    create_schema = NewDeviceBody
    kind = "device"
    label = "Device"
    shown = SHOWN
    shown_in_detail = SHOWN_IN_DETAIL
    filters = FILTERS
    loading = (joinedload(Device.config).joinedload(Config.state),)

    @override
    def row(self) -> Device:
        """The device; what is stale of it is rendered first, so that a read tells the truth."""
        device: Device = super().row()
        config = device.config
        if self.request.method in ("GET", "HEAD") and config is not None and is_stale(config.state):
            self._refresh(config)
            self.session.rollback()
            self.session.expire_all()
            device = super().row()
        return device

    @override
    def check_object(self, row: Device) -> None:
        super().check_object(row)
        if row.is_deactivated and self.request.method in ("PUT", "PATCH"):
            raise PermissionDenied()

    @override
    def create(self, fields: dict[str, Any]) -> Device:
        given = fields.pop("config", None) or {}
        device = Device(id=uuid.uuid4(), created=self.now, is_deactivated=False)
        try:
            self._apply(device, _DEFAULTS | fields)
        except Invalid:
            # The reference looks at the configuration before it looks for devices that are in the way.
            configurations.require_valid_alone(self.runtime, given)
            raise
        self.session.add(device)
        self.session.flush()
        configurations.give(self.session, self.runtime, device, given, self.now)
        return device

    @override
    def update(self, row: Device, fields: dict[str, Any]) -> None:
        given = fields.pop("config", None) or {}
        before = configurations.Origin.of(row)
        self._apply(row, fields)
        self.session.flush()
        if row.config is None and (given or row.group_id != before.group_id):
            configurations.give(self.session, self.runtime, row, given, self.now)
        elif row.config is not None and (given or before != configurations.Origin.of(row)):
            configurations.change(self.session, self.runtime, row, row.config, given, before, self.now)

    @override
    def delete(self, row: Device) -> None:
        ready = row.is_deactivated and (row.config is None or status_of(row.config.state) == "deactivated")
        if not ready and self.request.GET.get("force") != "true":
            raise PermissionDenied("The device must be deactivated prior to deletion")
        super().delete(row)

    @override
    def represent_new(self, row: Device) -> dict[str, Any]:
        # Empty addresses are answered as they came; what is stored is null.
        given = read_body(self.request)
        blank = {name: "" for name in _ADDRESSES if given.get(name) == ""}
        return super().represent_new(row) | blank

    def _apply(self, device: Device, given: dict[str, Any]) -> None:
        """Set the given fields of the device itself and check it as a whole."""
        renamed = {"organization": "organization_id", "group": "group_id"}
        for name, value in given.items():
            setattr(device, renamed.get(name, name), None if name in _ADDRESSES and value == "" else value)
        device.modified = self.now
        taken = devices.conflicts(self.session, device)
        if "key" in taken:
            raise Invalid({"key": ["Device with this key already exists."]})
        if "mac_address" in taken:
            raise Invalid({NON_FIELD: ["The fields mac_address, organization must make a unique set."]})
        self._require_group_of_organization(device)
        if "name" in taken:
            raise Invalid({MODEL: ["Device with this Name and Organization already exists."]})
        if "hardware_id" in taken:
            raise Invalid({MODEL: ["Device with this Hardware id and Organization already exists."]})
        if not device.key:
            consistent = self.runtime.settings.consistent_registration
            with self.session.no_autoflush:
                device.key = devices.generate_key(self.session, device, consistent)
            if "key" in devices.conflicts(self.session, device):
                raise Invalid({"key": ["Device with this key already exists."]})

    def _require_group_of_organization(self, device: Device) -> None:
        if device.group_id is None:
            return
        with self.session.no_autoflush:
            group = self.session.get_one(DeviceGroup, device.group_id)
        if group.organization_id != device.organization_id:
            raise Invalid({"group": [GROUP_MISMATCH]})

    def _refresh(self, config: Config) -> None:
        try:
            refresh(self.runtime.session_factory, self.runtime.renderer, [config.id], self.now)
        except sa.exc.SQLAlchemyError as error:
            # A read must not fail because somebody writes: the status says "modified" meanwhile.
            if not is_overload(error) and not is_conflict(error):
                raise


_ADDRESSES = ("last_ip", "management_ip")

_DEFAULTS: dict[str, Any] = {
    "last_ip": None,
    "management_ip": None,
    "key": "",
    "group": None,
    **dict.fromkeys(("model", "os", "system", "notes"), ""),
}
