"""What happened: events that plugins hear of, first inside the transaction, then after its commit.

``guywire.plugin.notify(session, event)`` tells them. See the hooks ``on_event`` and ``after_commit``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events, a plugin's own included."""


@dataclass(frozen=True, slots=True)
class DeviceRegistered(Event):
    """A device registered, for the first time (``is_new``) or again."""

    device_id: uuid.UUID
    organization_id: uuid.UUID
    is_new: bool


@dataclass(frozen=True, slots=True)
class DeviceActivated(Event):
    """An operator took a deactivated device back into service."""

    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DeviceDeactivated(Event):
    """An operator took a device out of service; its configuration is being emptied."""

    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DeviceGroupChanged(Event):
    """An operator moved a device to another group, into one or out of one."""

    device_id: uuid.UUID
    group_id: uuid.UUID | None
    previous_group_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class GroupTemplatesChanged(Event):
    """A device group has other templates than before, or the same in another order; its devices have followed."""

    group_id: uuid.UUID
    templates: tuple[uuid.UUID, ...]
    previous: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class ConfigModified(Event):
    """The bytes that a device should have are other ones than before."""

    config_id: uuid.UUID
    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class ConfigStatusChanged(Event):
    """A configuration's status became another one."""

    config_id: uuid.UUID
    device_id: uuid.UUID
    previous: str
    status: str


@dataclass(frozen=True, slots=True)
class ConfigsStale(Event):
    """Some configurations depend on something that changed and have to be rendered again."""
