"""What is distributed: the packages, what a wheel holds, and the ini files that come with it."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import fields
from email import message_from_bytes
from pathlib import Path

import guywire
import pytest
from guywire.cli.ini import Ini
from guywire.settings import Settings, _ini_key

ROOT = Path(__file__).parent.parent


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def source_roots() -> dict[str, Path]:
    """The top-level packages of the distribution, by import name."""
    roots = {"guywire": ROOT / "core/guywire"}
    roots |= {path.name: path for path in sorted(ROOT.glob("plugins/*/guywire_*")) if path.is_dir()}
    return roots


def test_every_package_is_listed() -> None:
    there = set()
    for name, root in source_roots().items():
        for init in root.rglob("__init__.py"):
            there.add(".".join((name, *init.parent.relative_to(root).parts)))
    assert set(setup_cfg()["options"]["packages"].split()) == there
    lines = setup_cfg()["options"]["package_dir"].strip().splitlines()
    listed = {name.strip(): path.strip() for name, _, path in (line.partition("=") for line in lines)}
    assert listed == {name: str(root.relative_to(ROOT)) for name, root in source_roots().items()}


def test_every_folder_of_modules_is_a_package() -> None:
    for root in source_roots().values():
        for module in root.rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the tree as it is, built in a copy that is left nothing behind of."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tree)
    for name in ("core", "plugins"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    built = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from setuptools import build_meta; build_meta.build_wheel('.')"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    [path] = tree.glob("*.whl")
    return path


def test_a_wheel_holds_every_source_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = set()
    for name, root in source_roots().items():
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                there.add("/".join((name, *path.relative_to(root).parts)))
    assert inside == there


def test_a_wheel_says_who_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [entry_points] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(entry_points).decode())
        headers = message_from_bytes(archive.read(metadata))
    assert dict(parser["console_scripts"]) == {"guywire": "guywire.cli:main"}
    assert dict(parser["paste.app_factory"]) == {"main": "guywire.app:main"}
    assert dict(parser["paste.server_runner"]) == {"main": "guywire.cli.pserve:serve_alone"}
    assert headers["Version"] == guywire.__version__
    assert headers["License"] == "GPL-3.0-or-later"
    assert headers["Requires-Python"] == ">=3.11"


def test_a_wheel_works_without_the_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    ini = tmp_path / "production.ini"
    ini.write_text("[app:main]\nuse = egg:guywire\nsqlalchemy.url = sqlite:///%(here)s/guywire.sqlite\n")
    # Only what is in the wheel may be found as guywire: an editable installation would stand in for what is missing.
    program = (
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__ + repr(f)];"
        "import guywire; assert guywire.__file__.startswith(sys.path[0]), guywire.__file__;"
        "from guywire.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {program}", "migrate", str(ini)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "GUYWIRE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "migrated: core:core_0001" in result.stdout


# The ini files


@pytest.mark.parametrize("name", ["development.ini", "production.ini"])
def test_the_ini_files_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GUYWIRE_SQLALCHEMY_URL", "GUYWIRE_DATA_DIR", "GUYWIRE_HTTP_PORT"):
        monkeypatch.delenv(variable, raising=False)
    settings = Ini(str(ROOT / name)).settings()
    assert settings.production == (name == "production.ini")
    assert settings.log_format == ("json" if settings.production else "console")
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 6543)
    if settings.production:
        assert settings.sqlalchemy_url.startswith("postgresql+psycopg://")
        assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "::1/128"]
    else:
        assert settings.sqlalchemy_url == f"sqlite:///{ROOT}/var/guywire.sqlite"
        assert settings.data_dir == ROOT / "var"


@pytest.mark.parametrize("name", ["development.ini", "production.ini"])
def test_the_ini_files_name_every_setting(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    named = {line.lstrip("# ").partition("=")[0].strip() for line in lines if "=" in line}
    assert {_ini_key(field.name) for field in fields(Settings) if field.name != "of_plugins"} <= named


def test_what_is_commented_out_in_production_is_the_default() -> None:
    defaults = {_ini_key(field.name): getattr(Settings(), field.name) for field in fields(Settings)}
    for line in (ROOT / "production.ini").read_text().splitlines():
        key, equals, value = line.removeprefix("# ").partition(" = ")
        if line.startswith("# ") and equals and key in defaults:
            assert getattr(Settings.from_mapping({key: value}, {}), _field_name(key)) == defaults[key], key


def _field_name(key: str) -> str:
    return next(field.name for field in fields(Settings) if _ini_key(field.name) == key)


# The lock


def test_the_lock_covers_the_requirements() -> None:
    names = {
        line.partition("==")[0].lower().replace("_", "-").replace(".", "-")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    options = setup_cfg()
    wanted = options["options"]["install_requires"] + "".join(options["options.extras_require"].values())
    for line in wanted.split("\n"):
        name = line.strip()
        for mark in "[<>=~! ":
            name = name.partition(mark)[0]
        if name:
            assert name.lower().replace("_", "-").replace(".", "-") in names, line
