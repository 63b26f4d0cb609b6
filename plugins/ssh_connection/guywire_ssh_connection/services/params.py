"""Parameters of connectors: whether they are what is needed, and what of them is shown to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from guywire.errors import Invalid
from guywire.interfaces import Connector
from jsonschema import Draft4Validator
from jsonschema.exceptions import best_match

from guywire_ssh_connection.services.command_input import MASK

BLANK = "This field cannot be blank."


def check(connector: Connector, params: Any, inherited: Mapping[str, Any] | None = None) -> None:
    """Whether the parameters are what a connector needs. Raises Invalid.

    ``inherited`` are those among them that the client did not give: what is wrong is said without their secrets.
    """
    messages = [] if params else [BLANK]
    error = best_match(Draft4Validator(connector.schema).iter_errors(params))
    if error is not None:
        messages.append(error.message)
    elif not messages:
        try:
            connector.validate(params)
        except ValueError as refused:
            messages.append(str(refused))
    if messages:
        secrets = [value for name, value in (inherited or {}).items() if name in connector.secrets and value]
        raise Invalid({"params": [_without(secrets, message) for message in messages]})


def _without(secrets: Iterable[Any], message: str) -> str:
    # JSON Schema's messages quote what they are about, which may be all of the parameters.
    for secret in secrets:
        message = message.replace(repr(secret), repr(MASK)).replace(str(secret), MASK)
    return message


def masked(connector: Connector | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without their secrets. Without the connector nobody knows what is one."""
    secrets = params.keys() if connector is None else connector.secrets
    return {name: MASK if name in secrets else value for name, value in params.items()}


def unmasked(connector: Connector | None, given: Any, before: Mapping[str, Any]) -> Any:
    """What a client means who was shown masks and sends them back: the secrets that there are. Raises Invalid where
    there is none.
    """
    if not isinstance(given, dict):
        return given
    secrets = given.keys() if connector is None else connector.secrets
    sent_back = {name for name, value in given.items() if value == MASK and name in secrets}
    for name in given:
        if name in sent_back and name not in before:
            raise Invalid({"params": [f"{name}: {MASK} means that the secret stays as it is, and there is none."]})
    return {name: before[name] if name in sent_back else value for name, value in given.items()}
