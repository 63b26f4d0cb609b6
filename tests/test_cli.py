"""The guywire command: what it does, and what it says when it cannot."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
import structlog
from click.testing import CliRunner, Result
from guywire import hookimpl
from guywire.builtin import BUILTIN
from guywire.cli import main
from guywire.cli.ini import Ini, opened
from guywire.cli.render import _write
from guywire.db import writing
from guywire.interfaces import ArchiveFile, Job
from guywire.logconfig import configure_logging
from guywire.models import Membership, Organization, User
from guywire.passwords import verify_password
from guywire.queue.running import Runner
from guywire.services.heartbeat import note_worker
from guywire.settings import Settings

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "tests/contract/fixture.json"

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GUYWIRE_SQLALCHEMY_URL", "GUYWIRE_DATA_DIR", "GUYWIRE_HTTP_PORT", "GUYWIRE_KEY_RING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Take back what the command does to the logging of its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def write_ini(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "test.ini") -> Path:
        path = tmp_path / name
        path.write_text(
            "\n".join(
                [
                    "[app:main]",
                    "use = egg:guywire",
                    "sqlalchemy.url = sqlite:///%(here)s/guywire.sqlite",
                    "guywire.data_dir = %(here)s",
                    *lines,
                ]
            )
        )
        return path

    return write


@pytest.fixture
def ini(write_ini: Callable[..., Path]) -> Path:
    return write_ini()


def run(*arguments: object, input: str | None = None, code: int = 0) -> str:
    """What the command prints, on both streams."""
    result = CliRunner().invoke(main, [str(each) for each in arguments], input=input)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def runtime_of(ini: Path) -> Any:
    return opened(Ini(str(ini)))


# Preparing the database


def test_migrate_says_what_it_ran_and_runs_it_once(ini: Path) -> None:
    assert "migrated: core:core_0003" in run("migrate", ini)
    assert run("migrate", ini) == "The database is up to date.\n"


def test_init_makes_the_first_accounts_and_shows_them_once(ini: Path) -> None:
    printed = run("init", ini)
    words = dict(line.rsplit(None, 1) for line in printed.splitlines() if line.startswith("  "))
    words = {name.strip(): value for name, value in words.items()}
    assert words["organization"] == "default"
    assert words["user"] == "admin"
    with runtime_of(ini) as runtime, runtime.session_factory() as session:
        admin = session.scalars(sa.select(User)).one()
        assert admin.is_superuser
        assert verify_password(words["password"], admin.password)
        assert session.scalars(sa.select(Organization)).one().config_settings.shared_secret == words["shared secret"]
    assert run("init", ini) == "The database is up to date.\n"


def test_init_leaves_accounts_that_are_there_alone(ini: Path) -> None:
    run("migrate", ini)
    run("bootstrap", ini, FIXTURE)
    assert "admin" not in run("init", ini)


def test_bootstrap_is_idempotent(ini: Path) -> None:
    run("migrate", ini)
    assert run("bootstrap", ini, FIXTURE).splitlines() == [
        "organization org1: created",
        "organization org2: created",
        "user admin: created",
        "user operator: created",
    ]
    assert run("bootstrap", ini, FIXTURE) == "Everything is as the file says.\n"


def test_bootstrap_keeps_nothing_of_a_document_with_a_mistake(ini: Path, tmp_path: Path) -> None:
    run("migrate", ini)
    document = tmp_path / "accounts.yaml"
    document.write_text("organizations: {new: {}}\nusers: {joe: {manager_of: [old]}}\n")
    assert "users.joe.manager_of: there is no organization 'old'" in run("bootstrap", ini, document, code=1)
    with runtime_of(ini) as runtime, runtime.session_factory() as session:
        assert session.scalars(sa.select(Organization)).all() == []


@pytest.mark.parametrize("command", [("bootstrap", FIXTURE), ("user", "add", "joe"), ("user", "passwd", "joe")])
def test_commands_ask_for_migrations_first(ini: Path, command: tuple[object, ...]) -> None:
    name, *rest = command
    arguments = [name, ini, *rest] if name == "bootstrap" else [name, rest[0], ini, *rest[1:]]
    assert f"Run: guywire migrate {ini}" in run(*arguments, code=1)


# Users


def test_user_add_and_passwd(ini: Path) -> None:
    run("migrate", ini)
    run("bootstrap", ini, FIXTURE)
    options = ("--email", "joe@example.org", "--group", "Operator", "--manager-of", "org1", "--manager-of", "org2")
    printed = run("user", "add", ini, "joe", *options, input="Pass-w0rd\nPass-w0rd\n")
    assert "Pass-w0rd" not in printed
    with runtime_of(ini) as runtime, runtime.session_factory() as session:
        joe = session.scalars(sa.select(User).where(User.username == "joe")).one()
        assert (joe.email, joe.is_superuser) == ("joe@example.org", False)
        assert [group.name for group in joe.groups] == ["Operator"]
        assert len(session.scalars(sa.select(Membership).where(Membership.user_id == joe.id)).all()) == 2
        assert verify_password("Pass-w0rd", joe.password)
    run("user", "passwd", ini, "joe", "--password-stdin", input="another\n")
    with runtime_of(ini) as runtime, runtime.session_factory() as session:
        joe = session.scalars(sa.select(User).where(User.username == "joe")).one()
        assert verify_password("another", joe.password)


@pytest.mark.parametrize(
    ("arguments", "input", "message"),
    [
        (("admin",), "", "there is a user 'admin' already"),
        (("joe", "--email", "ADMIN@example.org"), "", "another user has the e-mail address"),
        (("joe", "--group", "Nobody", "--password-stdin"), "x\n", "there is no group 'Nobody'"),
        (("joe", "--manager-of", "org9", "--password-stdin"), "x\n", "there is no organization 'org9'"),
        (("joe", "--password-stdin"), "\n", "an empty password would let nobody in"),
        (("joe",), "", "Aborted"),
    ],
)
def test_user_add_refuses(ini: Path, arguments: tuple[str, ...], input: str, message: str) -> None:
    run("migrate", ini)
    run("bootstrap", ini, FIXTURE)
    assert message in run("user", "add", ini, *arguments, input=input, code=1)
    assert "there is no user 'joe'" in run("user", "passwd", ini, "joe", code=1)


# What goes wrong


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["guywire.prodction = true"], "guywire.prodction: no such setting; did you mean guywire.production?"),
        (["guywire.http_port = http"], "guywire.http_port: 'http' is not a whole number"),
        (["guywire.log_level = loud"], "guywire.log_level: 'loud' is none of DEBUG"),
        (["guywire.production = true"], "guywire keys create"),
        (["guywire.plugins.blocked = weather"], "guywire.plugins.blocked names unknown plugins: weather"),
        (["sqlalchemy.url = nonsense"], "sqlalchemy.url: "),
        (["sqlalchemy.url = mysql://host/name"], "sqlalchemy.url: "),
        (["sqlalchemy.url = postgresql+psycopg://u:secret@127.0.0.1:1/x"], "the database is busy or away"),
        (["sqlalchemy.url = sqlite:////proc/here/guywire.sqlite"], "/proc/here: No such file or directory"),
        (["use = egg:nothing-of-this-name"], "the ini file does not say what to run"),
        (["not an option"], "the ini file cannot be read"),
    ],
)
def test_mistakes_in_the_ini_become_a_sentence(write_ini: Callable[..., Path], lines: list[str], message: str) -> None:
    path = write_ini(*lines)
    # Options given twice are an error of their own.
    given = {line.partition("=")[0].strip() for line in lines}
    text = [
        line for line in path.read_text().splitlines() if line.partition("=")[0].strip() not in given or line in lines
    ]
    path.write_text("\n".join(text))
    printed = run("migrate", path, code=1)
    assert printed.startswith("Error: ")
    assert message in printed
    assert "secret" not in printed


def test_a_missing_ini_and_a_missing_section(tmp_path: Path) -> None:
    assert "there is no file" in run("migrate", tmp_path / "none.ini", code=2)
    empty = tmp_path / "empty.ini"
    empty.write_text("[app:other]\nuse = egg:guywire\n")
    assert "the ini file does not say what to run" in run("migrate", empty, code=1)


def test_a_foreign_key_ring_is_told_apart(ini: Path) -> None:
    run("init", ini)
    ini.with_name("key-ring.json").write_text(json.dumps({"keys": [], "lookup_key": ""}))
    assert "this is not a key ring" in run("migrate", ini, code=1)
    ini.with_name("key-ring.json").unlink()
    run("keys", "create", ini)
    printed = run("check", ini, code=1)
    assert "WRONG  secrets" in printed
    assert "Put back the key ring" in printed


def test_a_database_of_a_newer_guywire(ini: Path) -> None:
    run("migrate", ini)
    with runtime_of(ini) as runtime, runtime.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version_core SET version_num = 'core_9999'"))
    assert "Was this database used by a newer guywire" in run("migrate", ini, code=1)


def test_another_section_and_a_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "several.ini"
    path.write_text(
        "[pipeline:main]\npipeline = filter guywire\n"
        "[filter:filter]\npaste.filter_factory = test_cli:make_filter\n"
        "[app:guywire]\nuse = egg:guywire\nguywire.page_size = 7\n"
        "[app:other]\nuse = egg:guywire\nguywire.page_size = 8\n"
    )
    assert Ini(str(path)).settings().page_size == 7
    assert Ini(f"{path}#other").settings().page_size == 8


def test_the_environment_overrides_the_ini(ini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUYWIRE_DATA_DIR", str(tmp_path / "elsewhere"))
    run("migrate", ini)
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["guywire.sqlite", "key-ring.json"]


# check


def test_check_finds_nothing_wrong(ini: Path) -> None:
    run("init", ini)
    printed = run("check", ini)
    assert "ok     database" in printed
    assert "note   worker          none has been seen yet" in printed
    with runtime_of(ini) as runtime, writing(runtime.session_factory) as session:
        note_worker(session, datetime.now(UTC))
    assert "ok     worker          seen" in run("check", ini)


def test_check_advises(ini: Path) -> None:
    printed = run("check", ini, code=1)
    assert "note   key ring" in printed
    assert f"Run: guywire migrate {ini}" in printed
    assert not ini.with_name("key-ring.json").exists(), "looking changes nothing"
    run("init", ini)
    ini.with_name("key-ring.json").chmod(0o644)
    assert "WRONG  key ring        others may read" in run("check", ini, code=1)


def test_check_sees_a_worker_that_is_gone_and_a_clock_that_was_set_back(ini: Path) -> None:
    run("init", ini)
    with runtime_of(ini) as runtime:
        with writing(runtime.session_factory) as session:
            note_worker(session, datetime.now(UTC) - timedelta(hours=1))
        assert "note   worker          last seen" in run("check", ini)
        runtime.queue.enqueue("render")
        assert "WRONG  worker          last seen" in run("check", ini, code=1)
        with writing(runtime.session_factory) as session:
            note_worker(session, datetime.now(UTC) + timedelta(hours=1))
        assert "WRONG  clock" in run("check", ini, code=1)


def test_jobs_are_shown_given_up_and_tried_again(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("init", ini)
    with runtime_of(ini) as runtime:
        runtime.queue.enqueue("count", label="Count the lamps")
        job = runtime.queue.claim()
        job.started, job.reported, job.done, job.total = job.started, job.started + timedelta(seconds=2), 5, 10
        runtime.queue.finish(job)
        runtime.queue.enqueue("wait", label="Wait")
        runtime.queue.enqueue("watched", label="Watched")
        watched = runtime.queue.claim(["watched"])
        Runner(runtime.queue, {"watched": Job("watched", print)}, runtime).progress_of(watched).report(3, 9)
    printed = run("jobs", "list", ini)
    assert "Count the lamps  succeeded  5/10  2.5/s" in printed
    id = next(line.split()[0] for line in printed.splitlines() if " waiting " in line)
    assert "there is no organization" in run("jobs", "list", ini, "--organization", "nobody", code=1)
    assert run("jobs", "cancel", ini, id) == "Wait: is cancelled.\n"
    assert "Only jobs that wait can be cancelled" in run("jobs", "cancel", ini, id, code=1)
    assert id in run("jobs", "list", ini, "--state", "cancelled", "--name", "wait")
    assert run("jobs", "retry", ini, id) == "Wait: waits again.\n"
    assert "Only jobs that failed" in run("jobs", "retry", ini, id, code=1)
    assert "there is no job" in run("jobs", "retry", ini, uuid.UUID(int=0), code=1)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("guywire.cli.jobs.time.sleep", interrupt)
    assert "  Watched  running  3/9" in run("jobs", "list", ini, "--watch")
    # Where there is no room, the ids are still whole.
    monkeypatch.setattr("guywire.cli.jobs._WIDE", 1000)
    narrow = run("jobs", "list", ini)
    assert narrow.index("running 3/9") < narrow.index("succeeded 5/10")
    assert id in narrow


def test_celery_is_asked_for_only_when_it_is_wanted(
    write_ini: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ini = write_ini("guywire.job_runner = celery", "guywire.celery_broker = redis://:hush@127.0.0.1:1/0")
    run("migrate", ini)
    with runtime_of(ini) as runtime:
        runtime.queue.enqueue("wait")
        assert runtime.queue.claim(["wait"]) is not None, "it is written down, whatever becomes of the message"
    logged = capsys.readouterr().err
    assert "the broker does not answer" in logged
    assert "hush" not in logged
    wrong = write_ini("guywire.job_runner = celery", "guywire.celery_broker = http://:hush@127.0.0.1", name="wrong.ini")
    printed = run("migrate", wrong, code=1)
    assert "guywire.celery_broker" in printed
    assert "hush" not in printed
    monkeypatch.setitem(sys.modules, "celery", None)
    assert "pip install 'guywire[celery]'" in run("migrate", ini, code=1)


def test_check_without_a_database(write_ini: Callable[..., Path]) -> None:
    path = write_ini()
    path.write_text("[app:main]\nuse = egg:guywire\nsqlalchemy.url = postgresql+psycopg://u:secret@127.0.0.1:1/x\n")
    printed = run("check", path, code=1)
    assert "WRONG  database" in printed
    assert "secret" not in printed


# plugins


class Stranger:
    """A plugin that is not installed as a distribution."""

    @hookimpl
    def register_jobs(self) -> list[Any]:
        return []


def test_plugins_lists_versions_and_hooks(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guywire.cli.plugins.BUILTIN", [*BUILTIN, ("stranger", Stranger())])
    lines = run("plugins", ini).splitlines()
    assert [line.split() for line in lines if line.startswith(("netjsonconfig", "stranger"))] == [
        ["netjsonconfig", "0.1.0", "guywire.backends", "register_config_backends"],
        ["stranger", "0.1.0", "test_cli", "register_jobs"],
    ]


def test_plugins_shows_what_is_blocked(write_ini: Callable[..., Path]) -> None:
    printed = run("plugins", write_ini("guywire.plugins.blocked = netjsonconfig"))
    [line] = [line.split() for line in printed.splitlines() if line.startswith("netjsonconfig")]
    assert line == ["netjsonconfig", "0.1.0", "blocked"]


# render


@pytest.fixture
def netjson(tmp_path: Path) -> dict[str, Path]:
    documents = {
        "config.json": '{"general": {"timezone": "{{ zone }}"}, "files": [{"path": "/etc/motd", "mode": "0600",'
        ' "contents": "{{ name }} {{ colour }}"}]}',
        "base.yaml": "interfaces: [{name: eth0, type: ethernet}]",
        "more.yaml": "general: {hostname: '{{ name }}'}",
        "context.yaml": "{zone: UTC, name: from-file, colour: red}",
    }
    for name, text in documents.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in documents}


def rendered(netjson: dict[str, Path], *options: object, code: int = 0) -> str:
    return run(
        "render",
        netjson["config.json"],
        *("--template", netjson["base.yaml"], "--template", netjson["more.yaml"]),
        *("--context", netjson["context.yaml"], "--set", "name=mast"),
        *options,
        code=code,
    )


def test_render_prints(netjson: dict[str, Path]) -> None:
    printed = rendered(netjson)
    assert "# /etc/config/network (0644)" in printed
    assert "option hostname 'mast'" in printed
    assert "# /etc/motd (0600)\nmast red" in printed


def test_render_writes_files_and_an_archive(netjson: dict[str, Path], tmp_path: Path) -> None:
    rendered(netjson, "--output", tmp_path / "router", "--archive", tmp_path / "router.tar.gz")
    motd = tmp_path / "router/etc/motd"
    assert motd.read_text().strip() == "mast red"
    assert motd.stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "router.tar.gz") as archive:
        assert set(archive.getnames()) == {
            str(path.relative_to(tmp_path / "router")) for path in (tmp_path / "router").rglob("*") if path.is_file()
        }


def test_render_refuses(netjson: dict[str, Path], tmp_path: Path) -> None:
    assert "there is no backend 'Cisco'" in rendered(netjson, "--backend", "Cisco", code=1)
    assert "--set colour: not of the form" in rendered(netjson, "--set", "colour", code=1)
    netjson["config.json"].write_text('{"general": []}')
    assert "'general'" in rendered(netjson, code=1)
    netjson["config.json"].write_text("[]")
    assert "not a mapping" in rendered(netjson, code=1)


def test_no_backend_writes_outside_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="would be written outside"):
        _write([ArchiveFile("../out", b"x")], tmp_path / "router")
    assert not (tmp_path / "out").exists()


# Everything


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [path]
    for name, command in group.commands.items():
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("path", commands(main), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    printed = run(*path, "--help")
    assert printed.startswith(f"Usage: main {' '.join(path)}".rstrip())
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


def test_the_reference_in_the_documentation_is_current() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "docs/build.py", "--check"], stdout=subprocess.PIPE, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


# Logging


def logged(**settings: str) -> str:
    """What is written of a few records."""
    stream = io.StringIO()
    configure_logging(Settings(**settings), stream)
    logging.getLogger("guywire.test").info("device registered: device=%s", "d1")
    structlog.get_logger("guywire.test").warning("structured", device="d2")
    logging.getLogger("sqlalchemy.engine").info("INSERT of a password")
    try:
        password = "hidden" + "-local"
        raise ValueError(len(password))
    except ValueError:
        logging.getLogger("guywire.test").exception("failed")
    return stream.getvalue()


def test_logs_for_machines() -> None:
    records = [json.loads(line) for line in logged(log_format="json").splitlines()]
    assert [(record["level"], record["event"]) for record in records] == [
        ("info", "device registered: device=d1"),
        ("warning", "structured"),
        ("error", "failed"),
    ]
    assert records[1]["device"] == "d2"
    assert datetime.fromisoformat(records[0]["timestamp"]).tzinfo is not None
    assert records[2]["exception"].endswith("ValueError: 12")
    assert "hidden-local" not in json.dumps(records)


def test_logs_for_people() -> None:
    text = logged(log_format="console", log_level="warning")
    assert "device registered" not in text
    assert "structured" in text
    assert "ValueError: 12" in text
    assert "hidden-local" not in text
    assert "INSERT" not in text
