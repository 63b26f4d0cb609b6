"""Imports only point down: the floors of the core, without circles, and never from the core to a plugin.

Read from the source, so that imports under ``TYPE_CHECKING`` and inside functions count as well. This is the map of
the floors: a new module of the core has to be entered here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core"

FLOORS: list[set[str]] = [
    {"hookspecs", "interfaces", "events"},
    {"db", "settings", "errors", "jobs", "sealing", "keyring_file", "passwords", "archive", "logconfig", "tracebacks"},
    {"models", "migrations"},
    {"plugin", "registry", "security"},
    {"renderer", "queue", "meta_data", "migration"},
    {"runtime"},
    {"services", "backends"},
    {"api", "controller", "browsable", "openapi", "requests", "csrf", "forwarding"},
    {"builtin", "app", "cli", "celery", "testing"},
]

PUBLIC = {
    *("hookspecs", "interfaces", "events", "db", "settings", "errors", "jobs", "sealing", "archive", "models"),
    *("plugin", "registry", "security", "queue", "runtime", "services", "backends", "api", "browsable", "tracebacks"),
}
"""The rooms of the core that plugins build on. The rest is how the core does what it does."""

ROOMS = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


@cache
def modules() -> dict[str, Path]:
    """The modules of the core and their files."""
    found = {}
    for path in sorted((CORE / "guywire").rglob("*.py")):
        parts = path.relative_to(CORE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """A module's syntax, read once."""
    return ast.parse(path.read_text())


def without_words(paths: Iterable[Path]) -> list[str]:
    """The modules that do not say what they are. Empty ones need not."""
    return [str(path) for path in paths if path.read_text().strip() and not ast.get_docstring(tree(path))]


@cache
def imports(module: str) -> list[str]:
    """The modules that ``module`` imports, of whatever package."""
    return list(_imports(module))


def _imports(module: str) -> Iterator[str]:
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                # ``from guywire import api`` means the module, ``from guywire import hookimpl`` the package itself.
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules() else base


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def own_imports(module: str) -> set[str]:
    """What ``module`` imports of the core, itself and the package's front door left out."""
    names = {name for name in imports(module) if name in modules()}
    return names - {module, "guywire"}


def test_every_module_has_its_floor() -> None:
    assert {room_of(module) for module in modules()} - {""} == set(ROOMS)


def test_the_front_door_imports_no_room() -> None:
    assert own_imports("guywire") == set()


def test_imports_point_down() -> None:
    upwards = [
        f"{module} (floor {ROOMS[room_of(module)]}) imports {name} from above"
        for module in modules()
        if module != "guywire"
        for name in sorted(own_imports(module))
        if ROOMS[room_of(name)] > ROOMS[room_of(module)]
    ]
    assert not upwards, "\n".join(upwards)


def test_no_circles() -> None:
    # A package's front door may gather its modules; a module that asks the door of its own package closes a circle.
    try:
        TopologicalSorter({module: own_imports(module) for module in modules()}).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' → '.join(reversed(error.args[1]))}")


def test_the_core_imports_no_plugin() -> None:
    # A plugin's package is called guywire_<name>.
    assert not [(module, name) for module in modules() for name in imports(module) if name.startswith("guywire_")]


def test_every_module_says_what_it_is() -> None:
    assert not without_words(modules().values())


# The plugins in this tree


@cache
def plugin_modules() -> dict[str, Path]:
    """The modules of all plugins and their files."""
    found = {}
    for root in sorted(ROOT.glob("plugins/*/guywire_*")):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of_plugin(module: str) -> Iterator[str]:
    """The modules that a plugin's module imports; relative imports are its own."""
    for node in ast.walk(tree(plugin_modules()[module])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            base = node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules() or inner in plugin_modules() else base


def test_plugins_build_on_the_public_rooms_of_the_core_and_on_no_other_plugin() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in plugin_modules()
        for name in imports_of_plugin(module)
        if _is_out_of_bounds(module.split(".")[0], name)
    ]
    assert not wrong, "\n".join(wrong)


def _is_out_of_bounds(own: str, name: str) -> bool:
    package, _, rest = name.partition(".")
    if package == "guywire" and rest:
        return rest.split(".")[0] not in PUBLIC
    return package != own and package.startswith("guywire_")


def test_no_circles_in_plugins() -> None:
    graph = {
        module: {name for name in imports_of_plugin(module) if name in plugin_modules()}
        - {module, module.split(".")[0]}
        for module in plugin_modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' → '.join(reversed(error.args[1]))}")


def test_every_module_of_a_plugin_says_what_it_is() -> None:
    assert not without_words(plugin_modules().values())
