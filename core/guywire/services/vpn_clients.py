"""The clients of VPN servers: each configuration is one of exactly those servers that its templates name.

``synchronize`` is the one place where clients come and go. It runs where configurations are rendered, so whatever
changes their templates, an operator, a group, a default, a deactivation, leads here.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import SessionFactory, reading, writing
from guywire.errors import Invalid
from guywire.interfaces import AddressUnavailable, ConfigurationInvalid, JSONObject, NewVpnClient, VpnBackend
from guywire.models import Config, ConfigState, ConfigTemplate, Device, Template, Vpn, VpnClient
from guywire.registry import Registry
from guywire.services import preparation, status, vpn_servers
from guywire.tracebacks import traceback_of

log = logging.getLogger(__name__)

Prepared = Mapping[uuid.UUID, Sequence[Any]]
"""By server, what its backend made for new clients before any lock was taken."""

Needs = Mapping[uuid.UUID, tuple[int, Sequence[uuid.UUID]]]
"""By server, how many new clients it gets whose keys are to be made, and which of its clients are outdated."""

Errors = dict[uuid.UUID, str]
"""By configuration, why it could not become a client."""

_CHUNK = 1000
_QUIET = {"synchronize_session": False}

_CONFIG_IDS: sa.BindParameter[Any] = sa.bindparam("config_ids", expanding=True)
_WANTED = (
    sa.select(ConfigTemplate.config_id, Template.vpn_id, Template.auto_cert)
    .join(Template, Template.id == ConfigTemplate.template_id)
    .where(ConfigTemplate.config_id.in_(_CONFIG_IDS), Template.vpn_id.is_not(None))
)
_PRESENT = sa.select(
    VpnClient.id, VpnClient.config_id, VpnClient.vpn_id, VpnClient.auto_cert, VpnClient.is_outdated
).where(VpnClient.config_id.in_(_CONFIG_IDS))


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to happen: ``lacking`` has the configurations by server, and whether their keys are to be made;
    ``outdated`` by server the clients that have lost something, by their configurations; ``surplus`` the ids of
    clients that no template asks for.
    """

    lacking: Mapping[uuid.UUID, Mapping[uuid.UUID, bool]]
    outdated: Mapping[uuid.UUID, Mapping[uuid.UUID, uuid.UUID]]
    surplus: Sequence[uuid.UUID]

    def __bool__(self) -> bool:
        return bool(self.lacking or self.outdated or self.surplus)

    @property
    def needs(self) -> Needs:
        """What is to be made for the servers."""
        found = {
            vpn_id: (sum(self.lacking.get(vpn_id, {}).values()), list(self.outdated.get(vpn_id, {}).values()))
            for vpn_id in (*self.lacking, *self.outdated)
        }
        return {vpn_id: (count, outdated) for vpn_id, (count, outdated) in found.items() if count or outdated}


def difference(session: Session, registry: Registry, config_ids: Sequence[uuid.UUID]) -> Difference:
    """How the clients that there are differ from those that the templates ask for.

    Servers whose backend is not loaded keep their clients and get none: nobody could revoke or make anything.
    """
    parameters = {"config_ids": config_ids}
    wanted: dict[tuple[uuid.UUID, Any], bool] = defaultdict(bool)
    for config_id, vpn_id, auto_cert in session.execute(_WANTED, parameters):
        wanted[config_id, vpn_id] |= auto_cert
    present = {(row.config_id, row.vpn_id): row for row in session.execute(_PRESENT, parameters)}
    if not wanted and not present:
        return Difference({}, {}, [])
    concerned = {vpn_id for _, vpn_id in (*wanted, *present)}
    usable = set(
        session.scalars(sa.select(Vpn.id).where(Vpn.id.in_(concerned), Vpn.backend.in_(registry.vpn_backends)))
    )
    kept = {key for key, row in present.items() if wanted.get(key) == row.auto_cert or key[1] not in usable}
    lacking: dict[uuid.UUID, dict[uuid.UUID, bool]] = defaultdict(dict)
    for (config_id, vpn_id), auto_cert in sorted(wanted.items()):
        if (config_id, vpn_id) not in kept and vpn_id in usable:
            lacking[vpn_id][config_id] = auto_cert
    outdated: dict[uuid.UUID, dict[uuid.UUID, uuid.UUID]] = defaultdict(dict)
    for (config_id, vpn_id), row in sorted(present.items()):
        if row.is_outdated and (config_id, vpn_id) in kept and vpn_id in usable:
            outdated[vpn_id][config_id] = row.id
    return Difference(lacking, outdated, [row.id for key, row in present.items() if key not in kept])


