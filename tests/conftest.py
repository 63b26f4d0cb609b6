"""The fixtures that guywire ships are those that its own tests use."""

from __future__ import annotations

import gc

import pytest

pytest_plugins = ["guywire.testing"]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the collector away from all the modules, and let it look less often at the many objects of each new app:
    it would take a fourth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)
