"""Certificates, for those who need some and do not know who makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


class CertificateLookup(Protocol):
    """Knows which devices hold certificates. A service, see ``register_services``."""

    def devices_of_certificate(
        self, session: Session, common_name: str, organization_slugs: Sequence[str] | None, now: datetime
    ) -> Sequence[UUID]:
        """The ids of the devices that hold a valid certificate with this common name, the best answer first.

        ``organization_slugs`` are the organizations whose certificates count (None: all). The caller narrows the
        devices down to those that the user may see.
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
        """``issue`` for clients of a VPN server, by the client's id. Those that have a certificate keep it.

        Who loses it later, when the server's CA changes for instance, is outdated (see ``VpnBackend``). Raises
        Invalid, when the server has no CA too.
        """

    def of_clients(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Credential]:
        """The certificates of clients of VPN servers, by the client's id."""

    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        """Revoke the certificates of clients of VPN servers."""
