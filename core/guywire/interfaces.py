"""What plugins and the core agree on: pure Protocols, dataclasses and exceptions, nothing that touches a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

JSONObject = dict[str, Any]


class ConfigurationInvalid(Exception):
    """A configuration that its backend cannot turn into files.

    ``path`` is the place in the NetJSON document (for instance ``("interfaces", 0)``), ``message`` says what is
    wrong there.
    """

    def __init__(self, message: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)

    def __str__(self) -> str:
        """The sentence that REST clients get, in the reference's wording (spec of templates, §2)."""
        if not self.path:
            return self.message
        place = "/".join(str(step) for step in self.path)
        return f'Invalid configuration triggered by "#/{place}", validator says:\n\n{self.message}'


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One regular file of a configuration archive: ``path`` without a leading slash, ``mode`` as an int (0o644)."""

    path: str
    content: bytes
    mode: int = 0o644


class ConfigBackend(Protocol):
    """Turns NetJSON into the files of one kind of router. Registered with ``register_config_backends``.

    ``templates`` are NetJSON objects from the weakest to the strongest; ``config`` is the strongest layer. ``context``
    maps variable names to values. ``device_os`` is the operating system that the device reported ("" if none): it may
    decide the syntax. None of the arguments is changed.
    """

    id: str
    label: str
    schema: Mapping[str, Any]

    def validate(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> None:
        """Raise ConfigurationInvalid when the merged configuration cannot be rendered."""

    def render(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> list[ArchiveFile]:
        """The files in archive order; the same input always gives the same bytes. Raises ConfigurationInvalid."""


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """Where one plugin keeps its Alembic revisions.

    ``owner`` names the version table (``alembic_version_<owner>``) and, as the prefix of its table names, which
    tables the plugin owns. ``metadata`` is the SQLAlchemy MetaData of those tables.
    """

    owner: str
    folder: str
    metadata: Any
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of background work. Registered with ``register_jobs``.

    ``run(runtime, **arguments)`` gets the worker's ``guywire.runtime.Runtime``, opens its own sessions and must be
    safe to run again: a job may be repeated after a crash. A job with ``every`` (seconds) also runs by itself,
    because the database, not the queue, holds the truth of what is to be done and a lost wake-up must lose nothing.
    """

    name: str
    run: Callable[..., None]
    every: float | None = None


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """Permissions that a plugin knows and which of them the stock groups get (see ``register_permissions``)."""

    resource: str
    label: str
    operator: frozenset[str] = field(default_factory=frozenset)
    administrator: frozenset[str] = field(default_factory=frozenset)


class CertificateLookup(Protocol):
    """Knows which devices hold certificates. A service, see ``register_services``."""

    def devices_of_certificate(
        self, session: Session, common_name: str, organization_slugs: Sequence[str] | None, now: datetime
    ) -> Sequence[UUID]:
        """The ids of the devices that hold a valid certificate with this common name, the best answer first.

        ``organization_slugs`` are the organizations whose certificates count (None: all). The caller narrows the
        devices down to those that the user may see.
        """


class FieldGroup(Protocol):
    """Fields that a plugin adds to a resource of somebody else (see ``guywire.api.field_groups.FieldGroup``).

    ``resource`` is the kind of the resource (``vpn``), ``name`` distinguishes the groups of one resource.
    """

    @property
    def resource(self) -> str:
        """The kind of the resource, as in its permissions."""

    @property
    def name(self) -> str:
        """As a rule the plugin's name."""


class VpnServer(Protocol):
    """What a VPN backend may know of a server without asking the database (see ``guywire.models.Vpn``)."""

    id: Any
    name: Any
    organization_id: Any
    host: Any
    backend: Any
    config: Any


