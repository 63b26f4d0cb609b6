"""Filters of lists: query parameters that become conditions. All of them can be combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticCustomError

from guywire.api.field import Field, Validation, fail
from guywire.api.fields import parse_moment, primary_key
from guywire.errors import FieldErrors, Invalid
from guywire.models import Organization
from guywire.registry import Registry


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter.

    ``condition(value, context)`` gives the SQL condition for the parameter's text, or None when it says nothing that
    can be understood and the reference ignores that; it raises ``fail(message)``. ``field`` says what may be asked
    for, to forms and documents. ``alone``: the reference answers with a bare message, not with a list of them.
    """

    condition: Callable[[str, Validation], Any]
    field: Field
    alone: bool = False


def conditions(filters: Mapping[str, Filter], query: Mapping[str, str], context: Validation) -> list[Any]:
    """The conditions that a query asks for; empty and unknown parameters ask for nothing.

    Raises Invalid with the errors of all parameters at once.
    """
    found: list[Any] = []
    errors: FieldErrors = {}
    for name, each in filters.items():
        if text := query.get(name):
            try:
                condition = each.condition(text, context)
            except PydanticCustomError as error:
                messages = (error.context or {})["messages"]
                errors[name] = messages[0] if each.alone else messages
            else:
                if condition is not None:
                    found.append(condition)
    if errors:
        raise Invalid(errors)
    return found


def _field(kind: str, **options: Any) -> Field:
    return Field(str, kind=kind, **options)


def contains(column: Any, help: str = "", *more: Any) -> Filter:
    """The text occurs in the column (or in one of ``more``), in any case."""
    columns = (column, *more)
    return Filter(
        lambda text, context: sa.or_(*(each.icontains(text, autoescape=True) for each in columns)),
        _field("string", help=help),
    )


def exactly(column: Any, help: str = "") -> Filter:
    """The column is the text."""
    return Filter(lambda text, context: column == text, _field("string", help=help))


def choice(condition: Callable[[str], Any], choices: Callable[[Registry], Mapping[str, str]], help: str = "") -> Filter:
    """One of some choices; ``condition(value)`` is the SQL."""

    def check(text: str, context: Validation) -> Any:
        if text not in choices(context.registry):
            raise fail(f"Select a valid choice. {text} is not one of the available choices.")
        return condition(text)

    return Filter(check, _field("choice", choices=choices, help=help))


def related(column: Any, model: Any, help: str = "") -> Filter:
    """The column refers to this object of ``model``, which the user must be able to see."""
    return referring(lambda key: column == key, model, help)


def referring(condition: Callable[[Any], Any], model: Any, help: str = "") -> Filter:
    """``condition(id)`` for the id of an object of ``model``, which the user must be able to see."""

    def check(text: str, context: Validation) -> Any:
        key = primary_key(model, text)
        if not context.exists(model, [key]):
            raise fail("Select a valid choice. That choice is not one of the available choices.")
        return condition(key)

    return Filter(check, _field("reference", model=model, help=help))


def identifier(condition: Callable[[Any], Any], model: Any, help: str = "") -> Filter:
    """``condition(id)`` for the id of an object of ``model``; one that nobody has matches nothing."""

    def check(text: str, context: Validation) -> Any:
        try:
            return condition(primary_key(model, text))
        except PydanticCustomError:
            raise fail("Invalid UUID format") from None

    return Filter(check, _field("reference", model=model, help=help), alone=True)


def organization(column: Any) -> Mapping[str, Filter]:
    """``organization`` (an id) and ``organization_slug``, as all lists of organizations' objects have them."""
    return {
        "organization": related(column, Organization, "Only of this organization."),
        "organization_slug": Filter(
            lambda slug, context: column.in_(sa.select(Organization.id).where(Organization.slug == slug)),
            _field("slug", help="Only of the organization with this slug."),
        ),
    }


_YES_NO = {"true": True, "false": False, "1": True, "0": False}


def yes_no(condition: Callable[[bool], Any], help: str = "") -> Filter:
    """True or false; anything else is ignored, as the reference does."""

    def check(text: str, context: Validation) -> Any:
        wanted = _YES_NO.get(text.lower())
        return None if wanted is None else condition(wanted)

    return Filter(check, _field("boolean", help=help))


def moments(name: str, column: Any) -> Mapping[str, Filter]:
    """``name`` (exactly then), ``name__gte`` and ``name__lt``."""
    return {
        name: _moment(lambda moment: column == moment, "Exactly then."),
        f"{name}__gte": _moment(lambda moment: column >= moment, "Then or later."),
        f"{name}__lt": _moment(lambda moment: column < moment, "Earlier."),
    }


def _moment(condition: Callable[[Any], Any], help: str) -> Filter:
    def check(text: str, context: Validation) -> Any:
        # A plus sign that was not escaped arrives as a space.
        moment = parse_moment(text) or parse_moment("+".join(text.rsplit(" ", 1)))
        if moment is None:
            raise fail("Enter a valid date/time.")
        return condition(moment)

    return Filter(check, _field("datetime", help=help))
