"""Where an error came from, for the log, without what it says."""

from __future__ import annotations

import traceback


def traceback_of(error: BaseException) -> str:
    """The calls that led to an error and its type, as Python prints them, but without its message.

    Whoever works with keys and passwords may quote them when something is wrong with them, and a log is read by more
    people than a database. What the error was raised from stands above it.
    """
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    above = "" if cause is None else f"{traceback_of(cause)}\n\nwhich led to:\n\n"
    calls = "".join(traceback.format_tb(error.__traceback__))
    return f"{above}Traceback (most recent call last):\n{calls}{type(error).__module__}.{type(error).__qualname__}"
