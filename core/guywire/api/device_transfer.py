"""Devices as CSV: ``/api/v1/controller/device/export/`` and ``import/``."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, Any

from pyramid.request import Request
from pyramid.response import Response

from guywire.api import fields
from guywire.api.answers import Response as JSONResponse
from guywire.api.answers import dumps
from guywire.api.body import read_body, read_bytes
from guywire.api.device import PATH, DeviceResource
from guywire.api.device_import import CREATED, FAILED, UNCHANGED, UPDATED, DeviceImport, Outcome
from guywire.api.field import Field, Validation, fail, is_form
from guywire.api.filters import conditions
from guywire.api.schema import Schema, validate
from guywire.api.service import JSON, APIService, Operation
from guywire.db import writing
from guywire.errors import Invalid
from guywire.security import require
from guywire.services.device_csv import FileInvalid, Row, read_rows, write_rows

CSV = "text/csv"

MAX_ROWS = 1000
"""How many rows can be imported in one transaction: others who write wait for its end."""

TOO_MANY = (
    f"The file has more than {MAX_ROWS} rows, which is too many for all or nothing: ?partial=true keeps what is right."
)

exporting = APIService(
    name="device_export",
    path=f"{PATH}export/",
    title="Export of devices",
    description="Devices as a CSV file, which can be imported again. The filters of the list apply.",
)
importing = APIService(
    name="device_import",
    path=f"{PATH}import/",
    title="Import of devices",
    description="Makes and changes devices as the rows of a CSV file say.",
)


@exporting.get(
    operation=Operation(
        permission="view_device",
        parameters={name: each.field for name, each in DeviceResource.filters.items()},
        sends=CSV,
    )
)
def export_devices(request: Request) -> Response:
    """All devices that the user sees, or those that the filters leave; the newest come first.

    Cells that a spreadsheet would take for formulas begin with an apostrophe, which an import takes away again.
    """
    resource = DeviceResource(request)
    wanted = conditions(resource.filters, request.GET, resource.validation(is_form=False))
    pieces = write_rows(resource.runtime.session_factory, resource.query().where(*wanted))
    response = Response(content_type=CSV, charset="utf-8", app_iter=pieces)
    response.headers["Content-Disposition"] = "attachment; filename=devices.csv"
    return response


def _file(value: Any) -> str:
    content = value
    if hasattr(value, "file"):
        # A request that is repeated, because another was faster, reads the file again.
        value.file.seek(0)
        content = value.file.read()
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise fail(f"The file is not UTF-8 (at byte {error.start}).") from None
    if not isinstance(content, str):
        raise fail("The submitted data was not a file. Check the encoding type on the form.")
    return content


class ImportBody(Schema):
    """A CSV file. (It may be the whole body, too.)"""

    file: Annotated[str, Field(_file, kind="file", help="CSV in UTF-8; the first line names the columns.")]


_RESULTS = (CREATED, UPDATED, UNCHANGED, FAILED)
_ROW = {
    "line": {"type": "integer"},
    "result": {"type": "string", "enum": list(_RESULTS)},
    "name": {"type": "string"},
    "id": {"type": ["string", "null"], "format": "uuid"},
    "errors": {"type": "object"},
}
_REPORT = {
    "stored": {"type": "boolean"},
    **{result: {"type": "integer"} for result in _RESULTS},
    "rows": {"type": "array", "items": {"type": "object", "properties": _ROW, "required": list(_ROW)}},
}


@importing.post(
    operation=Operation(
        body=ImportBody,
        answer={"type": "object", "properties": _REPORT, "required": list(_REPORT)},
        permission="add_device",
        parameters={
            "dry_run": fields.boolean(help="Say what would happen and keep nothing."),
            "partial": fields.boolean(help="Keep the rows that are right even if others are not."),
        },
        takes=(CSV, "multipart/form-data"),
    )
)
def import_devices(request: Request) -> Any:
    """Row by row, what became of it.

    A row with the ``id`` of a device changes it, any other makes one: ``name``, ``mac_address`` and
    ``organization_id`` are enough. Unless ``partial`` is asked for, either all rows are imported or, with 400 and the
    same report, none. With it, the report is sent while rows are imported, a few at a time.
    """
    importer = DeviceImport(request.runtime, require(request.identity, "POST", "device"))
    try:
        rows = list(read_rows(io.StringIO(_text_of(request), newline="")))
    except FileInvalid as invalid:
        raise Invalid({"file": [str(invalid)]}) from None
    if _asked(request, "dry_run"):
        return _report(chain.from_iterable(importer.rehearse(_few(rows))), stored=False)
    if _asked(request, "partial"):
        return JSONResponse(content_type=JSON, app_iter=_pieces(importer.in_batches(rows)))
    with writing(request.runtime.session_factory) as session:
        outcomes = list(importer.within(session, _few(rows)))
        if any(each.result == FAILED for each in outcomes):
            raise Invalid(_report(outcomes, stored=False))
    return _report(outcomes, stored=True)


def _few(rows: list[Row]) -> list[Row]:
    if len(rows) > MAX_ROWS:
        raise Invalid({"file": [TOO_MANY]})
    return rows


def _asked(request: Request, name: str) -> bool:
    return request.GET.get(name, "").lower() in ("true", "1")


def _text_of(request: Request) -> str:
    body = {"file": read_bytes(request)} if request.content_type.lower() == CSV else read_body(request)
    context = Validation(is_form=is_form(body), exists=lambda model, ids: set(), registry=request.runtime.registry)
    text: str = validate(ImportBody, body, context, partial=False)["file"]
    return text


def _report(outcomes: Iterable[Outcome], *, stored: bool) -> dict[str, Any]:
    rows = [_row(each, stored=stored) for each in outcomes]
    return {"stored": stored, **_counts(Counter(row["result"] for row in rows)), "rows": rows}


def _pieces(batches: Iterable[list[Outcome]]) -> Iterator[bytes]:
    """The report as it grows: who waits for many rows, or stands between, sees that something happens."""
    counts: Counter[str] = Counter()
    yield b'{"stored":true,"rows":['
    separator = b""
    for outcomes in batches:
        counts.update(each.result for each in outcomes)
        yield separator + b",".join(dumps(_row(each, stored=True)) for each in outcomes)
        separator = b","
    yield b"]," + dumps(_counts(counts)).removeprefix(b"{")


def _row(outcome: Outcome, *, stored: bool) -> dict[str, Any]:
    return {
        "line": outcome.line,
        "result": outcome.result,
        "name": outcome.name,
        # That of a device that does not stay would lead nowhere.
        "id": outcome.id if stored or outcome.result != CREATED else None,
        "errors": outcome.errors,
    }


def _counts(counter: Counter[str]) -> dict[str, int]:
    return {result: counter[result] for result in _RESULTS}
