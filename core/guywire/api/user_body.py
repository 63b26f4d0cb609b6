"""What bodies of users hold."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any

from pydantic import ValidationInfo

from guywire.api import fields
from guywire.api.body import parse_json
from guywire.api.field import Field, context_of, fail, fail_below
from guywire.api.fields import NOT_JSON, NULL, matching
from guywire.api.schema import Schema, validate
from guywire.errors import Invalid, ParseError
from guywire.models import Group, Organization, Permission
from guywire.passwords import MIN_LENGTH

_USERNAME = re.compile(r"[\w.@+-]+")
_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_MAX_ORGANIZATIONS = 1000

_WRONG_PHONE_NUMBER = "Enter a valid phone number, such as +390612345678."
_WRONG_USERNAME = "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."


@dataclass(frozen=True, slots=True)
class Memberships:
    """What ``organization_users`` asks for: places in organizations (True: as a manager).

    One object adds or changes one place; a list (``is_whole``) says which there are, and the others end.
    """

    places: dict[uuid.UUID, bool]
    is_whole: bool


class MembershipBody(Schema):
    """A place in an organization."""

    organization: Annotated[uuid.UUID, fields.reference(Organization)]
    is_admin: fields.Boolean = False


def _memberships() -> Field:
    def convert(value: Any, info: ValidationInfo) -> Memberships:
        context = context_of(info)
        if context.is_form and isinstance(value, str):
            try:
                value = parse_json(value.encode()) if value.strip() else []
            except ParseError:
                raise fail(NOT_JSON) from None
        if value is None:
            raise fail(NULL)
        entries = value if isinstance(value, list) else [value]
        if len(entries) > _MAX_ORGANIZATIONS or not all(isinstance(each, dict) for each in entries):
            raise fail("Expected an object with organization and is_admin, or a list of them.")
        try:
            places = [validate(MembershipBody, each, context, partial=False) for each in entries]
        except Invalid as error:
            raise fail_below(error.body) from None
        given = {each["organization"]: each.get("is_admin", False) for each in places}
        return Memberships(given, is_whole=isinstance(value, list))

    return Field(
        convert,
        kind="json",
        help="An organization and is_admin: adds or changes a place in it. A list of them replaces all places.",
    )


def permissions_field() -> Field:
    """A list of permissions: their ids, or the texts by which they are shown (``77: device | Can add device``)."""
    ids = fields.references(Permission)

    def convert(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            value = [value] if value else []
        if isinstance(value, list):
            value = [each.partition(":")[0].strip() if isinstance(each, str) else each for each in value]
        return _converted(ids, value, info)

    return replace(ids, func=convert)


def _phone_number() -> Field:
    number = fields.text(16, null=True, blank=True, rules=(matching(_PHONE_NUMBER, _WRONG_PHONE_NUMBER),))

    def convert(value: Any, info: ValidationInfo) -> Any:
        text = re.sub(r"[\s().-]", "", value) if isinstance(value, str) else value
        return _converted(number, text, info) or None

    return replace(number, func=convert, help="With the country: +390612345678.")


def _email_or_none() -> Field:
    email = fields.email(null=True, blank=True)
    return replace(email, func=lambda value, info: _converted(email, value, info) or None)


def _converted(field: Field, value: Any, info: ValidationInfo) -> Any:
    return field.func(value, info)  # type: ignore[call-arg]


def new_password(help: str = "") -> Field:
    """A password that somebody wants to have."""

    def long_enough(text: str) -> list[str]:
        if len(text) >= MIN_LENGTH:
            return []
        return [f"This password is too short. It must contain at least {MIN_LENGTH} characters."]

    return fields.text(1024, trim=False, rules=(long_enough,), kind="password", help=help)


class UserBody(Schema):
    """A user's fields."""

    username: Annotated[str, fields.text(150, rules=(matching(_USERNAME, _WRONG_USERNAME),))]
    email: Annotated[str | None, _email_or_none()]
    first_name: Annotated[str, fields.text(150, blank=True)] = ""
    last_name: Annotated[str, fields.text(150, blank=True)] = ""
    phone_number: Annotated[str | None, _phone_number()] = None
    birth_date: Annotated[date | None, fields.day(null=True)] = None
    is_active: fields.Boolean = True
    is_staff: Annotated[bool, fields.boolean(help="Kept for clients of the reference; it opens nothing.")] = False
    is_superuser: Annotated[bool, fields.boolean(help="May do everything. Only superusers may change it.")] = False
    expiration_date: Annotated[
        date | None, fields.day(null=True, help="The last day on which the user may log in.")
    ] = None
    groups: Annotated[list[int], fields.references(Group)] = []  # noqa: RUF012
    organization_users: Annotated[Any, _memberships()] = None


class NewUserBody(UserBody):
    """What a user is made of."""

    password: Annotated[str, new_password()]
    email_verified: fields.Boolean = False


class UserDetailBody(UserBody):
    """All fields of a user."""

    bio: Annotated[str, fields.text(blank=True)] = ""
    url: Annotated[str, fields.url(blank=True)] = ""
    company: Annotated[str, fields.text(30, blank=True)] = ""
    location: Annotated[str, fields.text(256, blank=True)] = ""
    notes: Annotated[str, fields.text(blank=True)] = ""
    user_permissions: Annotated[list[int], permissions_field()] = []  # noqa: RUF012
