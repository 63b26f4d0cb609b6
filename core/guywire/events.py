"""What happened: events that plugins hear of, first inside the transaction, then after its commit.

``guywire.plugin.notify(session, event)`` tells them. See the hooks ``on_event`` and ``after_commit``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime


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
class DeviceMoved(Event):
    """An operator gave a device to another organization."""

    device_id: uuid.UUID
    organization_id: uuid.UUID
    previous_organization_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DeviceActivated(Event):
    """An operator took a deactivated device back into service."""

    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DeviceDeactivated(Event):
    """An operator took a device out of service; its configuration is being emptied."""

    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DevicePolled(Event):
    """A device polled whose poll somebody awaited (``guywire.services.status.await_polls``)."""

    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DevicesDeleting(Event):
    """Devices are about to be deleted. (Those of an organization that is deleted go without being named.)"""

    device_ids: tuple[uuid.UUID, ...]


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
class OrganizationDeleting(Event):
    """An organization is about to be deleted, with all that belongs to it. ``at`` is the time of that."""

    organization_id: uuid.UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class ConfigsCreated(Event):
    """Devices got configurations, which have their templates and have not been rendered yet."""

    config_ids: tuple[uuid.UUID, ...]


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


@dataclass(frozen=True, slots=True)
class VpnsStale(Event):
    """The files of some VPN servers depend on something that changed and have to be rendered again."""


@dataclass(frozen=True, slots=True)
class CADeleting(Event):
    """A certificate authority is about to be deleted, with all of its certificates.

    Whoever needs it vetoes with ``guywire.errors.Conflict``, unless ``force`` says that it is to go all the same.
    """

    ca_id: int
    force: bool


@dataclass(frozen=True, slots=True)
class CertificatesDeleting(Event):
    """Certificates are about to be deleted. A veto is as for ``CADeleting``."""

    certificate_ids: tuple[int, ...]
    force: bool


@dataclass(frozen=True, slots=True)
class CARenewed(Event):
    """A certificate authority has another key and certificate; ``CertificatesRenewed`` tells of its certificates."""

    ca_id: int


@dataclass(frozen=True, slots=True)
class CertificatesRenewed(Event):
    """Certificates have other keys and serial numbers than before, and the same ids."""

    certificate_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CertificatesRevoked(Event):
    """Certificates were revoked. They are on the CRL of their CA now."""

    certificate_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CertificatesExpiring(Event):
    """Certificates and certificate authorities end soon, or have ended. Told some weeks, a week and no time before."""

    certificate_ids: tuple[int, ...]
    ca_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SubnetsDeleting(Event):
    """Subnets are about to be deleted, with all addresses in them. A veto is as for ``CADeleting``."""

    subnet_ids: tuple[uuid.UUID, ...]
    force: bool


@dataclass(frozen=True, slots=True)
class AddressesDeleting(Event):
    """IP addresses are about to be freed. A veto is as for ``CADeleting``."""

    address_ids: tuple[uuid.UUID, ...]
    force: bool


@dataclass(frozen=True, slots=True)
class SubnetsChanged(Event):
    """Subnets are other networks than before."""

    subnet_ids: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class AddressesChanged(Event):
    """Addresses that were taken are other ones than before, or belong to other subnets."""

    address_ids: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class IsWorkingChanged(Event):
    """A connection to a device works, or has stopped working for the reason that is given.

    The first success of a connection that was never tried is not told.
    """

    connection_id: uuid.UUID
    device_id: uuid.UUID
    is_working: bool
    failure_reason: str
