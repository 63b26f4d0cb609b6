"""Commands that prepare the database: init, migrate, bootstrap."""

from __future__ import annotations

import secrets
from pathlib import Path

import click
import sqlalchemy as sa

from guywire import migration
from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.db import writing
from guywire.models import Organization, User
from guywire.runtime import Runtime
from guywire.security import synchronize_permissions
from guywire.services.accounts import create_organization, create_user
from guywire.services.bootstrap import load_document, read_document


@click.command()
@ini_argument
def migrate(ini: Ini) -> None:
    """Bring the tables of guywire and of its plugins up to date.

    Safe to run again, and from several hosts at once: they take turns. All of it is one transaction: a migration that
    fails leaves the database as it was. Permissions that a plugin brings are written down and given to the stock
    groups at the same time.
    """
    with opened(ini) as runtime:
        _migrate(runtime)


def _migrate(runtime: Runtime) -> None:
    revisions = migration.upgrade(runtime.engine, runtime.registry)
    with writing(runtime.session_factory) as session:
        permissions = synchronize_permissions(session, runtime.registry)
    for revision in revisions:
        click.echo(f"migrated: {revision}")
    if permissions:
        click.echo(f"permissions written down: {len(permissions)}")
    if not revisions and not permissions:
        click.echo("The database is up to date.")


@click.command()
@ini_argument
def init(ini: Ini) -> None:
    """Prepare a new installation, or bring an old one up to date.

    Migrates the database. While there is neither an organization nor a user, it makes the organization "default" and
    the superuser "admin" and prints the password and the shared secret, once: they cannot be shown again, only
    replaced.
    """
    with opened(ini) as runtime:
        _migrate(runtime)
        made = _make_first_accounts(runtime)
    if made is None:
        return
    password, shared_secret = made
    click.echo(
        "\nThe first organization and the first user were made. Write these down, they are shown only now:\n\n"
        f"  organization   default\n  shared secret  {shared_secret}\n\n"
        f"  user           admin\n  password       {password}\n"
    )


def _make_first_accounts(runtime: Runtime) -> tuple[str, str] | None:
    """Password and shared secret, or None when somebody is there already."""
    with writing(runtime.session_factory) as session:
        if session.scalar(sa.select(User.id).limit(1)) or session.scalar(sa.select(Organization.id).limit(1)):
            return None
        now = runtime.clock()
        organization = create_organization(session, runtime.key_ring, now, name="default", slug="default")
        password = secrets.token_urlsafe(12)
        create_user(session, now, username="admin", password=password, is_superuser=True, is_staff=True)
        return password, organization.config_settings.shared_secret


@click.command()
@ini_argument
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def bootstrap(ini: Ini, file: Path) -> None:
    """Make organizations and users be as FILE says.

    FILE is YAML or JSON with the keys "organizations" (by slug: id, name, is_active, registration_enabled,
    shared_secret, context) and "users" (by username: id, email, password, is_superuser, token, groups, manager_of);
    all but the names are optional. What the file leaves out stays as it is, so the command can be run again and again.
    """
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        document = read_document(file)
        with writing(runtime.session_factory) as session:
            lines = load_document(session, runtime.key_ring, document, runtime.clock())
    for line in lines or ["Everything is as the file says."]:
        click.echo(line)
