"""Whether a device has the configuration that it should have: facts, what changes them, and the one rule.

The facts are those of ``guywire.models.ConfigState``; everything above ``mark_stale`` works on any object that has
its attributes, touches no database and reads no clock.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.events import ConfigsStale
from guywire.models import Config, ConfigState, ConfigTemplate, Device
from guywire.plugin import notify

MODIFIED, APPLIED, ERROR = "modified", "applied", "error"
DEACTIVATING, DEACTIVATED = "deactivating", "deactivated"
STATUSES = (MODIFIED, APPLIED, ERROR, DEACTIVATING, DEACTIVATED)
REPORTABLE = (APPLIED, ERROR)
"""What a device may say of itself. (The reference also believes ``deactivated``: a device could lock itself out.)"""

ACTIVE = "active"

MAX_ERROR_REASON = 1024
NO_REASON = "Reason not reported by the device."


class Facts(Protocol):
    """What is known about one configuration; see ``guywire.models.ConfigState``."""

    inputs_version: int
    rendered_version: int
    render_error: str | None
    render_error_template_id: uuid.UUID | None
    checksum: str | None
    digest: str | None
    generation: int
    generated_at: datetime | None
    served_checksum: str | None
    served_generation: int | None
    served_at: datetime | None
    reported_checksum: str | None
    reported_generation: int | None
    reported_at: datetime | None
    reported_status: str | None
    error_reason: str
    overtaken: bool
    lifecycle: str
    status: str


def is_stale(facts: Facts) -> bool:
    """Whether something changed that has not been rendered yet."""
    return facts.inputs_version != facts.rendered_version


def status_of(facts: Facts) -> str:
    """The status, by one rule.

    ``applied`` and ``error`` are what the device reported of exactly the bytes that it should have now, if it has not
    been given other bytes since. All else is ``modified``, for as long as the device is in service.
    """
    if facts.lifecycle != ACTIVE:
        return facts.lifecycle
    if is_stale(facts) or facts.render_error is not None:
        return MODIFIED
    if facts.checksum is None or facts.reported_status is None:
        return MODIFIED
    if facts.reported_checksum == facts.checksum and not facts.overtaken:
        return facts.reported_status
    return MODIFIED


def has_status(status: str) -> Any:
    """SQL: the states whose status is this one. What is stored says nothing of what became stale since."""
    stale = sa.and_(ConfigState.lifecycle == ACTIVE, ConfigState.inputs_version != ConfigState.rendered_version)
    if status == MODIFIED:
        return sa.or_(ConfigState.status == MODIFIED, stale)
    return sa.and_(ConfigState.status == status, sa.not_(stale))


def explanation_of(facts: Facts) -> str:
    """One sentence for people: why the status is what it is."""
    status = status_of(facts)
    if status == DEACTIVATED:
        return "The device is deactivated and its configuration has been emptied."
    if status == DEACTIVATING:
        return "The device is being deactivated: it has not yet reported the empty configuration."
    if facts.render_error is not None:
        return (
            "The last change cannot be rendered, so the device is still given the configuration from before it: "
            f"{facts.render_error}"
        )
    if is_stale(facts):
        return "Something that the configuration depends on has changed and has not been rendered yet."
    if status == APPLIED:
        return "The device has reported that it applied exactly this configuration."
    if status == ERROR:
        return f"The device has reported that it could not apply this configuration: {facts.error_reason}"
    if facts.served_checksum is None and facts.reported_status is None:
        return "The device has not downloaded its configuration yet."
    if facts.served_checksum == facts.checksum:
        return "The device has downloaded this configuration and has not reported on it yet."
    if facts.overtaken:
        return "The device has downloaded another configuration since its last report, so it has to download this one."
    if facts.reported_status is not None:
        return "The configuration has changed since the one that the device last reported on."
    return "The configuration has changed since the device downloaded it."


def record_rendered(facts: Facts, version: int, checksum: str, digest: str, now: datetime) -> bool:
    """The inputs of ``version`` gave an archive. Returns whether its bytes are other ones than before.

    ``digest`` is of the uncompressed archive: while it is the same, the checksum stays, even if another zlib would
    compress to other bytes now.
    """
    facts.rendered_version = version
    facts.render_error = facts.render_error_template_id = None
    changed = digest != facts.digest
    if changed:
        facts.digest, facts.checksum = digest, checksum
        facts.generation += 1
        facts.generated_at = now
    facts.status = status_of(facts)
    return changed


def record_failed(facts: Facts, version: int, error: str, template_id: uuid.UUID | None) -> None:
    """The inputs of ``version`` cannot be rendered: what was last good stays in service."""
    facts.rendered_version = version
    facts.render_error, facts.render_error_template_id = storable(error), template_id
    facts.status = status_of(facts)


def record_served(facts: Facts, now: datetime) -> bool:
    """The device downloads what it should have. Returns whether that is news."""
    if facts.served_checksum == facts.checksum:
        return False
    facts.served_checksum, facts.served_generation, facts.served_at = facts.checksum, facts.generation, now
    if facts.reported_status is not None and facts.reported_checksum != facts.checksum:
        facts.overtaken = True
    facts.status = status_of(facts)
    return True


def record_reported(facts: Facts, status: str, reason: str | None, now: datetime) -> None:
    """The device reports ``applied`` or ``error`` about what it was last given (or about what it should have, when
    there is no record of a download: it may come from another controller).
    """
    if facts.served_checksum is not None:
        facts.reported_checksum, facts.reported_generation = facts.served_checksum, facts.served_generation
    else:
        facts.reported_checksum, facts.reported_generation = facts.checksum, facts.generation
    facts.reported_status, facts.reported_at, facts.overtaken = status, now, False
    facts.error_reason = _shortened(reason or NO_REASON) if status == ERROR else ""
    if facts.lifecycle == DEACTIVATING and facts.reported_checksum == facts.checksum:
        facts.lifecycle = DEACTIVATED
    facts.status = status_of(facts)


def record_deactivation(facts: Facts, emptied: bool) -> None:
    """The operator takes the device out of service; to be called when the emptied configuration is rendered.

    ``emptied``: the bytes changed by that. A device has nothing left to do if it has already reported on the empty
    configuration and has not been given another one since, or if it was never given anything and nothing changed.
    """
    nothing_to_do = status_of(facts) in REPORTABLE or (facts.served_checksum is None and not emptied)
    facts.lifecycle = DEACTIVATED if nothing_to_do else DEACTIVATING
    facts.status = status_of(facts)


def record_activation(facts: Facts) -> None:
    """The operator takes the device back into service."""
    facts.lifecycle = ACTIVE
    facts.status = status_of(facts)


def storable(text: str) -> str:
    """The text without what a database refuses. It may quote a configuration, and one that cannot be stored would
    keep all others that are rendered together with it from being stored.
    """
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _shortened(reason: str) -> str:
    mark = "\n[truncated]"
    return reason if len(reason) <= MAX_ERROR_REASON else reason[: MAX_ERROR_REASON - len(mark)] + mark


def mark_stale(session: Session, config_ids: Any) -> int:
    """Mark configurations as to be rendered again, in the transaction of the change. Returns how many.

    ``config_ids`` is a SELECT of their ids (or a list). One UPDATE of narrow rows, however many they are.
    """
    count = raise_inputs_version(session, config_ids)
    if count:
        notify(session, ConfigsStale())
    return count


def raise_inputs_version(session: Session, config_ids: Any) -> int:
    """``mark_stale`` for one who renders the configurations in this same transaction: nobody is told."""
    marked = session.execute(
        sa.update(ConfigState)
        .where(ConfigState.config_id.in_(locked_states(ConfigState.config_id.in_(config_ids))))
        .values(inputs_version=ConfigState.inputs_version + 1)
        .execution_options(synchronize_session=False)
    )
    return cast("sa.CursorResult[Any]", marked).rowcount


def await_polls(session: Session, device_ids: Any) -> None:
    """Have the next poll of each device announced by ``guywire.events.DevicePolled``, once.

    ``device_ids`` is a SELECT of their ids (or a list). Devices without configuration do not poll.
    """
    session.execute(
        sa.update(ConfigState)
        .where(ConfigState.config_id.in_(locked_states(ConfigState.device_id.in_(device_ids))))
        .values(poll_awaited=True)
        .execution_options(synchronize_session=False)
    )


def locked_states(condition: Any) -> Any:
    """SELECT of the ids of states, which locks them. Always in this order: else two of us could wait for each other."""
    return sa.select(ConfigState.config_id).where(condition).order_by(ConfigState.config_id).with_for_update()


def dependents_of_template(template_id: uuid.UUID) -> Any:
    """The configurations that a template is part of."""
    return sa.select(ConfigTemplate.config_id).where(ConfigTemplate.template_id == template_id)


def dependents_of_organization(organization_id: uuid.UUID) -> Any:
    """The configurations that see an organization's variables."""
    return (
        sa.select(Config.id)
        .join(Device, Device.id == Config.device_id)
        .where(Device.organization_id == organization_id)
    )


def dependents_of_group(group_id: uuid.UUID) -> Any:
    """The configurations that see a device group's variables."""
    return sa.select(Config.id).join(Device, Device.id == Config.device_id).where(Device.group_id == group_id)
