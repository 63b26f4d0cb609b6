"""Commands for background jobs: jobs list, jobs retry, jobs cancel."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import click
import sqlalchemy as sa
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from sqlalchemy.orm import Session

from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.db import reading, writing
from guywire.errors import Conflict
from guywire.models import JobRecord, Organization
from guywire.models.job import JOB_STATES, RUNNING, WAITING
from guywire.queue import care
from guywire.queue.progress import estimated_end, rate_of
from guywire.runtime import Runtime

_PAUSE = 1.0
_WIDE = 140
"""Columns of a terminal in which a job has room in one line."""


@click.group()
def jobs() -> None:
    """Show background jobs, give them up, or have them tried again."""


@jobs.command("list")
@ini_argument
@click.option("--state", type=click.Choice(JOB_STATES), help="Only jobs in this state.")
@click.option("--name", help="Only this kind of job.")
@click.option("--organization", metavar="SLUG", help="Only jobs of this organization.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show so many, the newest.")
@click.option("--watch", is_flag=True, help="Keep showing how far they have got, until Ctrl-C.")
def list_jobs(ini: Ini, state: str | None, name: str | None, organization: str | None, limit: int, watch: bool) -> None:
    """List the jobs that wait, run, or have ended not long ago: how much is done, how fast, and when it will be all.

    What has failed is kept for guywire.job_retention seconds, and so is what has shown its progress. Small jobs that
    went well are not kept.
    """
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        wanted = _wanted(runtime, state, name, organization).limit(limit)
        console = Console()
        if not console.is_terminal:
            console = Console(width=200)  # for grep: nothing is cut off
        if not watch:
            console.print(_table(_read(runtime, wanted), console.width))
            return
        if not console.is_terminal:
            with suppress(KeyboardInterrupt):
                _follow(lambda: _read(runtime, wanted))
            return
        with suppress(KeyboardInterrupt):
            _watch(console, lambda: _read(runtime, wanted))
        console.print(_table(_read(runtime, wanted), console.width))


def _watch(console: Console, read: Callable[[], list[JobRecord]]) -> None:
    """Bars and a table that change in their place."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            rows = read()
            live.update(Group(_bars(rows), _table(rows, console.width)), refresh=True)
            time.sleep(_PAUSE)


def _follow(read: Callable[[], list[JobRecord]]) -> None:
    """Where nothing can be changed in its place: a line for each job, and another one whenever there is news of it."""
    told: dict[uuid.UUID, tuple[object, ...]] = {}
    while True:
        for job in reversed(read()):
            news = (_state(job), job.done, job.error)
            if told.get(job.id) != news:
                told[job.id] = news
                about = (str(job.id), job.label, news[0], *_progress(job), job.error)
                click.echo("  ".join(str(each) for each in about if each))
        time.sleep(_PAUSE)


@jobs.command()
@ini_argument
@click.argument("id", type=click.UUID)
def retry(ini: Ini, id: uuid.UUID) -> None:
    """Have the job ID, which failed or was cancelled, tried again."""
    _change(ini, id, "waits again", lambda runtime, session, job: care.retry(session, job, runtime.clock()))


@jobs.command()
@ini_argument
@click.argument("id", type=click.UUID)
def cancel(ini: Ini, id: uuid.UUID) -> None:
    """Give up the job ID, which waits. What the database says is still to be done is asked for again by itself."""
    _change(ini, id, "is cancelled", lambda runtime, session, job: care.cancel(job, runtime.clock()))


def _change(ini: Ini, id: uuid.UUID, outcome: str, change: Callable[[Runtime, Session, JobRecord], None]) -> None:
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        with writing(runtime.session_factory) as session:
            job = session.scalars(sa.select(JobRecord).where(JobRecord.id == id).with_for_update()).first()
            if job is None:
                raise click.ClickException(f"there is no job {id}; guywire jobs list {ini} shows those that there are")
            try:
                change(runtime, session, job)
            except Conflict as conflict:
                raise click.ClickException(str(conflict.body["detail"])) from None
        click.echo(f"{job.label}: {outcome}.")


def _wanted(runtime: Runtime, state: str | None, name: str | None, organization: str | None) -> sa.Select[JobRecord]:
    query = sa.select(JobRecord)
    if state is not None:
        query = query.where(JobRecord.state == state)
    if name is not None:
        query = query.where(JobRecord.name == name)
    if organization is not None:
        with reading(runtime.session_factory) as session:
            id = session.scalar(sa.select(Organization.id).where(Organization.slug == organization))
        if id is None:
            raise click.ClickException(f"there is no organization {organization!r}")
        query = query.where(JobRecord.organization_id == id)
    # What people want to see first, even if thousands of small ones came after it.
    is_watched = sa.and_(JobRecord.state == RUNNING, JobRecord.total.is_not(None))
    return query.order_by(sa.case((is_watched, 0), else_=1), JobRecord.created.desc(), JobRecord.number.desc())


def _read(runtime: Runtime, wanted: sa.Select[JobRecord]) -> list[JobRecord]:
    with reading(runtime.session_factory) as session:
        return list(session.scalars(wanted))


def _table(rows: list[JobRecord], width: int) -> Table:
    """One line for each job; two where the id, which other commands need, would be cut off."""
    if width < _WIDE:
        table = Table("job", "state", "created", "error", box=None, pad_edge=False)
        for job in rows:
            done, rate, end = _progress(job)
            state = f"{_state(job)} {done}".rstrip()
            until = f"until {end}" if end else ""
            table.add_row(
                f"{job.label}\n{job.id}", f"{state}\n{rate} {until}".rstrip(), _moment(job.created), job.error
            )
        return table
    table = Table("id", "job", "state", "done", "rate", "estimate", "created", "error", box=None, pad_edge=False)
    for job in rows:
        table.add_row(str(job.id), job.label, _state(job), *_progress(job), _moment(job.created), job.error)
    return table


def _progress(job: JobRecord) -> tuple[str, str, str]:
    """How much is done, how fast, and when it will be all."""
    rate = rate_of(job)
    done = "" if job.total is None else f"{job.done}/{job.total}"
    return done, "" if rate is None else f"{rate:.4g}/s", _moment(estimated_end(job))


def _bars(rows: list[JobRecord]) -> Progress:
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[end]}")
    )
    for job in rows:
        if job.state == RUNNING and job.total is not None:
            end = _moment(estimated_end(job))
            bars.add_task(job.label, total=job.total, completed=job.done, end=end and f"until {end}")
    return bars


def _state(job: JobRecord) -> str:
    return f"{job.state} (attempt {job.attempts + 1})" if job.state == WAITING and job.attempts else job.state


def _moment(moment: datetime | None) -> str:
    """In UTC, as in the API; a full date only where it is not today's."""
    if moment is None:
        return ""
    return f"{moment:%H:%M:%S}" if moment.date() == datetime.now(UTC).date() else f"{moment:%Y-%m-%d %H:%M:%S}"
