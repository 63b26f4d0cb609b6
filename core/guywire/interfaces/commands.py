"""Commands that operators run on devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guywire.interfaces.configurations import JSONObject

CommandInput = Mapping[str, Any] | None
"""What the operator gives with a command; None for types that take nothing."""


def _accept(input: CommandInput) -> None:
    """The schema has said it all."""


@dataclass(frozen=True, slots=True)
class CommandType:
    """A type of command. Registered with ``register_command_types``.

    ``name`` is its id (at most 16 characters), ``schema`` the JSON Schema (draft 4) of its input, which may be null.
    ``check(input)`` raises ValueError, with the message, for what the schema cannot say. ``build(input)`` gives the
    command line; it quotes what it takes from the input. ``secret`` names the keys of the input that are sealed until
    the command ends and shown as ``********``. With ``drops_connection`` the device may hang up before it tells an
    exit status, as it does when it reboots, and that is success.
    """

    name: str
    label: str
    schema: JSONObject
    build: Callable[[CommandInput], str]
    check: Callable[[CommandInput], None] = _accept
    secret: frozenset[str] = field(default_factory=frozenset)
    drops_connection: bool = False
