"""Whether what plugins contribute to connections and commands can be used here."""

from __future__ import annotations

from typing import Any

from guywire.interfaces import CommandType
from guywire.plugin import PluginError
from guywire.registry import Registry
from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError

from guywire_ssh_connection.command_models import Command
from guywire_ssh_connection.models import Credentials, DeviceConnection


def check(registry: Registry) -> None:
    """Whether all of it fits into the tables, and schemas are schemas. Raises PluginError."""
    for connector in registry.connectors.values():
        _check_length("connector", connector.id, "an id", connector.id, Credentials.connector)
    for strategy in registry.update_strategies.values():
        _check_length("update strategy", strategy.id, "an id", strategy.id, DeviceConnection.update_strategy)
    for type in registry.command_types.values():
        _check_type(type)


def _check_type(type: CommandType) -> None:
    _check_length("command type", type.name, "a name", type.name, Command.type)
    _check_length("command type", type.name, "a label", type.label, Command.label)
    try:
        Draft4Validator.check_schema(type.schema)
    except SchemaError as error:
        raise PluginError(f"the command type {type.name!r} has no JSON Schema: {error.message}") from None


def _check_length(kind: str, id: str, what: str, text: str, column: Any) -> None:
    most = column.type.length
    if len(text) > most:
        raise PluginError(f"the {kind} {id!r} has {what} of {len(text)} characters; {most} is the most")
