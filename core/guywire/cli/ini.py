"""The INI argument: reads the settings of a paste configuration and builds what a command needs from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import plaster

from guywire import migration
from guywire.builtin import BUILTIN
from guywire.logconfig import configure_logging
from guywire.runtime import Runtime, create_runtime
from guywire.settings import Settings


@dataclass(frozen=True)
class Ini:
    """A paste configuration: ``path`` of a file, or ``path#name`` for another section than ``[app:main]``."""

    uri: str

    def __str__(self) -> str:
        return self.uri

    def settings(self) -> Settings:
        """The settings in the application's section, overridden by the environment. Raises SettingInvalid."""
        loader = self._loader()
        return Settings.from_mapping(loader.get_wsgi_app_settings(self._application(loader)))

    def application(self) -> Any:
        """The WSGI application, with whatever filters the file puts around it."""
        return self._loader().get_wsgi_app()

    def _loader(self) -> Any:
        return plaster.get_loader(self.uri, protocols=["wsgi"])

    def _application(self, loader: Any) -> str | None:
        """Which section holds the settings: in a pipeline, that of its last part."""
        name = plaster.parse_uri(self.uri).fragment or "main"
        pipeline = f"pipeline:{name}"
        if pipeline not in loader.get_sections():
            return None
        return str(loader.get_settings(pipeline)["pipeline"].split()[-1])


class IniParameter(click.ParamType):
    """A path of an ini file, perhaps with ``#section``."""

    name = "ini"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Ini:
        """Refuse a file that is not there in the command line's own words."""
        path = Path(str(value).partition("#")[0])
        if not path.is_file():
            self.fail(f"there is no file {str(path)!r}; development.ini and production.ini are examples", param, ctx)
        return Ini(str(value))


ini_argument = click.argument("ini", type=IniParameter(), metavar="INI")
"""The argument that nearly every command begins with."""


@contextmanager
def opened(ini: Ini, settings: Settings | None = None) -> Iterator[Runtime]:
    """Settings, plugins and database for the time of a command."""
    settings = ini.settings() if settings is None else settings
    configure_logging(settings)
    runtime = create_runtime(settings, BUILTIN)
    try:
        yield runtime
    finally:
        runtime.close()


def require_migrated(runtime: Runtime, ini: Ini) -> None:
    """Refuse to go on with tables that are not up to date."""
    waiting = migration.pending(runtime.engine, runtime.registry)
    if waiting:
        raise click.ClickException(
            f"the database is not up to date (waiting: {', '.join(waiting)}). Run: guywire migrate {ini}"
        )
