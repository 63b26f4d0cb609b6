"""CAs, certificates and revocation lists, as a plugin of guywire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guywire import hookimpl
from guywire.events import Event, OrganizationDeleting
from guywire.interfaces import CertificateLookup, FieldGroup, Job, MigrationSource, PermissionSet, PkiProvider
from guywire.models import Base
from pyramid.config import Configurator
from sqlalchemy.orm import Session

from guywire_pki import api, migrations
from guywire_pki.api.vpn import VPN_FIELDS
from guywire_pki.services import vpn_clients, vpn_servers
from guywire_pki.services.expiry import EXPIRY
from guywire_pki.services.provider import Provider
from guywire_pki.services.revocation import revoke_those_of

_WRITE = frozenset({"add", "change", "delete"})
_VIEW = frozenset({"view"})


@hookimpl
def register_permissions() -> list[PermissionSet]:
    """Operators look, administrators do the rest, as in the reference."""
    return [
        PermissionSet("ca", "CA", operator=_VIEW, administrator=_WRITE),
        PermissionSet("cert", "certificate", operator=_VIEW, administrator=_WRITE),
    ]


@hookimpl
def register_migrations() -> list[MigrationSource]:
    """The tables of CAs, certificates and revocations."""
    return [MigrationSource("pki", str(Path(migrations.__file__).parent), Base.metadata)]


@hookimpl
def register_jobs() -> list[Job]:
    """The look at what expires."""
    return [EXPIRY]


@hookimpl
def register_services() -> dict[type, Any]:
    """Certificates for VPN servers and their clients, and who has them."""
    provider = Provider()
    return {PkiProvider: provider, CertificateLookup: provider}


@hookimpl
def register_fields() -> list[FieldGroup]:
    """The CA and the certificate of VPN servers."""
    return [VPN_FIELDS]


@hookimpl
def configure(config: Configurator) -> None:
    """The REST API and the public CRLs."""
    config.scan(api)
    config.include("guywire_pki.api.crl")


@hookimpl
def on_event(session: Session, event: Event) -> None:
    """Stand up for VPN servers and their clients whose certificates are touched; keep CRLs complete."""
    vpn_servers.hear(session, event)
    vpn_clients.hear(session, event)
    if isinstance(event, OrganizationDeleting):
        revoke_those_of(session, event.organization_id, event.at)
