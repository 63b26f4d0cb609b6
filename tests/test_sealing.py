"""Secrets at rest: the key ring, its file, the sealed columns, and the rotation of keys while a server runs."""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from click.testing import CliRunner
from guywire.builtin import BUILTIN
from guywire.cli import main
from guywire.db import writing
from guywire.keyring_file import KeyRingFile, create_key_ring, key_ring_path, load_key_ring, replace_key_ring
from guywire.models import Organization, OrganizationConfigSettings, Token
from guywire.runtime import Runtime, create_runtime, utc_now
from guywire.sealing import KeyRing, KeyRingMissing, SealBroken, SealedText
from guywire.services import resealing, sealed_columns
from guywire.services.accounts import create_organization, organization_by_secret
from guywire.services.bootstrap import load_document, read_document
from guywire.services.sealed_columns import SealedColumn
from guywire.services.tokens import BearerTokens
from guywire.settings import Settings

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "tests/contract/fixture.json"
ADMIN_TOKEN = "1111bbbbccccddddeeeeffff0000111122223333"
SHARED_SECRET = "SharedSecretOrg1234567890abcdef0"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GUYWIRE_SQLALCHEMY_URL", "GUYWIRE_DATA_DIR", "GUYWIRE_KEY_RING"):
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


# The ring


def test_a_value_opens_with_its_purpose_only() -> None:
    ring = KeyRing.generate()
    sealed = ring.seal(b"secret", "table.column")
    assert b"secret" not in sealed
    assert ring.open(sealed, "table.column") == b"secret"
    assert ring.seal(b"secret", "table.column") != sealed
    with pytest.raises(SealBroken, match=r"^table\.other: the sealed value was changed or belongs to another column$"):
        ring.open(sealed, "table.other")


def test_a_changed_value_does_not_open() -> None:
    ring = KeyRing.generate()
    sealed = bytearray(ring.seal(b"secret", "table.column"))
    sealed[-1] ^= 1
    with pytest.raises(SealBroken):
        ring.open(bytes(sealed), "table.column")


def test_a_rotated_ring_opens_old_values_until_it_drops_the_old_keys() -> None:
    old = KeyRing.generate()
    sealed = old.seal(b"secret", "p")
    both = old.rotated()
    assert both.has_old_keys
    assert both.open(sealed, "p") == b"secret"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal(b"secret", "p"))
    new = both.without_old_keys()
    assert not new.has_old_keys
    assert new.open(both.seal(b"secret", "p"), "p") == b"secret"
    with pytest.raises(SealBroken, match="sealed with a key that the key ring does not hold"):
        new.open(sealed, "p")


def test_look_ups_survive_a_rotation() -> None:
    ring = KeyRing.generate()
    assert ring.lookup_hash("secret", "p") == ring.rotated().without_old_keys().lookup_hash("secret", "p")
    assert ring.lookup_hash("secret", "p") != ring.lookup_hash("secret", "q")
    assert ring.lookup_hash("secret", "p") != KeyRing.generate().lookup_hash("secret", "p")


def test_a_ring_is_text_and_back() -> None:
    ring = KeyRing.generate().rotated()
    same = KeyRing.from_json(ring.to_json())
    assert same.open(ring.seal(b"secret", "p"), "p") == b"secret"
    assert same.to_json() == ring.to_json()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys": []}', '{"keys": [], "lookup_key": ""}', '{"keys": ["AAAA"], "lookup_key": "AAAA"}', "1"],
)
def test_other_text_is_no_ring(text: str) -> None:
    with pytest.raises(KeyRingMissing):
        KeyRing.from_json(text)


# Its file


