"""The types of commands that come with the plugin."""

from __future__ import annotations

import shlex

from guywire.interfaces import CommandType
from guywire.interfaces.commands import CommandInput

_PASSWORD = {"type": "string", "minLength": 6, "maxLength": 30, "pattern": r"[\S]"}

_CUSTOM = {
    "type": "object",
    "title": "Custom command",
    "properties": {"command": {"type": "string", "minLength": 1, "pattern": "."}},
    "required": ["command"],
    "additionalProperties": False,
}
_REBOOT = {"type": "null", "title": "Reboot"}
_CHANGE_PASSWORD = {
    "type": "object",
    "title": "Change password",
    "properties": {"password": _PASSWORD, "confirm_password": _PASSWORD},
    "required": ["password", "confirm_password"],
    "additionalProperties": False,
}


def _given(input: CommandInput) -> str:
    assert input is not None
    return str(input["command"])


def _check_passwords(input: CommandInput) -> None:
    assert input is not None
    if input["password"] != input["confirm_password"]:
        raise ValueError("The two passwords are not equal.")
    if set(input["password"]) & {"\n", "\r"}:
        # passwd reads lines: a part of it would become the password.
        raise ValueError("A password cannot have more than one line.")


def _passwd(input: CommandInput) -> str:
    assert input is not None
    password = shlex.quote(input["password"])
    # printf belongs to the shell: the password is in nobody's list of processes.
    return f"printf '%s\\n%s\\n' {password} {password} | passwd root"


CUSTOM = CommandType("custom", "Custom commands", _CUSTOM, _given)
REBOOT = CommandType("reboot", "Reboot", _REBOOT, lambda input: "reboot", drops_connection=True)
CHANGE_PASSWORD = CommandType(
    "change_password",
    "Change password",
    _CHANGE_PASSWORD,
    _passwd,
    check=_check_passwords,
    secret=frozenset({"password", "confirm_password"}),
)
TYPES = (CUSTOM, REBOOT, CHANGE_PASSWORD)
