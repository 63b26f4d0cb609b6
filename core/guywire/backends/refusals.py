"""Why a configuration is refused: ConfigurationInvalid out of whatever exception netjsonconfig ends with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import jinja2
import jsonschema
import netjsonconfig.exceptions

from guywire.interfaces import ConfigurationInvalid

STUMBLES: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    jinja2.TemplateError,
    re.error,
)
"""What the library stumbles into when a value is missing, or of a kind that it did not expect."""


@contextmanager
def refusing() -> Iterator[None]:
    """Raise ConfigurationInvalid for all that can go wrong with a configuration inside.

    Path and message of what the library found itself are the library's, as in the reference.
    """
    try:
        yield
    except netjsonconfig.exceptions.ValidationError as error:
        raise ConfigurationInvalid(error.message, error.details.path) from error
    except jsonschema.ValidationError as error:
        raise ConfigurationInvalid(error.message, error.path) from error
    except STUMBLES as error:
        raise ConfigurationInvalid(explanation(error)) from error


def explanation(error: Exception) -> str:
    """A sentence for people about an exception that was not made for them."""
    match error:
        case RecursionError():
            return "The configuration is nested too deeply."
        case KeyError(args=(str(name), *_)):
            return f"{name!r} is a required property"
        case TypeError() if str(error).startswith("unhashable"):
            return "The templates cannot be merged: the name or id of an item in a list is a list or an object itself."
        case TypeError() | AttributeError():
            return f"There is a value of an unexpected type: {error}."
    return str(error) or f"There is a value that cannot be rendered ({type(error).__name__})."


def culprit(backend: Any, converter: Any) -> tuple[str | int, ...]:
    """Where a converter stumbled over the configuration: the first item that it cannot convert even alone."""
    known = converter.netjson_key
    for key in [known] if known else list(backend.config):
        section = backend.config[key]
        for index, item in enumerate(section if isinstance(section, list) else ()):
            alone = copy(backend)
            alone.config, alone.intermediate_data = {key: [item]}, {}
            try:
                converter(alone).to_intermediate()
            except STUMBLES:
                return key, index
    return (known,) if known else ()