@dataclass(frozen=True, slots=True)
class NewVpnClient:
    """A client that a server is to get: a configuration and the device that it belongs to.

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

    def prepare_clients(self, session: Session, vpn: VpnServer, count: int) -> Sequence[Any]:
        """What takes long to make for ``count`` new clients and belongs to none of them yet, such as key pairs.

        Called with a session that only reads and before ``provision_clients``, which holds locks; it may do nothing.
        """

    def provision_clients(
        self, session: Session, vpn: VpnServer, clients: Sequence[NewVpnClient], prepared: Sequence[Any], now: datetime
    ) -> None:
        """Make what new clients need. ``prepared`` may hold less than one thing for each of them, or more."""

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Revoke and free what clients have, before their rows go."""

    def client_variables(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """What the configurations of clients may know besides ``server_variables``, by the client's id."""

    def render(self, session: Session, vpn: VpnServer, variables: Mapping[str, Any]) -> Sequence[ArchiveFile]:
        """The files of the server, its clients included; the same facts always give the same bytes.

        ``variables`` are the global ones. There may be 10,000 clients: read them as plain rows, not as ORM objects.
        Raises ConfigurationInvalid.
        """


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """A certificate that somebody needs. Key type, digest and subject are those of the CA, but for the common name.

    ``server``: it is to prove a server's identity, otherwise a client's.
    """

    name: str
    common_name: str
    organization_id: UUID | None
    server: bool = False


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA as its users need it. ``organization_id`` None: it is shared."""

    id: int
    common_name: str
    organization_id: UUID | None
    pem: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate with its key, as PEM. ``revoked`` and ``expires`` say whether it serves."""

    id: int
    ca_id: int
    name: str
    common_name: str
    organization_id: UUID | None
    pem: str
    key: str
    revoked: bool
    expires: datetime


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The CA that an operator chose for a VPN server, and the server's own certificate (None: none yet)."""

    ca: Authority
    certificate: Credential | None


class PkiProvider(Protocol):
    """Issues certificates and takes them back. A service, see ``register_services``.

    Everything works for many certificates with a constant number of statements, in the caller's transaction. Whoever
    uses a certificate refers to its id and listens to ``CertificatesRenewed``, ``CertificatesRevoked`` and, to veto,
    ``CertificatesDeleting`` and ``CADeleting`` of ``guywire.events``.
    """

    def prepare_keys(self, session: Session, ca_id: int, count: int) -> Sequence[Any]:
        """Make ``count`` keys as certificates of the CA have them, for ``issue``.

        RSA takes long, so this is to be called before locks are taken; ``session`` only reads.
        """

    def issue(
        self, session: Session, ca_id: int, orders: Sequence[CertificateOrder], now: datetime, keys: Sequence[Any] = ()
    ) -> Sequence[int]:
        """Issue certificates: their ids, in the order of ``orders``. What ``keys`` lacks is made on the spot.

        Raises ``guywire.errors.Invalid``: a common name is taken, or the CA belongs to another organization.
        """

    def authorities(self, session: Session, ids: Sequence[int]) -> Mapping[int, Authority]:
        """CAs by id."""

    def credentials(self, session: Session, ids: Sequence[int]) -> Mapping[int, Credential]:
        """Certificates by id, with their keys."""

    def with_common_name(
        self, session: Session, common_name: str, organization_slugs: Sequence[str] | None, now: datetime
    ) -> Sequence[int]:
        """The ids of the certificates with this common name that are valid, the newest first.

        ``organization_slugs`` are the organizations whose certificates count (None: all, and the shared ones).
        """

    def revoke(self, session: Session, ids: Sequence[int], now: datetime) -> None:
        """Take certificates back: they are on the CRL from now on until they would have expired."""

    def delete(self, session: Session, ids: Sequence[int]) -> None:
        """Remove certificates without asking those who use them. What was revoked stays on the CRL."""

    def servers(self, session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, ServerCertificate]:
        """What VPN servers prove their identity with, by the server's id; those without a CA are left out."""

    def provision_server(
        self, session: Session, vpn_id: UUID, order: CertificateOrder, now: datetime
    ) -> ServerCertificate | None:
        """Let a VPN server have a certificate of its CA, a new one unless it has one; None without CA.

        Where the common name is taken, the new one gets another with the same beginning. Raises Invalid.
        """

    def release_server(self, session: Session, vpn_id: UUID, now: datetime) -> None:
        """Revoke the certificate that was issued for a VPN server, which forgets its CA too."""

    def issue_for_clients(
        self,
        session: Session,
        vpn_id: UUID,
        orders: Mapping[UUID, CertificateOrder],
        now: datetime,
        keys: Sequence[Any] = (),
    ) -> None:
        """``issue`` for clients of a VPN server, by the client's id. Clients whose CA changes later are made anew.

        Raises Invalid, when the server has no CA too.
        """

    def of_clients(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Credential]:
        """The certificates of clients of VPN servers, by the client's id."""

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Revoke the certificates of clients of VPN servers."""


@dataclass(frozen=True, slots=True)
class SubnetFacts:
    """A subnet as its users need it: ``cidr`` is as in ``10.0.0.0/24``. ``organization_id`` None: it is shared."""

    id: UUID
    organization_id: UUID | None
    cidr: str


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """An address that is taken, as in ``10.0.0.1``, and the subnet that it belongs to."""

    id: UUID
    subnet_id: UUID
    address: str


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a VPN server is: the subnet that an operator chose for it, and its own address there (None: none yet)."""

    subnet: SubnetFacts
    address: AddressFacts | None


class AddressUnavailable(Exception):
    """An address that cannot be had; the text is a sentence for users."""


class AddressProvider(Protocol):
    """Hands out IP addresses of subnets. A service, see ``register_services``.

    Everything works in the caller's transaction, and nobody else takes addresses of the same subnets until it ends.
    Whoever uses a subnet or an address refers to its id and listens to ``SubnetsChanged``, ``AddressesChanged`` and,
    to veto, ``SubnetsDeleting`` and ``AddressesDeleting`` of ``guywire.events``.
    """

    def subnets(self, session: Session, ids: Sequence[UUID]) -> Mapping[UUID, SubnetFacts]:
        """Subnets by id; those that do not exist are left out."""

    def addresses(self, session: Session, ids: Sequence[UUID]) -> Mapping[UUID, AddressFacts]:
        """Addresses by id; those that do not exist are left out."""

    def servers(self, session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, ServerAddress]:
        """Where VPN servers are, by the server's id; those without a subnet are left out."""

    def provision_server(self, session: Session, vpn_id: UUID, purpose: str, now: datetime) -> ServerAddress | None:
        """Let a VPN server have an address of its subnet, the next free one unless it has one; None without subnet.

        Raises AddressUnavailable.
        """

    def release_server(self, session: Session, vpn_id: UUID) -> None:
        """Free the address of a VPN server, which keeps its subnet."""

    def allocate(
        self, session: Session, subnet_id: UUID, purposes: Sequence[str], now: datetime
    ) -> Sequence[AddressFacts]:
        """Take the next free addresses of a subnet: one for each purpose, which is what users see of it.

        Raises AddressUnavailable when there are not so many; then none is taken.
        """

    def allocate_for_clients(
        self, session: Session, subnet_id: UUID, purposes: Mapping[UUID, str], now: datetime
    ) -> Mapping[UUID, AddressFacts]:
        """``allocate`` for clients of a VPN server that has the subnet, by the ids of their configurations.

        Where a rule divides the subnet among the clients of an organization, each of these gets subnets of its own
        and the first address in them.
        """

    def reserve(self, session: Session, subnet_id: UUID, address: str, purpose: str, now: datetime) -> AddressFacts:
        """Take a certain address of a subnet. Raises AddressUnavailable."""

    def release(self, session: Session, ids: Sequence[UUID]) -> None:
        """Free addresses without asking those who use them, and the subnets that clients got with them.

        Ids of addresses that are gone already are no error.
        """
