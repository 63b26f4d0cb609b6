"""What a command prints, for those who watch while it runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from guywire.db import is_conflict, is_overload, writing
from guywire.interfaces import ExecutionResult
from guywire.runtime import Runtime
from guywire.services.status import storable

from guywire_ssh_connection.command_models import IN_PROGRESS, Command
from guywire_ssh_connection.settings import SSHSettings

_EVERY = timedelta(seconds=1)


class LiveOutput:
    """What a command has printed so far; now and then it is written down, for those who watch.

    What was written down never changes afterwards, it only grows: that is what readers' cursors rely on.
    """

    def __init__(self, runtime: Runtime, number: int) -> None:
        self.text = ""
        self._runtime = runtime
        self._number = number
        self._limit = SSHSettings.of(runtime.settings).output_limit
        self._written: datetime = runtime.clock()
        self._is_behind = False

    def hear(self, text: str) -> None:
        """More output has come; "" when there was none for a moment."""
        if text and len(self.text) < self._limit:
            self.text += storable(text)[: self._limit - len(self.text)]
            self._is_behind = True
        now = self._runtime.clock()
        if self._is_behind and now - self._written >= _EVERY:
            self._written, self._is_behind = now, False
            self._write()

    def complete(self, result: ExecutionResult) -> None:
        """All of it is there."""
        output = storable(result.output)
        if result.is_truncated or len(output) > self._limit:
            output = f"{output[: self._limit]}\n[The output is longer than {self._limit} bytes: the rest was not kept.]"
        if output.startswith(self.text):
            self.text = output

    def with_line(self, line: str) -> str:
        """The output, and a line that says how it ended."""
        return with_newline(self.text) + with_newline(line)

    def _write(self) -> None:
        update = sa.update(Command).where(Command.number == self._number, Command.status == IN_PROGRESS)
        try:
            with writing(self._runtime.session_factory) as session:
                session.execute(update.values(output=self.text).execution_options(synchronize_session=False))
        except sa.exc.SQLAlchemyError as error:
            if not is_overload(error) and not is_conflict(error):
                raise


def with_newline(text: str) -> str:
    """The text as lines: whole ones, if there is any."""
    return text if not text or text.endswith("\n") else f"{text}\n"
