"""Certificates for other plugins: what ``guywire.interfaces.PkiProvider`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from guywire.errors import Invalid
from guywire.interfaces import (
    Authority,
    CertificateLookup,
    CertificateOrder,
    Credential,
    PkiProvider,
    ServerCertificate,
)
from guywire.models import Organization
from guywire.services.vpn_servers import mark_stale
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire_pki.models import CA, Cert, VpnCertificate, VpnClientCertificate
from guywire_pki.services import ordering, vpn_clients, vpn_servers
from guywire_pki.services.ordering import by_values, chunks
from guywire_pki.services.revocation import revoke_all

NO_CA = "The VPN server has no CA."


class Provider(PkiProvider, CertificateLookup):
    """The provider of this plugin."""

    @override
    def prepare_keys(self, session: Session, ca_id: int, count: int) -> Sequence[Any]:
        return ordering.make_keys(session, ca_id, count)

    @override
    def issue(
        self, session: Session, ca_id: int, orders: Sequence[CertificateOrder], now: datetime, keys: Sequence[Any] = ()
    ) -> Sequence[int]:
        return ordering.issue(session, ca_id, orders, now, keys)

    @override
    def authorities(self, session: Session, ids: Sequence[int]) -> Mapping[int, Authority]:
        columns = sa.select(CA.id, CA.common_name, CA.organization_id, CA.certificate)
        return {row[0]: Authority(*row) for row in by_values(session, columns, CA.id, ids)}

    @override
    def credentials(self, session: Session, ids: Sequence[int]) -> Mapping[int, Credential]:
        columns = sa.select(
            *(Cert.id, Cert.ca_id, Cert.name, Cert.common_name, Cert.organization_id),
            *(Cert.certificate, Cert.private_key, Cert.revoked, Cert.validity_end),
        )
        return {row[0]: Credential(*row) for row in by_values(session, columns, Cert.id, ids)}

    @override
    def with_common_name(
        self, session: Session, common_name: str, organization_slugs: Sequence[str] | None, now: datetime
    ) -> Sequence[int]:
        valid = sa.select(Cert.id).where(
            Cert.common_name == common_name,
            Cert.revoked.is_(False),
            Cert.validity_start <= now,
            Cert.validity_end > now,
        )
        if organization_slugs is not None:
            valid = valid.join(Organization, Organization.id == Cert.organization_id)
            valid = valid.where(Organization.slug.in_(organization_slugs))
        return session.scalars(valid.order_by(Cert.created.desc(), Cert.id.desc())).all()

    @override
    def revoke(self, session: Session, ids: Sequence[int], now: datetime) -> None:
        for chunk in chunks(ids):
            revoke_all(session, Cert.id.in_(chunk), now)

    @override
    def delete(self, session: Session, ids: Sequence[int]) -> None:
        for chunk in chunks(ids):
            session.execute(sa.delete(Cert).where(Cert.id.in_(chunk)))

    @override
    def servers(self, session: Session, vpn_ids: Sequence[UUID]) -> Mapping[UUID, ServerCertificate]:
        query = sa.select(VpnCertificate.vpn_id, VpnCertificate.ca_id, VpnCertificate.cert_id)
        rows = session.execute(query.where(VpnCertificate.vpn_id.in_(vpn_ids))).all()
        cas = self.authorities(session, [row.ca_id for row in rows])
        own = self.credentials(session, [row.cert_id for row in rows if row.cert_id is not None])
        return {row.vpn_id: ServerCertificate(cas[row.ca_id], own.get(row.cert_id)) for row in rows}

    @override
    def provision_server(
        self, session: Session, vpn_id: UUID, order: CertificateOrder, now: datetime
    ) -> ServerCertificate | None:
        row = session.get(VpnCertificate, vpn_id, with_for_update=True, populate_existing=True)
        if row is None:
            return None
        if row.cert_id is None:
            row.cert_id, row.is_automatic = ordering.issue_for_server(session, row.ca_id, order, now), True
            session.flush()
            mark_stale(session, [vpn_id])
        return self.servers(session, [vpn_id])[vpn_id]

    @override
    def release_server(self, session: Session, vpn_id: UUID, now: datetime) -> None:
        row = session.get(VpnCertificate, vpn_id, with_for_update=True, populate_existing=True)
        if row is not None:
            vpn_servers.take_back(session, row, now)
            session.delete(row)
            session.flush()

    @override
    def issue_for_clients(
        self,
        session: Session,
        vpn_id: UUID,
        orders: Mapping[UUID, CertificateOrder],
        now: datetime,
        keys: Sequence[Any] = (),
    ) -> None:
        # Shared: others may issue for the same server, and nobody changes its CA meanwhile.
        query = sa.select(VpnCertificate.ca_id).where(VpnCertificate.vpn_id == vpn_id)
        ca_id = session.scalar(query.with_for_update(read=True))
        if ca_id is None:
            raise Invalid({"ca": [NO_CA]})
        own = vpn_clients.certificates_of(session, list(orders))
        lacking = {client_id: order for client_id, order in orders.items() if client_id not in own}
        cert_ids = self.issue(session, ca_id, list(lacking.values()), now, keys)
        vpn_clients.remember(session, dict(zip(lacking, cert_ids, strict=True)))

    @override
    def of_clients(self, session: Session, client_ids: Sequence[UUID]) -> Mapping[UUID, Credential]:
        cert_ids = vpn_clients.certificates_of(session, client_ids)
        found = self.credentials(session, list(cert_ids.values()))
        return {client_id: found[cert_id] for client_id, cert_id in cert_ids.items()}

    @override
    def release_clients(self, session: Session, client_ids: Sequence[UUID], now: datetime) -> None:
        vpn_clients.take_back(session, VpnClientCertificate.client_id.in_(client_ids), now)

    @override
    def devices_of_certificate(
        self, session: Session, common_name: str, organization_slugs: Sequence[str] | None, now: datetime
    ) -> Sequence[UUID]:
        cert_ids = self.with_common_name(session, common_name, organization_slugs, now)
        return vpn_clients.devices_with(session, cert_ids)
