"""The clients of VPN servers: each configuration is one of exactly those servers that its templates name.

``synchronize`` is the one place where clients come and go. It runs where configurations are rendered, so whatever
changes their templates, an operator, a group, a default, a deactivation, leads here.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
from guywire.services import status, vpn_servers

log = logging.getLogger(__name__)

Prepared = Mapping[uuid.UUID, Sequence[Any]]
"""By server, what its backend made for new clients before any lock was taken."""

PREPARED = "guywire.prepared"
"""Where the session of a request that can be repeated has what was prepared for it (a dict, empty at first)."""

Errors = dict[uuid.UUID, str]
"""By configuration, why it could not become a client."""

_CHUNK = 1000

_CONFIG_IDS: sa.BindParameter[Any] = sa.bindparam("config_ids", expanding=True)
_WANTED = (
    sa.select(ConfigTemplate.config_id, Template.vpn_id, Template.auto_cert)
    .join(Template, Template.id == ConfigTemplate.template_id)
    .where(ConfigTemplate.config_id.in_(_CONFIG_IDS), Template.vpn_id.is_not(None))
)
_PRESENT = sa.select(VpnClient.id, VpnClient.config_id, VpnClient.vpn_id, VpnClient.auto_cert).where(
    VpnClient.config_id.in_(_CONFIG_IDS)
)


class MustPrepare(Exception):
    """New clients need what may take long to make, and locks are held: it should be made without them (``prepare``)
    and put into the session's ``PREPARED``, and all be done again.
    """

    def __init__(self, counts: Mapping[uuid.UUID, int]) -> None:
        super().__init__(counts)
        self.counts = counts


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to happen: ``lacking`` has the configurations by server, and whether their keys are to be made;
    ``surplus`` the ids of clients that no template asks for.
    """

    lacking: Mapping[uuid.UUID, Mapping[uuid.UUID, bool]]
    surplus: Sequence[uuid.UUID]

    def __bool__(self) -> bool:
        return bool(self.lacking or self.surplus)

    @property
    def counts(self) -> dict[uuid.UUID, int]:
        """How many clients each server gets whose keys are to be made."""
        counts = {vpn_id: sum(automatic.values()) for vpn_id, automatic in self.lacking.items()}
        return {vpn_id: count for vpn_id, count in counts.items() if count}


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
        return Difference({}, [])
    concerned = {vpn_id for _, vpn_id in (*wanted, *present)}
    usable = set(
        session.scalars(sa.select(Vpn.id).where(Vpn.id.in_(concerned), Vpn.backend.in_(registry.vpn_backends)))
    )
    kept = {key for key, row in present.items() if wanted.get(key) == row.auto_cert or key[1] not in usable}
    lacking: dict[uuid.UUID, dict[uuid.UUID, bool]] = defaultdict(dict)
    for (config_id, vpn_id), auto_cert in sorted(wanted.items()):
        if (config_id, vpn_id) not in kept and vpn_id in usable:
            lacking[vpn_id][config_id] = auto_cert
    return Difference(lacking, [row.id for key, row in present.items() if key not in kept])


def prepare(session: Session, registry: Registry, counts: Mapping[uuid.UUID, int]) -> Prepared:
    """Let the backends make what takes long for so many new clients of each server."""
    return {
        vpn.id: registry.vpn_backends[vpn.backend].prepare_clients(session, vpn, counts[vpn.id])
        for vpn in _servers(session, counts)
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
        prepared = prepare(session, registry, found.counts)
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
        prepared = _taken(session, registry, found.counts)
    errors: Errors = {}
    for vpn in _servers(session, found.lacking):
        backend = registry.vpn_backends[vpn.backend]
        automatic = found.lacking[vpn.id]
        clients = _new_clients(session, automatic)
        manual = [client for client in clients if not automatic[client.config_id]]
        _insert(session, vpn, manual, auto_cert=False)
        wanted = [client for client in clients if automatic[client.config_id]]
        errors |= _provision(session, backend, vpn, wanted, prepared.get(vpn.id, ()), now)
    if found.lacking:
        vpn_servers.mark_stale(session, list(found.lacking))
    return errors


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
        session.execute(
            sa.delete(VpnClient).where(VpnClient.id.in_(chunk)).execution_options(synchronize_session=False)
        )
    vpn_ids = list({row.vpn_id for row in rows})
    vpn_servers.mark_stale(session, vpn_ids)
    waiting = vpn_servers.dependents(vpn_ids).where(
        ConfigTemplate.config_id.in_(sa.select(ConfigState.config_id).where(ConfigState.render_error.is_not(None)))
    )
    status.mark_stale(session, waiting)


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


def _taken(session: Session, registry: Registry, counts: Mapping[uuid.UUID, int]) -> Prepared:
    """What was prepared for the session, each thing once; the backends make what lacks."""
    store: dict[uuid.UUID, Sequence[Any]] | None = session.info.get(PREPARED)
    if store is None or not counts:
        return prepare(session, registry, counts)
    if not store:
        raise MustPrepare(counts)
    taken = {vpn_id: store.get(vpn_id, ())[:count] for vpn_id, count in counts.items()}
    for vpn_id, things in taken.items():
        store[vpn_id] = store.get(vpn_id, ())[len(things) :]
    return taken


def _servers(session: Session, ids: Any) -> Sequence[Vpn]:
    return session.scalars(sa.select(Vpn).where(Vpn.id.in_(list(ids))).order_by(Vpn.id)).all() if ids else []


def _new_clients(session: Session, config_ids: Mapping[uuid.UUID, bool]) -> list[NewVpnClient]:
    query = sa.select(Config.id, Device.id, Device.name, Device.mac_address, Device.organization_id)
    rows = session.execute(
        query.join(Device, Device.id == Config.device_id).where(Config.id.in_(list(config_ids))).order_by(Config.id)
    )
    return [NewVpnClient(uuid.uuid4(), *row) for row in rows]


def _insert(session: Session, vpn: Vpn, clients: Sequence[NewVpnClient], *, auto_cert: bool) -> None:
    rows = [
        {"id": client.id, "config_id": client.config_id, "vpn_id": vpn.id, "auto_cert": auto_cert} for client in clients
    ]
    if rows:
        session.execute(sa.insert(VpnClient), rows)


def _provision(
    session: Session,
    backend: VpnBackend,
    vpn: Vpn,
    clients: Sequence[NewVpnClient],
    prepared: Sequence[Any],
    now: datetime,
) -> Errors:
    """Provision clients together; where that fails, by halves, so that only those go without that must."""
    if not clients:
        return {}
    try:
        with session.begin_nested():
            _insert(session, vpn, clients, auto_cert=True)
            backend.provision_clients(session, vpn, clients, prepared, now)
            session.flush()
        return {}
    except (ConfigurationInvalid, AddressUnavailable) as error:
        message = str(error)
    except Invalid as invalid:
        message = "; ".join(str(each) for messages in invalid.body.values() for each in messages)
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:  # whatever a stranger raises
        log.exception("the VPN backend %s failed unexpectedly", vpn.backend)
        message = f'The backend "{vpn.backend}" failed: {error!r}'
    if len(clients) == 1:
        return {clients[0].config_id: f'The VPN server "{vpn.name}" has no place for the device: {message}'}
    half = len(clients) // 2
    return {
        **_provision(session, backend, vpn, clients[:half], prepared[:half], now),
        **_provision(session, backend, vpn, clients[half:], prepared[half:], now),
    }


def _chunks(ids: Sequence[uuid.UUID]) -> list[Sequence[uuid.UUID]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