def prepare(session: Session, registry: Registry, needs: Needs) -> Prepared:
    """Let the backends make what takes long for the clients of each server."""
    return {
        vpn.id: registry.vpn_backends[vpn.backend].prepare_clients(session, vpn, *needs[vpn.id])
        for vpn in _servers(session, needs)
    }


def synchronize_all(
    factory: SessionFactory, registry: Registry, config_ids: Sequence[uuid.UUID], now: datetime
) -> Errors:
    """``synchronize`` for configurations that are about to be rendered, in transactions of its own.

    As a rule nothing is to be done, and then nothing is locked; keys are made before anything is.
    """
    with reading(factory) as session:
        found = difference(session, registry, config_ids)
        if not found:
            return {}
        prepared = prepare(session, registry, found.needs)
    with writing(factory) as session:
        return synchronize(session, registry, config_ids, now, prepared)


def synchronize(
    session: Session,
    registry: Registry,
    config_ids: Sequence[uuid.UUID],
    now: datetime,
    prepared: Prepared | None = None,
) -> Errors:
    """Make configurations clients of exactly those servers that their templates name.

    What lacks is provisioned; what is too much is revoked and freed. Returns which could not become clients, and why.
    Raises MustPrepare in the session of a request that has not been repeated for that yet.
    """
    # Two who find the same client lacking: the second one waits here and finds it.
    session.execute(status.locked_states(ConfigState.config_id.in_(config_ids)))
    found = difference(session, registry, config_ids)
    if not found:
        return {}
    # What is freed first may be needed again.
    release(session, registry, VpnClient.id.in_(found.surplus), now)
    if prepared is None:
        prepared = _prepared(session, registry, found.needs)
    errors: Errors = {}
    concerned = {*found.lacking, *found.outdated}
    for vpn in _servers(session, concerned):
        backend = registry.vpn_backends[vpn.backend]
        automatic, outdated = found.lacking.get(vpn.id, {}), found.outdated.get(vpn.id, {})
        clients = _clients(session, {**dict.fromkeys(automatic), **outdated})
        manual = [client for client in clients if not automatic.get(client.config_id, True)]
        _insert(session, vpn, manual, auto_cert=False)
        wanted = [client for client in clients if automatic.get(client.config_id, True)]
        errors |= _provision(session, backend, vpn, wanted, set(outdated.values()), prepared.get(vpn.id, ()), now)
    if concerned:
        vpn_servers.mark_stale(session, list(concerned))
    return errors


def outdate(session: Session, condition: Any) -> None:
    """Say of the clients that meet a condition on ``VpnClient`` that they have lost something, an address for instance.

    Whoever renders their configurations lets them have another one: in batches and in the worker, however many.
    """
    own = sa.and_(VpnClient.auto_cert, condition)
    status.mark_stale(session, sa.select(VpnClient.config_id).where(own))
    session.execute(sa.update(VpnClient).where(own).values(is_outdated=True), execution_options=_QUIET)


def release(session: Session, registry: Registry, condition: Any, now: datetime) -> None:
    """Revoke and free what the clients have that meet a condition on ``VpnClient``, and remove them.

    To be called before their configurations or servers go. Configurations that waited for what is free now are
    rendered again.
    """
    query = sa.select(VpnClient.id, VpnClient.vpn_id, Vpn.backend).join(Vpn, Vpn.id == VpnClient.vpn_id)
    rows = session.execute(query.where(condition).order_by(VpnClient.vpn_id, VpnClient.id)).all()
    if not rows:
        return
    for id, backend in registry.vpn_backends.items():
        client_ids = [row.id for row in rows if row.backend == id]
        for chunk in _chunks(client_ids):
            backend.release_clients(session, chunk, now)
    for chunk in _chunks([row.id for row in rows]):
        session.execute(sa.delete(VpnClient).where(VpnClient.id.in_(chunk)), execution_options=_QUIET)
    vpn_ids = list({row.vpn_id for row in rows})
    vpn_servers.mark_stale(session, vpn_ids)
    try_again(session, vpn_ids)


def try_again(session: Session, vpn_ids: Any) -> None:
    """Render configurations again that could not become clients of servers, perhaps for want of what is free now.

    ``vpn_ids`` is a SELECT of the servers' ids or a list.
    """
    failed = sa.select(ConfigState.config_id).where(ConfigState.render_error.is_not(None))
    status.mark_stale(session, vpn_servers.dependents(vpn_ids).where(ConfigTemplate.config_id.in_(failed)))


