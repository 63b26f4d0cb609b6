"""All commands together: ``guywire`` and its groups."""

from __future__ import annotations

import click

import guywire
from guywire.cli.check import check
from guywire.cli.database import bootstrap, init, migrate
from guywire.cli.devices import devices
from guywire.cli.failures import CommandGroup
from guywire.cli.jobs import jobs
from guywire.cli.keys import keys
from guywire.cli.plugins import plugins
from guywire.cli.render import render
from guywire.cli.serve import serve
from guywire.cli.users import user
from guywire.cli.worker import worker


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(guywire.__version__, prog_name="guywire")
def main() -> None:
    """Manage fleets of network devices.

    Most commands take a paste configuration file (INI): development.ini and production.ini are examples. Settings in
    it are overridden by the environment variables GUYWIRE_SQLALCHEMY_URL, GUYWIRE_DATA_DIR and GUYWIRE_HTTP_PORT; the
    key ring may come from GUYWIRE_KEY_RING.

    A new installation: guywire init INI, then guywire serve INI.
    """


for _command in (init, migrate, bootstrap, user, devices, serve, worker, jobs, check, keys, plugins, render):
    main.add_command(_command)
