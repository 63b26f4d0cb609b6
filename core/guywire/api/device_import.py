"""Rows of CSV become devices, by the rules of the API: whoever may POST and PATCH a device may import it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from guywire.api.body import parse_json
from guywire.api.device_body import DeviceBody, NewDeviceBody
from guywire.api.field import Validation
from guywire.api.fields import NOT_JSON
from guywire.api.schema import validate
from guywire.db import announce_writes, is_conflict, is_overload, writing
from guywire.errors import MODEL, FieldErrors, Invalid, ParseError, PermissionDenied
from guywire.models import Config, Device
from guywire.runtime import Runtime
from guywire.security import Identity, visible_rows, visible_to
from guywire.services import device_edits
from guywire.services.device_csv import Row
from guywire.services.templates import assigned_templates

BATCH = 100
"""How many rows share a transaction, at most."""

TURN = 0.5
"""Seconds after which a transaction ends all the same: others who write wait for it."""

PAUSE = 0.15
"""Seconds between transactions in SQLite, which has one writer at a time: who waits in another process looks every
tenth of a second whether it is free."""

ATTEMPTS = 3
"""How often a transaction is tried that somebody overtakes."""

BUSY = "The server is busy: import the row again."

CREATED, UPDATED, UNCHANGED, FAILED = "created", "updated", "unchanged", "failed"

Thing = TypeVar("Thing")

_TEXTS = ("name", "mac_address", "model", "os", "system", "notes")
_NULLABLE = {"last_ip": "last_ip", "management_ip": "management_ip", "group_id": "group"}
_CONFIG = {"backend": "config_backend", "config": "config_data", "context": "config_context"}
_CONFIG |= {"templates": "config_templates"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row; ``errors`` are by column."""

    line: int
    result: str
    name: str
    id: uuid.UUID | None = None
    errors: FieldErrors = field(default_factory=dict)


class DeviceImport:
    """Imports rows for a user."""

    def __init__(self, runtime: Runtime, identity: Identity) -> None:
        self._runtime = runtime
        self._identity = identity

    def in_batches(self, rows: Iterable[Row]) -> Iterator[list[Outcome]]:
        """Import rows, so many in a transaction: what is right stays, whatever becomes of the others.

        Rows for which the database has no time are told of like wrong ones.
        """
        pause = PAUSE if self._runtime.engine.dialect.name == "sqlite" else 0
        waiting = iter(rows)
        batch = list(islice(waiting, BATCH))
        while batch:
            outcomes = self._in_one_transaction(batch)
            yield outcomes
            batch = batch[len(outcomes) :]
            batch += islice(waiting, BATCH - len(batch))
            if batch:
                time.sleep(pause)

    def rehearse(self, rows: Iterable[Row]) -> Iterator[list[Outcome]]:
        """Say what importing would do, and keep nothing. It is one transaction: others who write wait for its end."""
        with self._runtime.session_factory() as session:
            announce_writes(session)
            yield from _batches(self.within(session, rows))

    def _in_one_transaction(self, batch: list[Row]) -> list[Outcome]:
        """Import the first rows: as many as there is time for, at least one."""
        for _ in range(ATTEMPTS):
            try:
                with writing(self._runtime.session_factory) as session:
                    return list(_for_a_while(self.within(session, batch)))
            except sa.exc.DBAPIError as error:
                if not is_conflict(error) and not is_overload(error):
                    raise
        return [Outcome(row.line, FAILED, row.cells.get("name", ""), errors={MODEL: [BUSY]}) for row in batch]

    def within(self, session: Session, rows: Iterable[Row]) -> Iterator[Outcome]:
        """Import rows in the transaction of ``session``; of a row that is wrong nothing is kept."""
        now = self._runtime.clock()
        known: dict[Any, set[Any]] = {}

        def existing(model: Any, ids: Iterable[Any]) -> set[Any]:
            # The same few organizations, groups and templates, row after row.
            wanted = set(ids)
            seen = known.setdefault(model, set())
            if not wanted <= seen:
                visible = visible_rows(self._identity, model)
                seen.update(session.scalars(sa.select(model.id).where(model.id.in_(list(wanted)), visible)))
            return wanted & seen

        validation = Validation(is_form=False, exists=existing, registry=self._runtime.registry)
        for number, row in enumerate(rows, 1):
            # Lists are by time: rows that are imported together follow each other as in their file.
            yield self._import(session, row, validation, now + timedelta(microseconds=number - 1))
            if number % BATCH == 0:
                session.flush()
                session.expunge_all()

    def _import(self, session: Session, row: Row, validation: Validation, now: datetime) -> Outcome:
        name = row.cells.get("name", "")
        savepoint = session.begin_nested()
        try:
            if row.problem:
                raise Invalid({MODEL: [row.problem]})
            result, device = self._apply(session, row.cells, validation, now)
            savepoint.commit()
        except Invalid as invalid:
            savepoint.rollback()
            return Outcome(row.line, FAILED, name, errors=_by_column(invalid.body))
        except PermissionDenied as denied:
            savepoint.rollback()
            return Outcome(row.line, FAILED, name, errors={MODEL: [denied.body["detail"]]})
        except (sa.exc.IntegrityError, sa.exc.DataError):
            savepoint.rollback()
            return Outcome(row.line, FAILED, name, errors={MODEL: ["The row conflicts with what is stored."]})
        return Outcome(row.line, result, device.name, device.id)

    def _apply(
        self, session: Session, cells: dict[str, str], validation: Validation, now: datetime
    ) -> tuple[str, Device]:
        id = _id_of(cells)
        device = None if id is None else self._device(session, id)
        body = _body_of(cells)
        if device is None:
            self._require("add")
            if "config" in body:
                backend = self._runtime.settings.default_backend
                body["config"] = {"backend": backend, "templates": [], "context": {}, "config": {}} | body["config"]
            fields = validate(NewDeviceBody, body, validation, partial=False)
            return CREATED, device_edits.create(session, self._runtime, fields, now, id=id)
        fields = _news(session, device, validate(DeviceBody, body, validation, partial=True))
        if not fields:
            return UNCHANGED, device
        self._require("change")
        if device.is_deactivated:
            raise Invalid({MODEL: ["The device is deactivated."]})
        device_edits.update(session, self._runtime, device, fields, now)
        return UPDATED, device

    def _require(self, action: str) -> None:
        if not self._identity.has_permission(action, "device"):
            raise PermissionDenied()

    def _device(self, session: Session, id: uuid.UUID) -> Device | None:
        session.execute(sa.select(Device.id).where(Device.id == id).with_for_update(key_share=True))
        query = sa.select(Device).where(Device.id == id).options(joinedload(Device.config).joinedload(Config.state))
        device = session.scalars(query.where(visible_to(self._identity, Device.organization_id, shared=False))).first()
        if device is None and session.scalar(sa.select(Device.id).where(Device.id == id)):
            raise Invalid({"id": ["Device with this id already exists."]})
        return device


