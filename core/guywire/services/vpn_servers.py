"""VPN servers: what depends on them, what is known of them, and the archives that they fetch.

A server's archive is stale when something that it depends on has changed, a new client for instance. It is rendered
by the worker or at the server's next poll, so that nobody who adds a client waits for the other ten thousand.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire import archive
from guywire.db import SessionFactory, reading, writing
from guywire.events import VpnsStale
from guywire.interfaces import ConfigurationInvalid, JSONObject
from guywire.models import ConfigTemplate, Template, Vpn, VpnArchive, VpnState
from guywire.plugin import notify
from guywire.registry import Registry
from guywire.services import status
from guywire.tracebacks import traceback_of

log = logging.getLogger(__name__)

_BATCH = 20


def mark_stale(session: Session, vpn_ids: Any) -> None:
    """Mark the archives of servers as to be rendered again, in the transaction of the change.

    ``vpn_ids`` is a SELECT of their ids or a list. One UPDATE of narrow rows.
    """
    locked = sa.select(VpnState.vpn_id).where(VpnState.vpn_id.in_(vpn_ids)).order_by(VpnState.vpn_id).with_for_update()
    marked = session.execute(
        sa.update(VpnState)
        .where(VpnState.vpn_id.in_(locked))
        .values(inputs_version=VpnState.inputs_version + 1)
        .execution_options(synchronize_session=False)
    )
    if cast("sa.CursorResult[Any]", marked).rowcount:
        notify(session, VpnsStale())


def mark_changed(session: Session, vpn_ids: Any) -> None:
    """``mark_stale``, and the same for the configurations that know of these servers."""
    status.mark_stale(session, dependents(vpn_ids))
    mark_stale(session, vpn_ids)


def dependents(vpn_ids: Any) -> Any:
    """The configurations that have a template of one of these servers."""
    return (
        sa.select(ConfigTemplate.config_id)
        .join(Template, Template.id == ConfigTemplate.template_id)
        .where(Template.vpn_id.in_(vpn_ids))
    )


def variables(session: Session, registry: Registry, vpns: Iterable[Vpn]) -> dict[uuid.UUID, JSONObject]:
    """What templates and devices know of servers, by the server's id."""
    known = {vpn.id: vpn for vpn in vpns}
    found: dict[uuid.UUID, JSONObject] = {id: {f"vpn_host_{id.hex}": vpn.host} for id, vpn in known.items()}
    for backend in registry.vpn_backends.values():
        served = [vpn for vpn in known.values() if vpn.backend == backend.id]
        if served:
            for id, values in backend.server_variables(session, served).items():
                found[id].update(values)
    return found


@dataclass(frozen=True, slots=True)
class _Rendering:
    """What a server's inputs of ``version`` gave: an uncompressed archive, or an error."""

    vpn_id: uuid.UUID
    version: int
    known_digest: str | None
    tar: bytes = b""
    error: str | None = None


def refresh(
    factory: SessionFactory, registry: Registry, global_context: JSONObject, vpn_ids: Sequence[uuid.UUID]
) -> int:
    """Render the archives of servers: read, render, store. Returns how many there were."""
    with reading(factory) as session:
        query = sa.select(Vpn, VpnState.inputs_version, VpnState.digest).join(VpnState, VpnState.vpn_id == Vpn.id)
        # The version first: what lands while the rest is read leaves the archive stale.
        rows = session.execute(query.where(Vpn.id.in_(vpn_ids))).all()
        renderings = [_render(session, registry, global_context, *row) for row in rows]
    with writing(factory) as session:
        for rendering in renderings:
            _store(session, rendering)
    return len(renderings)


def _render(
    session: Session, registry: Registry, global_context: JSONObject, vpn: Vpn, version: int, digest: str | None
) -> _Rendering:
    backend = registry.vpn_backends.get(vpn.backend)
    if backend is None:
        message = f'The backend "{vpn.backend}" is not available; is its plugin installed and not blocked?'
        return _Rendering(vpn.id, version, digest, error=message)
    try:
        return _Rendering(vpn.id, version, digest, archive.pack(backend.render(session, vpn, global_context)))
    except ConfigurationInvalid as invalid:
        return _Rendering(vpn.id, version, digest, error=str(invalid))
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a stranger raises)
        # Not what it says: that may quote the server's keys.
        log.error("the VPN backend %s failed unexpectedly\n%s", vpn.backend, traceback_of(error))
        return _Rendering(vpn.id, version, digest, error=f'The backend "{vpn.backend}" failed: {type(error).__name__}')


def _store(session: Session, rendering: _Rendering) -> None:
    """Keep what was rendered, unless something newer was kept meanwhile; an error leaves the last good archive."""
    state = session.get(VpnState, rendering.vpn_id, with_for_update=True, populate_existing=True)
    if state is None or rendering.version <= state.rendered_version:
        return
    state.rendered_version = rendering.version
    if rendering.error is not None:
        state.render_error = status.storable(rendering.error)
        log.warning("the files of a VPN server cannot be rendered: vpn=%s", rendering.vpn_id)
        return
    state.render_error = None
    digest = hashlib.sha256(rendering.tar).hexdigest()
    if digest == state.digest:
        return
    packed = archive.compress(rendering.tar)
    state.digest = digest
    # The server's script compares it with the md5 of what it downloaded: no matter of security.
    state.checksum = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    session.merge(VpnArchive(vpn_id=state.vpn_id, checksum=state.checksum, archive=packed))


def refresh_all(factory: SessionFactory, registry: Registry, global_context: JSONObject) -> None:
    """Render until no server's archive is stale."""
    is_stale = VpnState.inputs_version != VpnState.rendered_version
    while True:
        with reading(factory) as session:
            vpn_ids = session.scalars(sa.select(VpnState.vpn_id).where(is_stale).limit(_BATCH)).all()
        if not vpn_ids or not refresh(factory, registry, global_context, vpn_ids):
            return


def remove(session: Session, registry: Registry, vpn: Vpn, now: datetime) -> None:
    """Delete a server whose clients are gone, with its templates; their configurations have to be rendered again."""
    status.mark_stale(session, dependents([vpn.id]))
    backend = registry.vpn_backends.get(vpn.backend)
    if backend is not None:
        backend.release(session, vpn, now)
    session.delete(vpn)
    session.flush()
