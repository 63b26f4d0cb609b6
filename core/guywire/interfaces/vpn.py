"""VPN servers, their clients, and the backends that make both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from guywire.interfaces.configurations import ArchiveFile, JSONObject

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


class VpnServer(Protocol):
    """What a VPN backend may know of a server without asking the database (see ``guywire.models.Vpn``)."""

    id: Any
    name: Any
    organization_id: Any
    host: Any
    backend: Any
    config: Any


class Secret(str):
    """A variable's value, a private key for instance, that no error message may quote."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NewVpnClient:
    """A client that a server is to get, or one that has lost something: a configuration and its device.

    ``id`` is that of its row in ``vpn_client``, to which a plugin's table may refer.
    """

    id: UUID
    config_id: UUID
    device_id: UUID
    device_name: str
    mac_address: str
    organization_id: UUID


class VpnBackend(Protocol):
    """One kind of VPN server, and what its clients need. Registered, as a class, with ``register_vpn_backends``.

    All methods with a session work in its transaction. Those for many objects are called with many on purpose: they
    should make a constant number of statements. Variables of a server and of its clients end with ``_`` and the
    server's id as 32 hexadecimal digits, because one device may be a client of several servers.
    """

    id: ClassVar[str]
    label: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]]
    requires: ClassVar[tuple[type, ...]]
    """The Protocols of the services that the constructor is called with, in this order."""
    wants: ClassVar[tuple[type, ...]]
    """Those of services that it gets after these, None in the place of each that no plugin provides."""

    def validate(self, config: JSONObject) -> None:
        """Raise ConfigurationInvalid for a server configuration that does not follow the schema."""

    def provision(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Check what belongs to a server and make what it lacks: its certificate, its address, its keys.

        Called after every creation and change, when the field groups are saved; what is there stays. Raises
        ``guywire.errors.Invalid`` with the errors by field.
        """

    def release(self, session: Session, vpn: VpnServer, now: datetime) -> None:
        """Give back what ``provision`` made, before the server's row goes. Its clients are gone already."""

    def client_config(self, session: Session, vpn: VpnServer, auto_cert: bool) -> JSONObject:
        """The NetJSON of a template that makes a device a client; without ``auto_cert`` it holds no key."""

    def server_variables(self, session: Session, vpns: Sequence[VpnServer]) -> Mapping[UUID, Mapping[str, Any]]:
        """What templates and devices may know of servers, by the server's id (``vpn_host_…`` is there already)."""

    def prepare_clients(self, session: Session, vpn: VpnServer, count: int, outdated: Sequence[UUID]) -> Sequence[Any]:
        """What takes long to make and belongs to nobody yet, such as key pairs: for ``count`` new clients, and for
        those of the ``outdated`` ones that lack it.

        Called with a session that only reads and before ``provision_clients``, which holds locks; it may do nothing.
        """

    def provision_clients(
        self, session: Session, vpn: VpnServer, clients: Sequence[NewVpnClient], prepared: Sequence[Any], now: datetime
    ) -> None:
        """Make what clients lack: new ones everything, outdated ones keep what they have.

        ``prepared`` may hold less than one thing for each of them, or more.
        """

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Revoke and free what clients have, before their rows go."""

    def client_variables(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """What the configurations of clients may know besides ``server_variables``, by the client's id.

        Keys and the like as ``Secret``.
        """

    def render(self, session: Session, vpn: VpnServer, variables: Mapping[str, Any]) -> Sequence[ArchiveFile]:
        """The files of the server, its clients included; the same facts always give the same bytes.

        ``variables`` are the global ones. There may be 10,000 clients: read them as plain rows, not as ORM objects.
        Raises ConfigurationInvalid.
        """
