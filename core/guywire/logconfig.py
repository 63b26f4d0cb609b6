"""Logging of the ``guywire`` command: one line a record, for people or as JSON."""

from __future__ import annotations

import logging
import logging.config
import sys
from typing import Any, TextIO

import structlog

from guywire.settings import SettingInvalid, Settings

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_QUIET = ("alembic", "sqlalchemy")
"""Libraries that tell every step at INFO; SQLAlchemy even the parameters, secrets among them."""


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all records, ours and the libraries', to ``stream`` (stderr) as ``guywire.log_format`` says.

    Raises SettingInvalid for a ``guywire.log_level`` that there is not.
    """
    stream = sys.stderr if stream is None else stream
    level = settings.log_level.upper()
    if level not in _LEVELS:
        raise SettingInvalid(f"guywire.log_level: {settings.log_level!r} is none of {', '.join(_LEVELS)}")
    shared = _shared_processors()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings, stream)],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _shared_processors() -> list[Any]:
    """What every record gets, whether it comes through structlog or through the standard library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers(settings: Settings, stream: TextIO) -> list[Any]:
    if settings.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    # Plain tracebacks: the pretty ones print local variables, among them passwords and keys.
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]
