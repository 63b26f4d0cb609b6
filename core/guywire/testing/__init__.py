"""Shipped with guywire for plugin authors: pytest fixtures for an application on SQLite and on PostgreSQL.

Put ``pytest_plugins = ["guywire.testing"]`` into your ``conftest.py``.
"""

from guywire.testing.clients import Client, Router
from guywire.testing.fixtures import (
    admin,
    anonymous,
    app,
    clock,
    database_url,
    make_app,
    operator,
    organization,
    other_organization,
    plugins,
    pytest_sessionfinish,
    router,
    runtime,
    settings,
    worker,
)
from guywire.testing.time import ManualClock

__all__ = [
    "Client",
    "ManualClock",
    "Router",
    "admin",
    "anonymous",
    "app",
    "clock",
    "database_url",
    "make_app",
    "operator",
    "organization",
    "other_organization",
    "plugins",
    "pytest_sessionfinish",
    "router",
    "runtime",
    "settings",
    "worker",
]
