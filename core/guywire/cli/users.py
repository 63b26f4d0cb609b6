"""Commands for users: user add, user passwd."""

from __future__ import annotations

import sys
from typing import Any

import click
import sqlalchemy as sa

from guywire.cli.ini import Ini, ini_argument, opened, require_migrated
from guywire.db import writing
from guywire.models import User
from guywire.services.accounts import set_password
from guywire.services.bootstrap import load_document
from guywire.services.users import end_logins

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input; do not ask."
)


@click.group()
def user() -> None:
    """Make users and change their passwords."""


@user.command()
@ini_argument
@click.argument("username")
@click.option("--email", help="The user's e-mail address; it serves for logging in as well.")
@click.option("--superuser", is_flag=True, help="May do everything in every organization.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Put the user into a group, e.g. Operator.")
@click.option(
    "--manager-of", multiple=True, metavar="SLUG", help="Make the user a manager of the organization with this slug."
)
@_password_option
def add(ini: Ini, username: str, superuser: bool, password_stdin: bool, **fields: Any) -> None:
    """Make the user USERNAME and ask for a password.

    --group and --manager-of may be given several times.
    """
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        with runtime.session_factory() as session:
            _refuse_existing(session, username, fields["email"])
        fields["password"] = _read_password(password_stdin)
        fields["is_superuser"] = superuser
        given = {name: value for name, value in fields.items() if value is not None}
        with writing(runtime.session_factory) as session:
            _refuse_existing(session, username, fields["email"])
            load_document(session, runtime.key_ring, {"users": {username: given}}, runtime.clock())
    click.echo(f"user {username}: created")


def _refuse_existing(session: Any, username: str, email: str | None) -> None:
    if session.scalar(sa.select(User.id).where(User.username == username)):
        raise click.ClickException(f"there is a user {username!r} already; `guywire user passwd` changes the password")
    if email and session.scalar(sa.select(User.id).where(sa.func.lower(User.email) == email.lower())):
        raise click.ClickException(f"another user has the e-mail address {email!r}")


@user.command()
@ini_argument
@click.argument("username")
@_password_option
def passwd(ini: Ini, username: str, password_stdin: bool) -> None:
    """Give the user USERNAME another password.

    What the old one opened ends: the sessions of browsers and the bearer token. API keys stay.
    """
    with opened(ini) as runtime:
        require_migrated(runtime, ini)
        with runtime.session_factory() as session:
            if session.scalar(sa.select(User.id).where(User.username == username)) is None:
                raise click.ClickException(f"there is no user {username!r}")
        password = _read_password(password_stdin)
        with writing(runtime.session_factory) as session:
            found = session.scalars(sa.select(User).where(User.username == username)).one()
            set_password(found, password, runtime.clock())
            end_logins(session, found.id)
    click.echo(f"user {username}: password changed")


def _read_password(from_stdin: bool) -> str:
    password = (
        sys.stdin.readline().rstrip("\r\n")
        if from_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    if not password:
        raise click.ClickException("an empty password would let nobody in")
    return str(password)
