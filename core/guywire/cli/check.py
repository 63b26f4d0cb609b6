"""The command ``guywire check``: looks for what is wrong with an installation and says what to do."""

from __future__ import annotations

import sys

import click

from guywire.cli.checks import examine
from guywire.cli.finding import RIGHT, WRONG, Finding
from guywire.cli.ini import Ini, ini_argument
from guywire.logconfig import configure_logging

_COLOURS = {RIGHT: "green", WRONG: "red"}


@click.command()
@ini_argument
def check(ini: Ini) -> None:
    """Look for trouble: settings, plugins, database, migrations, key ring, clock, worker, configurations that wait.

    Changes nothing. Each line says "ok", "note" (worth knowing) or "WRONG", with advice below. The exit code is 1 when
    something is wrong, so that a monitoring system can run it.
    """
    settings = ini.settings()
    configure_logging(settings)
    findings = examine(settings, str(ini))
    wrong = False
    for finding in findings:
        _print(finding)
        wrong = wrong or finding.level == WRONG
    sys.exit(1 if wrong else 0)


def _print(finding: Finding) -> None:
    label = click.style(f"{finding.level:5}", fg=_COLOURS.get(finding.level, "yellow"))
    click.echo(f"{label}  {finding.subject:15} {finding.text}")
    if finding.advice:
        click.echo(f"{'':23}{finding.advice}")
