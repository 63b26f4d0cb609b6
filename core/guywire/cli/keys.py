"""Commands for the key ring: keys create, keys rotate."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.keyring_file import ENVIRONMENT, create_key_ring, key_ring_path, replace_key_ring
from guywire.runtime import Runtime
from guywire.sealing import KeyRing
from guywire.services import resealing, sealed_columns


@click.group()
def keys() -> None:
    """Make the key ring that seals the secrets in the database, and change its keys."""


@keys.command()
@ini_argument
def create(ini: Ini) -> None:
    """Make the key ring of a new installation: key-ring.json in guywire.data_dir.

    Keep a copy in another place than the backups of the database: without it nobody, you included, can read the
    secrets in them. An existing key ring is left alone.
    """
    if os.environ.get(ENVIRONMENT):
        raise click.ClickException(f"{ENVIRONMENT} holds the key ring; a file would not be used")
    path = key_ring_path(ini.settings())
    if path.exists():
        click.echo(f"{path} is there already; it was not changed.")
        return
    create_key_ring(path)
    click.echo(f"{path} was made. Keep a copy of it apart from the backups of the database.")


@keys.command()
@ini_argument
@click.option("--keep-old-keys", is_flag=True, help="Seal everything anew, but let the ring keep the old keys as well.")
def rotate(ini: Ini, keep_old_keys: bool) -> None:
    """Put a new key in front of the ring, seal every secret with it, then drop the old keys.

    Servers and workers on this host may go on: they follow the key ring file. Those on other hosts have a copy of it
    and must stand still, see the documentation. It can be interrupted at any time; the next run goes on where it was.

    A key ring in GUYWIRE_KEY_RING cannot be changed from here: put a new key in front yourself, start all processes
    with the longer ring, run this, and take the old keys out.
    """
    settings = ini.settings()
    path = key_ring_path(settings)
    from_environment = bool(os.environ.get(ENVIRONMENT))
    with opened(ini, settings) as runtime, _alone(path):
        require_migrated(runtime, ini)
        ring = _prepare(runtime.key_ring, path, from_environment=from_environment)
        if not resealing.wait_for_older_transactions(runtime.engine):
            raise click.ClickException(
                "a transaction in the database lasts too long; nothing is lost, run the command again later"
            )
        _reseal_everything(runtime, ring)
        if from_environment:
            click.echo(f"Everything is sealed with the first key. Take the other keys out of {ENVIRONMENT}.")
        elif keep_old_keys:
            click.echo(f"Everything is sealed with the first key. {path} keeps the old keys as well.")
        else:
            replace_key_ring(path, ring.without_old_keys())
            click.echo(f"Everything is sealed with the new key. {path} holds no other.")


def _prepare(ring: KeyRing, path: Path, *, from_environment: bool) -> KeyRing:
    """The ring with the key in front that everything is to be sealed with."""
    if ring.has_old_keys:
        if not from_environment:
            click.echo("The ring holds old keys: going on with the rotation that was begun.")
        return ring
    if from_environment:
        raise click.ClickException(
            f'{ENVIRONMENT} holds one key only. Put a new one in front of it in the list "keys" '
            "(32 random bytes in base64: openssl rand -base64 32), restart everything, and run this again"
        )
    ring = ring.rotated()
    replace_key_ring(path, ring)
    click.echo(f"{path} has a new first key.")
    return ring


def _reseal_everything(runtime: Runtime, ring: KeyRing) -> None:
    """Raises ClickException when something is left that needs an old key."""
    strangers = sealed_columns.foreign_owners(runtime.engine, runtime.registry)
    if strangers:
        raise click.ClickException(
            f"the database has tables of plugins that are not loaded: {', '.join(strangers)}. "
            "Enable them and run this again, or their secrets would be lost"
        )
    columns = list(sealed_columns.sealed_columns(runtime.registry))
    broken: list[str] = []
    with Progress(console=Console(stderr=True)) as progress:
        for column in columns:
            total = sealed_columns.count_old(runtime.engine, ring, column)
            if not total:
                continue
            task = progress.add_task(column.purpose, total=total)
            broken += resealing.reseal(runtime.engine, ring, column, partial(progress.advance, task))
    for line in broken:
        click.echo(f"cannot be opened: {line}", err=True)
    left = sum(sealed_columns.count_old(runtime.engine, ring, column) for column in columns)
    if left:
        raise click.ClickException(f"{left} values are still sealed with old keys; the ring keeps them all")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Refuse to rotate the same ring twice at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException("another `guywire keys rotate` is at work") from None
        yield
