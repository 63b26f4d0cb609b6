"""Renders configurations: reads what they depend on, has the renderer make the archive, keeps it.

Whoever comes first renders a stale configuration: its next poll, a read of the device, or the worker. All of them
come here.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from guywire import archive
from guywire.db import SessionFactory, reading, writing
from guywire.events import ConfigModified, ConfigStatusChanged, Event
from guywire.interfaces import ConfigurationInvalid, JSONObject
from guywire.models import (
    Config,
    ConfigArchive,
    ConfigState,
    ConfigTemplate,
    Device,
    DeviceGroup,
    Marker,
    OrganizationConfigSettings,
    Template,
    Vpn,
)
from guywire.plugin import inform, notify
from guywire.renderer import Inputs, Renderer, Rendering, with_hostname
from guywire.services import status, vpn_clients, vpn_servers
from guywire.services.context import added_context, device_context

log = logging.getLogger(__name__)

BATCH = 100
"""How many configurations are rendered between two transactions. Routers wait for the longer of these."""


# Made once: to build a statement, and to find it among the compiled ones, takes longer than to run it.
_CONFIG_IDS: sa.BindParameter[Any] = sa.bindparam("config_ids", expanding=True)
_INPUTS = (
    sa.select(
        Config,
        Device,
        # Of the same moment as the rest: a change that lands later leaves the configuration stale.
        ConfigState.inputs_version,
        ConfigState.digest,
        OrganizationConfigSettings.context,
        DeviceGroup.context,
    )
    .join(ConfigState, ConfigState.config_id == Config.id)
    .join(Device, Device.id == Config.device_id)
    .join(OrganizationConfigSettings, OrganizationConfigSettings.organization_id == Device.organization_id)
    .outerjoin(DeviceGroup, DeviceGroup.id == Device.group_id)
    .where(Config.id.in_(_CONFIG_IDS))
    # A transaction that had to wait for a lock may hold what it read before the wait.
    .execution_options(populate_existing=True)
)
_LINKS = (
    sa.select(ConfigTemplate.config_id, ConfigTemplate.template_id)
    .where(ConfigTemplate.config_id.in_(_CONFIG_IDS))
    .order_by(ConfigTemplate.config_id, ConfigTemplate.position)
)
_TEMPLATES = sa.select(Template).where(Template.id.in_(sa.bindparam("template_ids", expanding=True)))
_STATES = (
    sa.select(ConfigState)
    .where(ConfigState.config_id.in_(_CONFIG_IDS))
    .order_by(ConfigState.config_id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def _keep_archive(dialect: Any) -> Any:
    insert = dialect.insert(ConfigArchive.__table__)
    replaced = {name: insert.excluded[name] for name in ("checksum", "archive")}
    return insert.on_conflict_do_update(index_elements=["config_id"], set_=replaced)


_KEEP_ARCHIVE = {"sqlite": _keep_archive(sqlite), "postgresql": _keep_archive(postgresql)}


def read_inputs(session: Session, renderer: Renderer, config_ids: Sequence[uuid.UUID]) -> list[Inputs]:
    """What the given configurations are made of, in a handful of statements however many they are."""
    rows = session.execute(_INPUTS, {"config_ids": config_ids}).all()
    templates = templates_of(session, config_ids)
    added = added_context(session, renderer.registry, config_ids)
    inputs = []
    for config, device, inputs_version, digest, organization_context, group_context in rows:
        layers = templates[config.id]
        inputs.append(
            Inputs(
                config_id=config.id,
                device_id=device.id,
                version=inputs_version,
                known_digest=digest,
                backend=config.backend,
                config=with_hostname(config.config, device.name),
                templates=[template.config for template in layers],
                template_ids=[template.id for template in layers],
                context=device_context(
                    device,
                    config,
                    layers,
                    renderer.global_context,
                    organization_context,
                    group_context or {},
                    added.get(config.id, {}),
                ),
                device_os=device.os,
            )
        )
    return inputs


def templates_of(session: Session, config_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Template]]:
    """The templates of each configuration, from the weakest to the strongest."""
    links = session.execute(_LINKS, {"config_ids": config_ids}).all()
    # Each shared template is loaded once, not once for each device that uses it.
    wanted = {link.template_id for link in links}
    found = session.scalars(_TEMPLATES, {"template_ids": list(wanted)}) if wanted else ()
    by_id = {template.id: template for template in found}
    templates: dict[uuid.UUID, list[Template]] = defaultdict(list)
    for link in links:
        # One that was deleted between the two statements has left its configurations stale.
        if link.template_id in by_id:
            templates[link.config_id].append(by_id[link.template_id])
    return templates


def store(
    session: Session, renderings: Sequence[Rendering], now: datetime, tell: Callable[[Session, Event], None] = inform
) -> list[uuid.UUID]:
    """Keep what was rendered, unless something newer was kept meanwhile; an error leaves the last good archive.

    ``tell`` is how plugins hear of what changed (``guywire.plugin.notify`` where they may veto). Returns the
    configurations whose bytes changed.
    """
    wanted = [rendering.inputs.config_id for rendering in renderings]
    states = {state.config_id: state for state in session.scalars(_STATES, {"config_ids": wanted})}
    archives: list[JSONObject] = []
    changed = []
    for rendering in renderings:
        state = states.get(rendering.inputs.config_id)
        # Gone, or rendered by somebody who read newer inputs.
        if state is None or rendering.inputs.version <= state.rendered_version:
            continue
        previous = state.status
        if rendering.tar is None or rendering.digest is None:
            _store_failure(state, rendering)
        elif rendering.digest == state.digest:
            status.record_rendered(state, rendering.inputs.version, state.checksum or "", rendering.digest, now)
        else:
            # Another rendering may have come between: then the known digest was not the stored one.
            packed = rendering.packed or archive.compress(rendering.tar)
            # The agent compares the checksum with the md5 of what it downloaded: no matter of security.
            checksum = hashlib.md5(packed, usedforsecurity=False).hexdigest()
            is_first = state.checksum is None
            status.record_rendered(state, rendering.inputs.version, checksum, rendering.digest, now)
            archives.append({"config_id": state.config_id, "checksum": checksum, "archive": packed})
            changed.append(state.config_id)
            if not is_first:
                tell(session, ConfigModified(state.config_id, state.device_id))
        if state.status != previous:
            tell(session, ConfigStatusChanged(state.config_id, state.device_id, previous, state.status))
    if archives:
        session.execute(_KEEP_ARCHIVE[session.get_bind().dialect.name], archives)
    session.flush()
    return changed


def _store_failure(state: ConfigState, rendering: Rendering) -> None:
    status.record_failed(state, rendering.inputs.version, rendering.error or "", rendering.error_template_id)
    # The message itself may quote passwords: it stands in the device's state, for those who may see them.
    log.warning(
        "configuration cannot be rendered: device=%s template=%s place=#/%s",
        state.device_id,
        rendering.error_template_id,
        "/".join(map(str, rendering.error_path)),
    )


def render_within(session: Session, renderer: Renderer, config: Config, now: datetime) -> bool:
    """Render one configuration in the transaction that changes it. Returns whether its bytes changed.

    Raises ConfigurationInvalid when the change cannot be rendered: the transaction should be rolled back then.
    """
    rendering = _rendered(session, renderer, config, now)
    if rendering.error is not None:
        raise ConfigurationInvalid(rendering.error)
    return bool(store(session, [rendering], now, notify))


def render_anyway(session: Session, renderer: Renderer, config: Config, now: datetime) -> None:
    """``render_within`` for what a device says of itself: that stands even when nothing can be rendered of it. Its
    configuration may have been impossible before, which is not its fault.
    """
    store(session, [_rendered(session, renderer, config, now)], now)


def _rendered(session: Session, renderer: Renderer, config: Config, now: datetime) -> Rendering:
    session.flush()
    status.raise_inputs_version(session, [config.id])
    errors = vpn_clients.synchronize(session, renderer.registry, [config.id], now)
    [inputs] = read_inputs(session, renderer, [config.id])
    return _render(renderer, inputs, errors)


def _render(renderer: Renderer, inputs: Inputs, errors: vpn_clients.Errors) -> Rendering:
    error = errors.get(inputs.config_id)
    return renderer.render(inputs) if error is None else Rendering(inputs, error=error)


def refresh(factory: SessionFactory, renderer: Renderer, config_ids: Sequence[uuid.UUID], now: datetime) -> int:
    """Render configurations: read, render without holding a transaction, store. Returns how many there were.

    Before that, they become clients of the VPN servers that their templates name.
    """
    errors = vpn_clients.synchronize_all(factory, renderer.registry, config_ids, now)
    with reading(factory) as session:
        inputs = read_inputs(session, renderer, config_ids)
    renderings = [_render(renderer, each, errors) for each in inputs]
    with writing(factory) as session:
        store(session, renderings, now)
    return len(renderings)


def stale_config_ids(session: Session, limit: int) -> list[uuid.UUID]:
    """Some configurations that wait to be rendered."""
    return list(
        session.scalars(
            sa.select(ConfigState.config_id)
            .where(ConfigState.inputs_version != ConfigState.rendered_version)
            .limit(limit)
        )
    )


def refresh_all(factory: SessionFactory, renderer: Renderer, clock: Callable[[], datetime]) -> int:
    """Render until nothing is stale. Returns how many configurations were rendered.

    The log says how far it has got when there is more than one batch of them.
    """
    count = 0
    while True:
        with reading(factory) as session:
            config_ids = stale_config_ids(session, BATCH)
            waiting = count_stale(session) if len(config_ids) == BATCH else len(config_ids)
        if count or waiting > BATCH:
            log.info("rendering configurations: done=%s waiting=%s", count, waiting)
        rendered = refresh(factory, renderer, config_ids, clock()) if config_ids else 0
        if not rendered:
            return count
        count += rendered


def count_stale(session: Session) -> int:
    """How many configurations wait to be rendered."""
    stale = ConfigState.inputs_version != ConfigState.rendered_version
    return session.scalar(sa.select(sa.func.count()).select_from(ConfigState).where(stale)) or 0


def mark_all_if_renderer_changed(session: Session, fingerprint: str) -> bool:
    """Mark everything stale when the archives were rendered with other global variables or another version.

    ``fingerprint`` is ``Renderer.fingerprint()``. Returns whether anything was marked.
    """
    marker = session.get(Marker, "renderer")
    if marker is not None and marker.value == fingerprint:
        return False
    if marker is None:
        session.add(Marker(name="renderer", value=fingerprint))
    else:
        marker.value = fingerprint
    vpn_servers.mark_stale(session, sa.select(Vpn.id))
    return bool(status.mark_stale(session, sa.select(ConfigState.config_id)))
