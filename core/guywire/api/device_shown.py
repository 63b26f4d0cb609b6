"""What lists and details show of devices, and what lists can be narrowed down to."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from guywire.api import filters
from guywire.api.shown import Loaded, inserted_after, nullable, object_schema
from guywire.models import Config, ConfigState, ConfigTemplate, Device, DeviceGroup, Template
from guywire.services.status import ERROR, STATUSES, has_status, status_of


def _summaries(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """How far the configurations of devices have got, for lists."""
    query = (
        sa.select(Config.backend, *(getattr(ConfigState, name) for name in _FACTS))
        .join(ConfigState, ConfigState.config_id == Config.id)
        .where(ConfigState.device_id.in_(ids))
    )
    return {row.device_id: _summary(row, row.backend) for row in session.execute(query)}


def _configurations(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """The configurations of devices as details show them."""
    query = sa.select(Config).where(Config.device_id.in_(ids)).options(joinedload(Config.state))
    configs = {config.id: config for config in session.scalars(query)}
    templates: dict[uuid.UUID, list[uuid.UUID]] = {id: [] for id in configs}
    assigned = (
        sa.select(ConfigTemplate.config_id, ConfigTemplate.template_id)
        .where(ConfigTemplate.config_id.in_(configs))
        .order_by(ConfigTemplate.position)
    )
    for config_id, template_id in session.execute(assigned):
        templates[config_id].append(template_id)
    return {
        config.device_id: _summary(config.state, config.backend)
        | {"templates": templates[config.id], "context": config.context, "config": config.config}
        for config in configs.values()
    }


def _summary(facts: Any, backend: str) -> dict[str, Any]:
    status = status_of(facts)
    return {"status": status, "error_reason": facts.error_reason if status == ERROR else "", "backend": backend}


_FACTS = (
    "device_id",
    "inputs_version",
    "rendered_version",
    "render_error",
    "checksum",
    "reported_checksum",
    "reported_status",
    "error_reason",
    "overtaken",
    "lifecycle",
)
"""What ``status_of`` looks at."""

_SUMMARY: dict[str, dict[str, Any]] = {
    "status": {"type": "string", "enum": list(STATUSES)},
    "error_reason": {"type": "string"},
    "backend": {"type": "string"},
}
_DETAIL = _SUMMARY | {
    "templates": {"type": "array", "items": {"type": "string", "format": "uuid"}},
    "context": {"type": "object"},
    "config": {"type": "object"},
}


def _of_config(condition: Any) -> Any:
    return Device.id.in_(sa.select(Config.device_id).where(condition))


def _with_template(template_id: Any) -> Any:
    return Device.id.in_(
        sa.select(Config.device_id)
        .join(ConfigTemplate, ConfigTemplate.config_id == Config.id)
        .where(ConfigTemplate.template_id == template_id)
    )


SHOWN = {
    "id": Device.id,
    "name": Device.name,
    "organization": Device.organization_id,
    "group": Device.group_id,
    "mac_address": Device.mac_address,
    "key": Device.key,
    "last_ip": Device.last_ip,
    "management_ip": Device.management_ip,
    "model": Device.model,
    "os": Device.os,
    "system": Device.system,
    "notes": Device.notes,
    "config": Loaded(_summaries, nullable(object_schema(**_SUMMARY))),
    "created": Device.created,
    "modified": Device.modified,
}

FILTERS = {
    "name": filters.contains(Device.name),
    "mac_address": filters.contains(Device.mac_address),
    "config__status": filters.choice(
        lambda status: Device.id.in_(sa.select(ConfigState.device_id).where(has_status(status))),
        lambda registry: {status: status for status in STATUSES},
    ),
    "config__backend": filters.choice(
        lambda backend: _of_config(Config.backend == backend), lambda registry: registry.backend_labels
    ),
    "config__templates": filters.identifier(_with_template, Template),
    "group": filters.related(Device.group_id, DeviceGroup),
    **filters.organization(Device.organization_id),
    **filters.moments("created", Device.created),
}

SHOWN_IN_DETAIL = {
    **inserted_after(SHOWN, "management_ip", {"is_deactivated": Device.is_deactivated}),
    "config": Loaded(_configurations, nullable(object_schema(**_DETAIL))),
}