def _for_a_while(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    end = time.monotonic() + TURN
    for outcome in outcomes:
        yield outcome
        if time.monotonic() > end:
            return


def _batches(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _id_of(cells: dict[str, str]) -> uuid.UUID | None:
    text = cells.get("id", "").strip()
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise Invalid({"id": [f"“{text}” is not a valid UUID."]}) from None


def _body_of(cells: dict[str, str]) -> dict[str, Any]:
    """The body that would say the same to the API. An empty key or organization says nothing."""
    body: dict[str, Any] = {name: cells[name] for name in _TEXTS if name in cells}
    body |= {name: cells[column] or None for column, name in _NULLABLE.items() if column in cells}
    for column, name in (("key", "key"), ("organization_id", "organization")):
        if cells.get(column):
            body[name] = cells[column]
    if any(cells.get(column) for column in _CONFIG.values()):
        body["config"] = _config_of(cells)
    return body


def _config_of(cells: dict[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if cells.get("config_backend"):
        config["backend"] = cells["config_backend"]
    for name in ("context", "config"):
        text = cells.get(_CONFIG[name])
        if text is not None:
            try:
                config[name] = parse_json(text.encode()) if text else {}
            except (ParseError, UnicodeEncodeError):
                raise Invalid({"config": {name: [NOT_JSON]}}) from None
    if "config_templates" in cells:
        config["templates"] = [id.strip() for id in cells["config_templates"].split(",") if id.strip()]
    return config


def _news(session: Session, device: Device, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not as they were."""
    current = {"organization": device.organization_id, "group": device.group_id}
    news = {
        name: value
        for name, value in fields.items()
        if name != "config" and value != (current[name] if name in current else getattr(device, name))
    }
    given, config = fields.get("config"), device.config
    if given and config is not None:
        is_own = {name: value for name, value in given.items() if name != "templates"}
        given = {name: value for name, value in is_own.items() if _bytes(value) != _bytes(getattr(config, name))}
        templates = fields["config"].get("templates")
        if templates is not None and templates != assigned_templates(session, config.id):
            given["templates"] = templates
    return news | {"config": given} if given else news


def _bytes(value: Any) -> bytes:
    """Python takes 1 for true, and keys in another order for the same; routers may be told something else."""
    return orjson.dumps(value)


def _by_column(errors: FieldErrors) -> FieldErrors:
    """Errors by the columns that they are about."""
    names = {"organization": "organization_id", "group": "group_id"}
    found = {names.get(name, name): messages for name, messages in errors.items() if not isinstance(messages, dict)}
    for name, messages in errors.get("config", {}).items() if isinstance(errors.get("config"), dict) else ():
        found[_CONFIG.get(name, "config_data")] = messages
    return found
