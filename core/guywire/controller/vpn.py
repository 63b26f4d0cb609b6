"""The polls of VPN servers: the checksum of their archive, and the archive."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy.orm import Session

from guywire.api import fields
from guywire.api.archives import ARCHIVE, archive_response
from guywire.api.service import Operation, described
from guywire.controller.answers import refused_method, response_of, text
from guywire.controller.device import ID
from guywire.controller.poll import refusal_of
from guywire.db import reading
from guywire.errors import Overloaded
from guywire.models import Organization, Vpn, VpnArchive, VpnState
from guywire.runtime import Runtime
from guywire.services import vpn_servers
from guywire.services.status import ACTIVE

_QUERY = {"key": fields.text(64, help="The server's key.", kind="string")}
_ERRORS = (400, 403, 404)
_METHODS = ("GET", "HEAD")


def includeme(config: Configurator) -> None:
    """Serve both paths."""
    for name, view in (("checksum", checksum_view), ("download-config", download_view)):
        route = f"vpn_door_{name.replace('-', '_')}"
        config.add_route(route, f"/controller/vpn/{name}/{ID}/")
        config.add_view(view, route_name=route, request_method=_METHODS)
        config.add_view(refused_method(_METHODS), route_name=route)


@described(Operation(parameters=_QUERY, sends="text/plain", errors=_ERRORS))
def checksum_view(request: Request) -> Response:
    """The checksum of the files that the VPN server should have: 32 hexadecimal digits."""
    found = _poll(request)
    return found if isinstance(found, Response) else text(found.checksum)


@described(Operation(parameters=_QUERY, sends=ARCHIVE, errors=_ERRORS))
def download_view(request: Request) -> Response:
    """The files that the VPN server should have, as an archive."""
    found = _poll(request)
    if isinstance(found, Response):
        return found
    archive = request.db.scalar(sa.select(VpnArchive.archive).where(VpnArchive.vpn_id == found.id))
    return archive_response(found.name, archive)


def _poll(request: Request) -> Any:
    """What is known of the server, when its archive is up to date; or the answer that refuses it."""
    runtime: Runtime = request.runtime
    vpn_id = uuid.UUID(request.matchdict["id"])
    with reading(runtime.session_factory) as session:
        found = _read(session, vpn_id)
    refusal = refusal_of(found, request.GET.get("key", ""))
    if refusal is not None:
        return response_of(refusal)
    assert found is not None
    if found.is_stale:
        vpn_servers.refresh(runtime.session_factory, runtime.registry, runtime.settings.context, [vpn_id])
    # Of the same transaction as the archive.
    found = _read(request.db, vpn_id)
    if found is None or found.checksum is None:
        raise Overloaded()
    return found


def _read(session: Session, vpn_id: uuid.UUID) -> Any:
    is_stale = VpnState.inputs_version != VpnState.rendered_version
    query = (
        sa.select(
            Vpn.id,
            Vpn.name,
            Vpn.key,
            VpnState.checksum,
            is_stale.label("is_stale"),
            sa.func.coalesce(Organization.is_active, sa.true()).label("is_active"),
            sa.literal(ACTIVE).label("lifecycle"),
        )
        .join(VpnState, VpnState.vpn_id == Vpn.id)
        .outerjoin(Organization, Organization.id == Vpn.organization_id)
    )
    return session.execute(query.where(Vpn.id == vpn_id)).first()
