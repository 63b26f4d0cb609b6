"""Turns what goes wrong into a sentence that says what to do, in place of a traceback."""

from __future__ import annotations

import configparser
import traceback
from typing import Any

import click
import sqlalchemy as sa
from alembic.util import CommandError
from typing_extensions import override

from guywire.db import is_overload
from guywire.interfaces import ConfigurationInvalid
from guywire.plugin import PluginError
from guywire.sealing import KeyRingMissing, SealBroken
from guywire.services.bootstrap import BootstrapInvalid
from guywire.settings import SettingInvalid

_OUR_OWN = (SettingInvalid, KeyRingMissing, PluginError, BootstrapInvalid, ConfigurationInvalid)
"""Exceptions whose text was written for whoever reads it now."""


_URLS = "It is one of sqlite:///path/of/a/file and postgresql+psycopg://user@host/name."


class CommandGroup(click.Group):
    """A group whose commands end with a sentence and exit code 1 where something foreseeable went wrong."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = sentence_for(error)
            if sentence is None:
                raise
            raise click.ClickException(sentence) from error


def sentence_for(error: Exception) -> str | None:
    """What to tell about ``error``; None for one that nobody foresaw, which deserves its traceback."""
    match error:
        case _ if isinstance(error, _OUR_OWN):
            return str(error)
        case SealBroken():
            return f"{error}. Is this the key ring that the database was written with?"
        case sa.exc.SQLAlchemyError():
            return _of_database(error)
        case CommandError():
            return f"migrations: {error}. Was this database used by a newer guywire, or by another program?"
        case configparser.Error():
            return f"the ini file cannot be read: {_one_line(error)}"
        case ModuleNotFoundError() if _comes_through(error, "sqlalchemy."):
            return f"sqlalchemy.url: {_one_line(error)}. {_URLS}"
        case LookupError() | ImportError() if _comes_through(error, "paste.", "plaster"):
            return f"the ini file does not say what to run: {_one_line(error)}"
        case OSError():
            return f"{error.filename or 'the system refuses'}: {error.strerror or error}"
    return None


def _of_database(error: sa.exc.SQLAlchemyError) -> str | None:
    if isinstance(error, sa.exc.NoSuchModuleError | sa.exc.ArgumentError):
        return f"sqlalchemy.url: {_one_line(error)}. {_URLS}"
    original = getattr(error, "orig", None)
    text = _one_line(original or error)
    # 42P01: undefined_table
    if "no such table" in text or getattr(original, "sqlstate", None) == "42P01":
        return f"the database has no tables of this guywire ({text}). Run: guywire migrate INI"
    if "unable to open database file" in text or "readonly database" in text:
        return f"the database file cannot be opened for writing ({text}); see sqlalchemy.url and guywire.data_dir"
    if isinstance(error, sa.exc.DBAPIError | sa.exc.TimeoutError) and is_overload(error):
        return f"the database is busy or away: {text}"
    if isinstance(error, sa.exc.OperationalError):
        return f"the database refuses: {text}"
    return None


def _comes_through(error: BaseException, *modules: str) -> bool:
    """Whether ``error`` passed through a module whose name begins like that."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__", "").startswith(modules) for frame in frames)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
