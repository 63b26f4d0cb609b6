"""Devices as lines of CSV: the columns, what is written of a device, and how a file is taken apart again.

Nothing here knows what a cell must hold: that is the API's business, whichever way a device comes.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.db import SessionFactory, reading
from guywire.models import Config, ConfigState, ConfigTemplate, Device, DeviceGroup, Organization
from guywire.services.status import status_of

COLUMNS = (
    "name",
    "mac_address",
    "organization",
    "group",
    "model",
    "os",
    "system",
    "notes",
    "last_ip",
    "management_ip",
    "config_status",
    "config_backend",
    "config_data",
    "config_context",
    "config_templates",
    "created",
    "modified",
    "id",
    "key",
    "organization_id",
    "group_id",
)
"""The columns in the order of the reference. ``organization``, ``group``, ``config_status``, ``created`` and
``modified`` are for people: importing ignores them."""

MAX_CELL = 2**24
"""Longest cell in characters."""

_BATCH = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class FileInvalid(Exception):
    """A file that cannot be read as CSV; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: the line that it begins on, and its cells by column; ``problem`` if it has not as many."""

    line: int
    cells: dict[str, str]
    problem: str = ""


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula. Routers say themselves what they are, and may be anybody's."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """What ``guarded`` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text


def write_rows(factory: SessionFactory, devices: Any) -> Iterator[bytes]:
    """The heading and the devices of a SELECT of their ids, newest first, as pieces of a CSV file.

    The pieces are read one after the other when they are asked for, so that neither memory nor a transaction depends
    on the number of devices or on the patience of who reads.
    """
    yield _lines([COLUMNS])
    key = Device.created, Device.id
    after: Any = sa.true()
    while True:
        with reading(factory) as session:
            newest = devices.with_only_columns(*key).order_by(None).order_by(*(each.desc() for each in key))
            found = session.execute(newest.where(after).limit(_BATCH)).all()
            cells = _cells_of(session, [id for _, id in found])
        if not found:
            return
        yield _lines(cells)
        created, id = found[-1]
        after = sa.or_(Device.created < created, sa.and_(Device.created == created, Device.id < id))


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    # Reports of routers may hold what UTF-8 has no bytes for.
    return buffer.getvalue().encode(errors="replace")


def _cells_of(session: Session, ids: Sequence[uuid.UUID]) -> list[list[str]]:
    rows = session.execute(
        sa.select(Device, Organization.name, DeviceGroup.name, Config, ConfigState)
        .join(Organization, Organization.id == Device.organization_id)
        .outerjoin(DeviceGroup, DeviceGroup.id == Device.group_id)
        .outerjoin(Config, Config.device_id == Device.id)
        .outerjoin(ConfigState, ConfigState.device_id == Device.id)
        .where(Device.id.in_(ids))
        .order_by(Device.created.desc(), Device.id.desc())
    ).all()
    templates: dict[uuid.UUID, list[str]] = {row[3].id: [] for row in rows if row[3] is not None}
    assigned = (
        sa.select(ConfigTemplate.config_id, ConfigTemplate.template_id)
        .where(ConfigTemplate.config_id.in_(templates))
        .order_by(ConfigTemplate.position)
    )
    for config_id, template_id in session.execute(assigned):
        templates[config_id].append(str(template_id))
    devices = (_texts(*row, templates) for row in rows)
    return [[guarded(texts.get(column, "")) for column in COLUMNS] for texts in devices]


def _texts(
    device: Device,
    organization: str,
    group: str | None,
    config: Config | None,
    state: ConfigState | None,
    templates: dict[uuid.UUID, list[str]],
) -> dict[str, str]:
    texts = {
        "organization": organization,
        "group": group or "",
        "created": device.created.isoformat(),
        "modified": device.modified.isoformat(),
    }
    for name in set(COLUMNS).difference(texts):
        if hasattr(Device, name):
            value = getattr(device, name)
            texts[name] = "" if value is None else str(value)
    if config is not None and state is not None:
        texts |= {
            "config_status": status_of(state),
            "config_backend": config.backend,
            # In the order of the keys as they are stored: it can decide the bytes of the archive.
            "config_data": orjson.dumps(config.config).decode(),
            "config_context": orjson.dumps(config.context).decode(),
            "config_templates": ",".join(templates[config.id]),
        }
    return texts


def read_rows(lines: Iterable[str]) -> Iterator[Row]:
    """The rows below the heading, which names the columns in any order. Raises FileInvalid.

    Cells are separated by commas, or by whatever separates the names in the heading (spreadsheets have their own
    opinion about that).
    """
    lines = iter(lines)
    heading = next(lines, "")
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(chain([heading], lines), delimiter=max(",;\t", key=heading.count))
    try:
        columns = [name.strip() for name in next(reader, [])]
        _check(columns)
        end = reader.line_num
        for cells in reader:
            begin, end = end + 1, reader.line_num
            if not any(cells):
                continue
            problem = ""
            if len(cells) != len(columns):
                problem = f"The row has {len(cells)} cells, the heading has {len(columns)}."
            texts = {name: unguarded(cell) for name, cell in zip(columns, cells, strict=False)}
            yield Row(begin, texts, problem)
    except csv.Error as error:
        raise FileInvalid(f"line {reader.line_num}: {error}") from None


def _check(columns: list[str]) -> None:
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise FileInvalid(f"line 1: unknown columns: {', '.join(map(repr, unknown))[:200]}")
    if not columns:
        raise FileInvalid("the file is empty")
    if len(set(columns)) != len(columns):
        raise FileInvalid("line 1: a column occurs twice")
