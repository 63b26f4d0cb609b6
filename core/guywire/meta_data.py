"""The meta data of device groups: free data for integrations, in the form that the installation wants it in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4

from guywire.interfaces import JSONObject
from guywire.settings import SettingInvalid

_KEY = "guywire.device_group_schema"


class MetaDataSchema:
    """The JSON Schema (draft 4) of the setting ``device_group_schema``. Raises SettingInvalid for one that is none.

    It may refer to its own parts only: nothing is fetched while somebody waits.
    """

    def __init__(self, schema: JSONObject) -> None:
        try:
            Draft4Validator.check_schema(schema)
        except SchemaError as error:
            place = "/".join(map(str, error.absolute_path))
            raise SettingInvalid(f"{_KEY}: no JSON Schema of draft 4 at #/{place}: {error.message}") from None
        resource = DRAFT4.create_resource(schema)
        registry: Any = Registry().with_resource("", resource)
        for reference in _references(schema):
            try:
                registry.resolver().lookup(reference)
            except Unresolvable:
                raise SettingInvalid(f"{_KEY}: {reference!r} does not lead to any part of the schema") from None
        self._validator = Draft4Validator(schema, registry=registry)

    def error_of(self, value: Any) -> str | None:
        """What is wrong with ``value``, or None."""
        if not isinstance(value, dict):
            return f"{value!r} is not of type 'object'"
        error = best_match(self._validator.iter_errors(value))
        return None if error is None else str(error.message)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)
