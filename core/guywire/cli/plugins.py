"""The command ``guywire plugins``: what is loaded, and what each plugin does."""

from __future__ import annotations

from importlib.metadata import entry_points
from types import ModuleType

import click
from rich.console import Console
from rich.table import Table

import guywire
from guywire.builtin import BUILTIN
from guywire.cli.ini import Ini, ini_argument
from guywire.plugin import PluginHost, load_plugins
from guywire.registry import Registry


@click.command()
@ini_argument
def plugins(ini: Ini) -> None:
    """List the plugins: name, version, module, and the hooks that each implements.

    guywire.plugins.blocked in INI leaves plugins out.
    """
    settings = ini.settings()
    host = load_plugins(BUILTIN, settings.plugins_blocked)
    Registry(host)  # says what does not go together
    table = Table("plugin", "version", "module", "hooks", box=None, pad_edge=False)
    versions = {point.name: point.dist.version for point in entry_points(group="guywire") if point.dist is not None}
    for name in host.names():
        plugin = host.manager.get_plugin(name)
        module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
        table.add_row(name, versions.get(name, guywire.__version__), module, "\n".join(_hooks(host, name)))
    for name in sorted(settings.plugins_blocked):
        table.add_row(name, versions.get(name, guywire.__version__), "blocked", "")
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # for grep: nothing is cut off
    console.print(table)


def _hooks(host: PluginHost, name: str) -> list[str]:
    plugin = host.manager.get_plugin(name)
    return sorted(caller.name for caller in host.manager.get_hookcallers(plugin) or ())
