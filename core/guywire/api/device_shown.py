"""What lists and details show of devices, and what lists can be narrowed down to."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.api import filters
from guywire.api.shown import Computed, Loaded, inserted_after, nullable, object_schema
from guywire.models import Config, ConfigState, ConfigTemplate, Device, DeviceGroup, Template
from guywire.services.status import ERROR, STATUSES, has_status, status_of
from guywire.services.templates import assigned_templates


def _summaries(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """How far the configurations of devices have got, for lists."""
    return {row.device_id: _summary(row, row.backend) for row in session.connection().execute(_FACTS, {"ids": ids})}


def _configuration(session: Session, device: Device) -> dict[str, Any] | None:
    """The configuration of a device, for details."""
    config = device.config
    if config is None:
        return None
    return _summary(config.state, config.backend) | {
        "templates": assigned_templates(session, config.id),
        "context": config.context,
        "config": config.config,
    }


def _summary(facts: Any, backend: str) -> dict[str, Any]:
    status = status_of(facts)
    return {"status": status, "error_reason": facts.error_reason if status == ERROR else "", "backend": backend}


_STATE = ConfigState.__table__.c
_FACTS = (
    sa.select(
        Config.__table__.c.backend,
        _STATE.device_id,
        _STATE.inputs_version,
        _STATE.rendered_version,
        _STATE.render_error,
        _STATE.checksum,
        _STATE.reported_checksum,
        _STATE.reported_status,
        _STATE.error_reason,
        _STATE.overtaken,
        _STATE.lifecycle,
    )
    .join_from(Config.__table__, ConfigState.__table__, _STATE.config_id == Config.__table__.c.id)
    .where(_STATE.device_id.in_(sa.bindparam("ids", expanding=True)))
)
"""What ``status_of`` looks at, of many devices, without ORM objects."""

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
    "config": Computed(_configuration, nullable(object_schema(**_DETAIL))),
}
