"""The fixtures: one application on a fresh database, its users, its worker and its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from webtest import TestApp

from guywire.app import create_app
from guywire.builtin import BUILTIN
from guywire.db import writing
from guywire.models import Group
from guywire.queue import Worker
from guywire.runtime import Runtime
from guywire.security import add_member
from guywire.services.accounts import create_organization, create_user, token_of
from guywire.settings import Settings
from guywire.testing.clients import Client, Router
from guywire.testing.databases import KINDS, data_dir, fresh_database, stop_server
from guywire.testing.time import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """The time of the application under test."""
    return ManualClock()


@pytest.fixture
def plugins() -> list[tuple[str, Any]]:
    """Plugins to load in addition to the installed ones: override it, with pairs of name and plugin."""
    return []


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, plugins: list[tuple[str, Any]]) -> Iterator[str]:
    """A fresh database with the tables of all plugins. Every test that uses it runs on SQLite and on PostgreSQL."""
    url, drop = fresh_database(request.param, BUILTIN, plugins)
    yield url
    drop()


@pytest.fixture
def settings(database_url: str) -> Settings:
    """The application's settings."""
    return Settings(sqlalchemy_url=database_url, data_dir=data_dir())


@pytest.fixture
def make_app(settings: Settings, clock: ManualClock, plugins: list[tuple[str, Any]]) -> Iterator[Callable[[], Any]]:
    """A function that makes one more application (another process, so to speak) on the same database."""
    made: list[Any] = []

    def make() -> Any:
        made.append(create_app(settings, plugins=plugins, clock=clock))
        return made[-1]

    yield make
    for application in made:
        application.registry.poll_reader.close()
        application.registry.runtime.close()


@pytest.fixture
def app(make_app: Callable[[], Any]) -> TestApp:
    """The application, to be talked to over HTTP."""
    return TestApp(make_app())


@pytest.fixture
def runtime(app: TestApp) -> Runtime:
    """What the application under test was made of."""
    runtime: Runtime = app.app.registry.runtime
    return runtime


@pytest.fixture
def worker(runtime: Runtime) -> Worker:
    """The worker: ``worker.run_due(seconds)`` does what is due."""
    return Worker(runtime.queue, runtime.registry.jobs, runtime)


@pytest.fixture
def organization(runtime: Runtime) -> str:
    """The id of an organization, whose secret is ``secret``."""
    return _organization(runtime, "org1", "secret")


@pytest.fixture
def other_organization(runtime: Runtime) -> str:
    """The id of another organization, whose secret is ``other-secret``."""
    return _organization(runtime, "org2", "other-secret")


def _organization(runtime: Runtime, slug: str, secret: str) -> str:
    with writing(runtime.session_factory) as session:
        made = create_organization(
            session, runtime.key_ring, runtime.clock(), name=slug, slug=slug, shared_secret=secret
        )
        return str(made.id)


def make_user(
    runtime: Runtime, username: str, organization: str | None = None, group: str | None = None, **fields: Any
) -> str:
    """A user without password; a manager of ``organization`` in the stock ``group``. Returns the token."""
    with writing(runtime.session_factory) as session:
        user = create_user(session, runtime.clock(), username=username, password=None, **fields)
        if group is not None:
            user.groups.append(session.scalars(sa.select(Group).where(Group.name == group)).one())
        if organization is not None:
            add_member(session, user, UUID(organization), is_admin=True)
        return token_of(session, runtime.key_ring, user, runtime.clock())


@pytest.fixture
def admin(app: TestApp, runtime: Runtime) -> Client:
    """A superuser."""
    return Client(app, make_user(runtime, "admin", is_superuser=True))


@pytest.fixture
def operator(app: TestApp, runtime: Runtime, organization: str) -> Client:
    """A manager of the organization, in the stock group Operator."""
    return Client(app, make_user(runtime, "operator", organization, "Operator"))


@pytest.fixture
def anonymous(app: TestApp) -> Client:
    """Nobody."""
    return Client(app)


@pytest.fixture
def router(app: TestApp) -> Callable[[Any], Router]:
    """The agent of a device, given the device's JSON."""
    return lambda device: Router(app, device["id"], device["key"])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Stop the database server now: pytest-xdist kills processes that take their time to end."""
    stop_server()
