"""Commands for devices as CSV: devices export, devices import."""

from __future__ import annotations

import io
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import Progress

from guywire.api.device_import import CREATED, FAILED, UNCHANGED, UPDATED, DeviceImport, Outcome
from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.models import Device, Organization
from guywire.security import Identity
from guywire.services.device_csv import FileInvalid, Row, read_rows, write_rows

_OURSELVES = Identity(uuid.UUID(int=0), "command line", True, frozenset(), frozenset())


@click.group()
def devices() -> None:
    """Write devices to CSV files and read them back."""


@devices.command("export")
@ini_argument
@click.argument("file", type=click.File("wb"), default="-")
@click.option("--organization", metavar="SLUG", help="Only the devices of this organization.")
def export_devices(ini: Ini, file: BinaryIO, organization: str | None) -> None:
    """Write all devices to FILE (by default to standard output), the newest first.

    The file can be imported again, here or elsewhere: ids and keys stay. It holds the keys and variables of the
    devices, so keep it as safe as the database. Cells that a spreadsheet would take for formulas begin with an
    apostrophe, which the import takes away again.
    """
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        wanted = sa.select(Device.id)
        if organization is not None:
            with runtime.session_factory() as session:
                id = session.scalar(sa.select(Organization.id).where(Organization.slug == organization))
            if id is None:
                raise click.ClickException(f"there is no organization {organization!r}")
            wanted = wanted.where(Device.organization_id == id)
        for piece in write_rows(runtime.session_factory, wanted):
            file.write(piece)


@devices.command("import")
@ini_argument
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Say what would happen and keep nothing.")
def import_devices(ini: Ini, file: BinaryIO, dry_run: bool) -> None:
    """Make and change devices as the rows of FILE say ("-" for standard input).

    A row with the id of a device changes it, any other makes one: name, mac_address and organization_id are enough.
    The first line names the columns; `guywire devices export` writes all that there are. Rows are imported a hundred
    at a time. Those that are wrong are listed, each with its line, and nothing of them is kept; the others stay.
    """
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        importer = DeviceImport(runtime, _OURSELVES)
        counts: Counter[str] = Counter()
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            rows = _rows(progress.wrap_file(file, total=_size(file), description="Importing"))
            for outcomes in importer.rehearse(rows) if dry_run else importer.in_batches(rows):
                counts.update(each.result for each in outcomes)
                for each in outcomes:
                    if each.result == FAILED:
                        console.print(_complaint(each), markup=False, highlight=False, soft_wrap=True)
    summary = ", ".join(f"{result}: {counts[result]}" for result in (CREATED, UPDATED, UNCHANGED, FAILED))
    click.echo(f"{summary} (dry run: nothing is kept)" if dry_run else summary)
    if counts[FAILED]:
        raise click.exceptions.Exit(1)


def _rows(file: Any) -> Iterator[Row]:
    try:
        yield from read_rows(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
    except FileInvalid as invalid:
        raise click.ClickException(str(invalid)) from None
    except UnicodeDecodeError:
        raise click.ClickException("the file is not UTF-8; what is above the place has been imported") from None


def _size(file: BinaryIO) -> int | None:
    if not file.seekable():
        return None
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def _complaint(outcome: Outcome) -> str:
    reasons = "; ".join(f"{column}: {' '.join(messages)}" for column, messages in outcome.errors.items())
    return f"line {outcome.line} ({outcome.name}): {reasons}"
