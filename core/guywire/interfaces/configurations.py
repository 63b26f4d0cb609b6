"""Configurations, and the backends that turn them into files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

JSONObject = dict[str, Any]

# Text as Python quotes it.
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\"""", re.DOTALL)
_LONG = 40


def _shortened(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[0]) <= _LONG else f"{quoted[0][0]}…{quoted[0][0]}"


class ConfigurationInvalid(Exception):
    """A configuration that its backend cannot turn into files.

    ``path`` is the place in the NetJSON document (for instance ``("interfaces", 0)``), ``message`` says what is
    wrong there. What a message about ``files`` quotes is left out where it is long: it may be a key.
    """

    def __init__(self, message: str, path: Sequence[str | int] = ()) -> None:
        self.path = tuple(path)
        self.message = _QUOTED.sub(_shortened, message) if self.path[:1] == ("files",) else message
        super().__init__(self.message)

    def hiding(self, secrets: Iterable[str]) -> ConfigurationInvalid:
        """The same, with ``…`` in the place of each line of these texts."""
        message = self.message
        for line in {line for secret in secrets for line in secret.splitlines() if line}:
            message = message.replace(line, "…")
        return ConfigurationInvalid(message, self.path)

    def __str__(self) -> str:
        """The sentence that REST clients get, in the reference's wording (spec of templates, §2)."""
        if not self.path:
            return self.message
        place = "/".join(str(step) for step in self.path)
        return f'Invalid configuration triggered by "#/{place}", validator says:\n\n{self.message}'


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One regular file of a configuration archive: ``path`` without a leading slash, ``mode`` as an int (0o644)."""

    path: str
    content: bytes
    mode: int = 0o644


class ConfigBackend(Protocol):
    """Turns NetJSON into the files of one kind of router. Registered with ``register_config_backends``.

    ``templates`` are NetJSON objects from the weakest to the strongest; ``config`` is the strongest layer. ``context``
    maps variable names to values. ``device_os`` is the operating system that the device reported ("" if none): it may
    decide the syntax. None of the arguments is changed.
    """

    id: str
    label: str
    schema: Mapping[str, Any]

    def validate(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> None:
        """Raise ConfigurationInvalid when the merged configuration cannot be rendered."""

    def render(
        self, config: JSONObject, templates: Sequence[JSONObject], context: Mapping[str, Any], device_os: str = ""
    ) -> list[ArchiveFile]:
        """The files in archive order; the same input always gives the same bytes. Raises ConfigurationInvalid."""