def test_the_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    rings: list[str] = []
    threads = [
        threading.Thread(target=lambda: rings.append(load_key_ring(settings, environ={}).to_json())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(rings)) == 1
    assert key_ring_path(settings).stat().st_mode & 0o777 == 0o600
    assert os.listdir(settings.data_dir) == ["key-ring.json"]


def test_production_makes_none(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, production=True)
    with pytest.raises(KeyRingMissing, match="guywire keys create"):
        load_key_ring(settings, environ={})
    create_key_ring(key_ring_path(settings))
    load_key_ring(settings, environ={})


def test_the_environment_wins(tmp_path: Path) -> None:
    ring = KeyRing.generate()
    loaded = load_key_ring(Settings(data_dir=tmp_path), environ={"GUYWIRE_KEY_RING": ring.to_json()})
    assert loaded.to_json() == ring.to_json()
    assert os.listdir(tmp_path) == []


def test_a_ring_follows_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key-ring.json"
    running = create_key_ring(path)
    old = running.seal(b"old", "p")
    rotated = running.rotated()
    replace_key_ring(path, rotated)
    assert running.open(rotated.seal(b"new", "p"), "p") == b"new", "a key that it does not know yet"
    replace_key_ring(path, rotated.rotated())
    assert KeyRingFile(path).is_current(running.seal(b"newer", "p")), "it looks before it seals"
    assert running.open(old, "p") == b"old"
    path.unlink()
    assert running.open(running.seal(b"still", "p"), "p") == b"still"


def test_a_ring_that_cannot_be_read_again_seals_nothing(tmp_path: Path) -> None:
    path = tmp_path / "key-ring.json"
    running = create_key_ring(path)
    path.write_text("{")
    with pytest.raises(KeyRingMissing):
        running.seal(b"lost one day", "p")


# The database


class Installation:
    """A database with accounts in it, its key ring and an ini file."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = Settings(sqlalchemy_url=url, data_dir=folder)
        self.path = key_ring_path(self.settings)
        self.ini = folder / "test.ini"
        escaped = url.replace("%", "%%")
        self.ini.write_text(f"[app:main]\nuse = egg:guywire\nsqlalchemy.url = {escaped}\nguywire.data_dir = {folder}\n")
        self.runtime = create_runtime(self.settings, BUILTIN)
        document = read_document(FIXTURE)
        for user in document["users"].values():
            del user["password"]  # hashing takes time
        with writing(self.runtime.session_factory) as session:
            load_document(session, self.runtime.key_ring, document, utc_now())
            for number in range(40):
                create_organization(session, self.runtime.key_ring, utc_now(), name=f"n{number}", slug=f"n{number}")

    def rotate(self, *options: str, code: int = 0) -> str:
        """Run the command; what it prints."""
        result = CliRunner().invoke(main, ["keys", "rotate", str(self.ini), *options])
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        assert result.exit_code == code, result.output
        return result.output

    def ring(self) -> KeyRing:
        """The ring as its file has it now."""
        return KeyRing.from_json(self.path.read_text())

    def count_old(self) -> int:
        """How many values are not sealed with the first key."""
        return sum(
            sealed_columns.count_old(self.runtime.engine, self.ring(), column)
            for column in sealed_columns.sealed_columns(self.runtime.registry)
        )

    def check_secrets(self, runtime: Runtime) -> None:
        """A process reads everything that is sealed, and finds what is looked up."""
        with runtime.session_factory() as session:
            assert BearerTokens(runtime).identify(session, f"Bearer {ADMIN_TOKEN}", None, runtime.clock())
            assert {token.key for token in session.scalars(sa.select(Token))} >= {ADMIN_TOKEN}
            secrets = session.scalars(sa.select(OrganizationConfigSettings.shared_secret)).all()
            assert SHARED_SECRET in secrets
            found = organization_by_secret(session, runtime.key_ring, SHARED_SECRET, runtime.clock())
            assert found is not None
            assert found[0].slug == "org1"


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(database_url, tmp_path)
    yield installation
    installation.runtime.close()


def raw_secrets(engine: sa.Engine) -> list[bytes]:
    column = OrganizationConfigSettings.__table__.c.shared_secret
    with engine.connect() as connection:
        return [bytes(each) for each in connection.scalars(sa.select(sa.type_coerce(column, sa.LargeBinary)))]


def test_the_database_holds_no_secret_in_the_open(installation: Installation) -> None:
    values = raw_secrets(installation.runtime.engine)
    assert len(values) == 42
    assert not any(SHARED_SECRET.encode() in value for value in values)
    installation.check_secrets(installation.runtime)


def test_every_purpose_is_its_table_and_column(installation: Installation) -> None:
    columns = list(sealed_columns.sealed_columns(installation.runtime.registry))
    assert {column.purpose for column in columns} >= {
        "config_archive.archive",
        "organization_config_settings.shared_secret",
        "token.key",
    }
    assert all(column.purpose == f"{column.table.name}.{column.name}" for column in columns)


def test_rotation_seals_everything_anew_under_a_running_server(installation: Installation) -> None:
    before = installation.ring()
    running = installation.runtime
    values = raw_secrets(running.engine)
    printed = installation.rotate()
    assert "Everything is sealed with the new key." in printed
    assert installation.count_old() == 0
    assert not installation.ring().has_old_keys
    assert not set(values) & set(raw_secrets(running.engine))
    installation.check_secrets(running)
    with pytest.raises(SealBroken):
        before.open(raw_secrets(running.engine)[0], "organization_config_settings.shared_secret")
    with writing(running.session_factory) as session:
        create_organization(session, running.key_ring, utc_now(), name="late", slug="late", shared_secret="late")
    assert installation.count_old() == 0
    restarted = create_runtime(installation.settings, BUILTIN)
    installation.check_secrets(restarted)
    restarted.close()


def test_rotation_goes_on_after_an_interruption(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "BATCH", 3)
    replace: Callable[..., None] = resealing._replace
    done = 0

    def interrupted(*arguments: Any) -> None:
        nonlocal done
        done += 1
        if done == 20:
            raise KeyboardInterrupt
        replace(*arguments)

    monkeypatch.setattr(resealing, "_replace", interrupted)
    assert "Aborted" in installation.rotate(code=1)
    assert installation.ring().has_old_keys
    assert 0 < installation.count_old() < 44
    installation.check_secrets(installation.runtime)
    monkeypatch.setattr(resealing, "_replace", replace)
    assert "going on with the rotation that was begun" in installation.rotate()
    assert installation.count_old() == 0
    assert not installation.ring().has_old_keys
    installation.check_secrets(installation.runtime)


def test_what_is_written_during_a_rotation_is_not_lost(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH", 3)
    running = installation.runtime
    batch: Callable[..., Any] = resealing._reseal_batch
    secrets = iter(range(100))

    def busy(*arguments: Any) -> Any:
        slug = f"during{next(secrets)}"
        with writing(running.session_factory) as session:
            create_organization(session, running.key_ring, utc_now(), name=slug, slug=slug, shared_secret=slug)
        return batch(*arguments)

    monkeypatch.setattr(resealing, "_reseal_batch", busy)
    installation.rotate()
    assert installation.count_old() == 0
    with running.session_factory() as session:
        organizations = session.scalars(sa.select(Organization).where(Organization.slug.like("during%"))).all()
        assert len(organizations) > 10
        assert all(each.config_settings.shared_secret == each.slug for each in organizations)


def test_a_value_that_cannot_be_opened_keeps_the_old_keys(installation: Installation) -> None:
    column = OrganizationConfigSettings.__table__.c.shared_secret
    with installation.runtime.engine.begin() as connection:
        [broken, *_] = connection.scalars(sa.select(OrganizationConfigSettings.organization_id)).all()
        connection.execute(
            sa.update(OrganizationConfigSettings.__table__)
            .where(OrganizationConfigSettings.__table__.c.organization_id == broken)
            .values({column.name: sa.literal(b"no sealed value at all", sa.LargeBinary)})
        )
    printed = installation.rotate(code=1)
    assert f"cannot be opened: organization_config_settings {broken}: " in printed
    assert "1 values are still sealed with old keys; the ring keeps them all" in printed
    assert installation.ring().has_old_keys
    assert installation.count_old() == 1


def test_a_value_that_changed_meanwhile_is_left_alone(installation: Installation) -> None:
    ring, engine = installation.ring().rotated(), installation.runtime.engine
    [column] = [
        each for each in sealed_columns.sealed_columns(installation.runtime.registry) if each.purpose == "token.key"
    ]
    with engine.begin() as connection:
        user, sealed = connection.execute(sa.select(*column.key, column.raw).limit(1)).one()
        resealing._replace(connection, column, [user], b"something else", ring.seal(b"x", column.purpose))
        assert connection.scalar(sa.select(column.raw).where(column.key[0] == user)) == sealed


def test_tables_of_a_plugin_that_is_not_loaded_stop_the_rotation(installation: Installation) -> None:
    with installation.runtime.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version_weather (version_num VARCHAR(32) NOT NULL)"))
    assert "plugins that are not loaded: weather" in installation.rotate(code=1)
    assert installation.ring().has_old_keys


def test_old_keys_can_be_kept(installation: Installation) -> None:
    installation.rotate("--keep-old-keys")
    assert installation.ring().has_old_keys
    assert installation.count_old() == 0


def test_a_ring_in_the_environment_is_rotated_by_hand(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = installation.ring()
    monkeypatch.setenv("GUYWIRE_KEY_RING", old.to_json())
    assert "Put a new one in front of it" in installation.rotate(code=1)
    longer = old.rotated()
    monkeypatch.setenv("GUYWIRE_KEY_RING", longer.to_json())
    assert "Take the other keys out of GUYWIRE_KEY_RING" in installation.rotate()
    monkeypatch.setenv("GUYWIRE_KEY_RING", longer.without_old_keys().to_json())
    restarted = create_runtime(installation.settings, BUILTIN)
    installation.check_secrets(restarted)
    restarted.close()
    assert installation.ring().to_json() == old.to_json(), "the file is not the ring in use"


def test_one_rotation_at_a_time(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    wait = resealing.wait_for_older_transactions

    def meanwhile(engine: sa.Engine) -> bool:
        printed.append(installation.rotate(code=1))
        return wait(engine)

    monkeypatch.setattr(resealing, "wait_for_older_transactions", meanwhile)
    installation.rotate()
    assert "another `guywire keys rotate` is at work" in printed[0]


def test_rotation_waits_for_transactions_that_sealed_before(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "_PATIENCE", 0.3)
    engine = installation.runtime.engine
    with writing(installation.runtime.session_factory) as session:
        create_organization(session, installation.runtime.key_ring, utc_now(), name="slow", slug="slow")
        assert not resealing.wait_for_older_transactions(engine)
    assert resealing.wait_for_older_transactions(engine)


class Parent(sa.orm.DeclarativeBase):
    """Tables of a plugin of its own."""


class Part(Parent):
    """A table with two sealed columns and a key of two columns."""

    __tablename__ = "sealing_part"

    number: sa.orm.Mapped[int] = sa.orm.mapped_column(primary_key=True)
    name: sa.orm.Mapped[str] = sa.orm.mapped_column(sa.String(40), primary_key=True)
    one: sa.orm.Mapped[str | None] = sa.orm.mapped_column(SealedText("sealing_part.one"))
    two: sa.orm.Mapped[str | None] = sa.orm.mapped_column(SealedText("sealing_part.two"))


def test_tables_with_keys_of_several_columns_and_empty_values(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH", 4)
    engine = installation.runtime.engine
    Parent.metadata.create_all(engine)
    rows = [(number, uuid.uuid4().hex) for number in range(3) for _ in range(7)]
    with sa.orm.Session(engine) as session:
        session.add_all(Part(number=number, name=name, one=name, two=None) for number, name in rows)
        session.commit()
    ring = installation.ring().rotated()
    replace_key_ring(installation.path, ring)
    columns = [SealedColumn(Part.__table__, name, f"sealing_part.{name}") for name in ("one", "two")]
    assert [sealed_columns.count_old(engine, ring, column) for column in columns] == [21, 0]
    counts: list[int] = []
    for column in columns:
        assert resealing.reseal(engine, ring, column, counts.append) == []
    assert sum(counts) == 21
    assert [sealed_columns.count_old(engine, ring, column) for column in columns] == [0, 0]
    with sa.orm.Session(engine) as session:
        assert all(part.one == part.name and part.two is None for part in session.scalars(sa.select(Part)))


def test_keys_create(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ini = tmp_path / "test.ini"
    ini.write_text("[app:main]\nuse = egg:guywire\nguywire.data_dir = %(here)s/data\n")
    runner = CliRunner()
    assert "was made" in runner.invoke(main, ["keys", "create", str(ini)]).output
    ring = (tmp_path / "data/key-ring.json").read_text()
    assert set(json.loads(ring)) == {"keys", "lookup_key"}
    assert "it was not changed" in runner.invoke(main, ["keys", "create", str(ini)]).output
    assert (tmp_path / "data/key-ring.json").read_text() == ring
    monkeypatch.setenv("GUYWIRE_KEY_RING", ring)
    assert runner.invoke(main, ["keys", "create", str(ini)]).exit_code == 1
