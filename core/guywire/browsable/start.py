"""The start page: what there is, how the fleet is doing, and what changed last."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy.orm import Session

from guywire.api.answers import Response
from guywire.browsable.login import LOGIN
from guywire.browsable.options import visible_query
from guywire.browsable.page import render, visitor
from guywire.browsable.sitemap import Sitemap, sitemap_of
from guywire.browsable.words import description_of, title_of
from guywire.db import reading
from guywire.models import ConfigState, Device, DeviceGroup, Template, Vpn
from guywire.security import Identity
from guywire.services.status import STATUSES, has_status

_CHANGES = 8
_FIRST = (Device, Template, DeviceGroup, Vpn)
"""What people come for; the rest follows in the order of the alphabet."""


def includeme(config: Configurator) -> None:
    """Serve it at the root."""
    config.add_route("start", "/")
    config.add_view(_start, route_name="start", request_method=("GET", "HEAD"))


def _start(request: Request) -> Response:
    identity = visitor(request)
    if identity is None:
        return Response(status=303, location=LOGIN)
    sitemap = sitemap_of(request.registry)
    with reading(request.runtime.session_factory) as session:
        return render(
            request,
            "start.jinja2",
            resources=sorted(_resources(sitemap, identity), key=lambda each: (each["place"], each["title"])),
            fleet=_fleet(request, session, identity),
            devices=getattr(sitemap.list_of(Device), "path", None),
            changes=_changes(request, session, identity),
        )


def _resources(sitemap: Sitemap, identity: Identity) -> list[dict[str, Any]]:
    return [
        {
            "path": service.path,
            "title": title_of(service),
            "place": _FIRST.index(service.resource.model) if service.resource.model in _FIRST else len(_FIRST),
            "description": description_of(service),
            "creates": "POST" in service.operations and service.operations["POST"].allows(identity),
        }
        for service in sitemap.lists()
        if service.operations["GET"].allows(identity)
    ]


def _fleet(request: Request, session: Session, identity: Identity) -> dict[str, int] | None:
    """How many of the devices that the user sees have which status, and how many there are: one statement."""
    devices = visible_query(request, session, identity, Device)
    if devices is None:
        return None
    columns = [sa.func.count(sa.case((has_status(status), 1))).label(status) for status in STATUSES]
    query = (
        sa.select(sa.func.count(Device.id).label("devices"), *columns)
        .select_from(Device)
        .outerjoin(ConfigState, ConfigState.device_id == Device.id)
        .where(Device.id.in_(devices.with_only_columns(Device.id)))
    )
    return dict(session.execute(query).one()._mapping)


def _changes(request: Request, session: Session, identity: Identity) -> list[dict[str, Any]]:
    """What the user sees of the devices, templates and groups that changed last, newest first."""
    sitemap = sitemap_of(request.registry)
    found: list[dict[str, Any]] = []
    for model in (Device, Template, DeviceGroup):
        service, query = sitemap.list_of(model), visible_query(request, session, identity, model)
        path = sitemap.detail_path(model)
        if service is None or query is None or path is None:
            continue
        newest = query.with_only_columns(model.id, model.name, model.modified, model.created)
        for row in session.execute(newest.order_by(model.modified.desc()).limit(_CHANGES)):
            kind = service.resource.label
            found.append({"path": path.format(row.id), "kind": kind, "name": row.name, "modified": row.modified})
    return sorted(found, key=lambda each: each["modified"], reverse=True)[:_CHANGES]
