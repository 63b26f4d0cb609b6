"""The server behind ``pserve development.ini``: waitress, and a word about the jobs that nobody does."""

from __future__ import annotations

import logging
import os
from typing import Any

import waitress

log = logging.getLogger(__name__)


def serve_alone(application: Any, global_config: dict[str, str], **options: str) -> None:
    """Serve with waitress (entry point ``paste.server_runner``): ``use = egg:guywire`` in ``[server:main]``."""
    log.warning(
        "this is a web server only: jobs wait for a `guywire worker %s`; `guywire serve` brings one along",
        global_config.get("__file__", "INI"),
    )
    if port := os.environ.get("GUYWIRE_HTTP_PORT"):
        options["port"] = port
    waitress.serve_paste(application, global_config, **options)
