"""The command ``guywire render``: a configuration's files, without any database."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import click
import yaml

from guywire import archive
from guywire.builtin import BUILTIN
from guywire.interfaces import ArchiveFile
from guywire.plugin import load_plugins
from guywire.registry import Registry

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("configuration", type=_file)
@click.option(
    "--template", "templates", multiple=True, type=_file, metavar="FILE", help="A template below; later ones win."
)
@click.option("--context", type=_file, metavar="FILE", help="Variables, as a mapping.")
@click.option("--set", "variables", multiple=True, metavar="NAME=VALUE", help="One variable; wins over --context.")
@click.option("--backend", default="netjsonconfig.OpenWrt", show_default=True, help="Which kind of router.")
@click.option("--os", "device_os", default="", metavar="TEXT", help='The device\'s system, e.g. "OpenWrt 19.07".')
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Write the files to this folder.")
@click.option("--archive", "tarball", type=click.Path(dir_okay=False, path_type=Path), help="Write the tar.gz.")
def render(
    configuration: Path,
    templates: tuple[Path, ...],
    context: Path | None,
    variables: tuple[str, ...],
    backend: str,
    device_os: str,
    output: Path | None,
    tarball: Path | None,
) -> None:
    """Turn CONFIGURATION, a NetJSON document in JSON or YAML, into the files of a router.

    Prints them, or writes them to --output or --archive. --template and --set may be given several times. Needs
    neither INI nor database: the global variables, and what guywire knows of a device (id, key, name, mac_address),
    have to be given as variables.
    """
    backends = Registry(load_plugins(BUILTIN)).config_backends
    if backend not in backends:
        raise click.ClickException(f"there is no backend {backend!r}; there are: {', '.join(sorted(backends))}")
    values = _read(context) if context is not None else {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not equals:
            raise click.ClickException(f"--set {variable}: not of the form NAME=VALUE")
        values[name] = value
    files = backends[backend].render(
        _read(configuration), [_read(template) for template in templates], values, device_os
    )
    if tarball is not None:
        tarball.write_bytes(archive.compress(archive.pack(files)))
        click.echo(tarball)
    if output is not None:
        _write(files, output)
    elif tarball is None:
        _print(files)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise click.ClickException(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"{path}: not a mapping")
    return document


def _write(files: list[ArchiveFile], folder: Path) -> None:
    for file in files:
        relative = PurePosixPath(file.path.lstrip("/"))
        if ".." in relative.parts:
            raise click.ClickException(f"{file.path}: would be written outside of {folder}")
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
        click.echo(target)


def _print(files: list[ArchiveFile]) -> None:
    for file in files:
        click.secho(f"# /{file.path.lstrip('/')} ({file.mode:04o})", bold=True)
        click.echo(file.content.decode(errors="replace"))