def variables(session: Session, registry: Registry, config_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, JSONObject]:
    """What configurations know of the servers that they are clients of, by configuration."""
    clients = session.execute(_PRESENT, {"config_ids": config_ids}).all()
    if not clients:
        return {}
    servers = {vpn.id: vpn for vpn in _servers(session, {client.vpn_id for client in clients})}
    of_servers = vpn_servers.variables(session, registry, servers.values())
    own: dict[uuid.UUID, Mapping[str, Any]] = {}
    for backend in registry.vpn_backends.values():
        ids = [client.id for client in clients if servers[client.vpn_id].backend == backend.id]
        if ids:
            own |= backend.client_variables(session, ids)
    found: dict[uuid.UUID, JSONObject] = defaultdict(dict)
    for client in clients:
        found[client.config_id] |= of_servers[client.vpn_id]
        found[client.config_id] |= own.get(client.id, {})
    return found


def _prepared(session: Session, registry: Registry, needs: Needs) -> Prepared:
    """What was prepared for the session; the backends make what lacks. Raises MustPrepare."""
    counts = {vpn_id: count + len(outdated) for vpn_id, (count, outdated) in needs.items()}
    return preparation.prepared(session, counts, lambda session: prepare(session, registry, needs))


def _servers(session: Session, ids: Any) -> Sequence[Vpn]:
    return session.scalars(sa.select(Vpn).where(Vpn.id.in_(list(ids))).order_by(Vpn.id)).all() if ids else []


def _clients(session: Session, config_ids: Mapping[uuid.UUID, uuid.UUID | None]) -> list[NewVpnClient]:
    """Clients by their configurations, in a fixed order; those without an id get one."""
    query = sa.select(Config.id, Device.id, Device.name, Device.mac_address, Device.organization_id)
    rows = session.execute(
        query.join(Device, Device.id == Config.device_id).where(Config.id.in_(list(config_ids))).order_by(Config.id)
    )
    return [NewVpnClient(config_ids[row[0]] or uuid.uuid4(), *row) for row in rows]


def _insert(session: Session, vpn: Vpn, clients: Sequence[NewVpnClient], *, auto_cert: bool) -> None:
    rows = [
        {"id": client.id, "config_id": client.config_id, "vpn_id": vpn.id, "auto_cert": auto_cert} for client in clients
    ]
    if rows:
        session.execute(sa.insert(VpnClient), rows)


def _update(session: Session, client_ids: Sequence[uuid.UUID]) -> None:
    if client_ids:
        own = VpnClient.id.in_(client_ids)
        session.execute(sa.update(VpnClient).where(own).values(is_outdated=False), execution_options=_QUIET)


def _provision(
    session: Session,
    backend: VpnBackend,
    vpn: Vpn,
    clients: Sequence[NewVpnClient],
    outdated: Collection[uuid.UUID],
    prepared: Sequence[Any],
    now: datetime,
) -> Errors:
    """Provision clients together, of which the ``outdated`` are there already; where that fails, by halves, so that
    only those go without that must.
    """
    if not clients:
        return {}
    try:
        with session.begin_nested():
            _insert(session, vpn, [client for client in clients if client.id not in outdated], auto_cert=True)
            backend.provision_clients(session, vpn, clients, prepared, now)
            session.flush()
            _update(session, [client.id for client in clients if client.id in outdated])
        return {}
    except (ConfigurationInvalid, AddressUnavailable) as error:
        message = str(error)
    except Invalid as invalid:
        message = "; ".join(str(each) for messages in invalid.body.values() for each in messages)
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a stranger raises)
        # Not what it says: that may quote the server's keys.
        log.error("the VPN backend %s failed unexpectedly\n%s", vpn.backend, traceback_of(error))
        message = f'The backend "{vpn.backend}" failed: {type(error).__name__}'
    if len(clients) == 1:
        return {clients[0].config_id: f'The VPN server "{vpn.name}" has no place for the device: {message}'}
    half = len(clients) // 2
    return {
        **_provision(session, backend, vpn, clients[:half], outdated, prepared[:half], now),
        **_provision(session, backend, vpn, clients[half:], outdated, prepared[half:], now),
    }


def _chunks(ids: Sequence[uuid.UUID]) -> list[Sequence[uuid.UUID]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
