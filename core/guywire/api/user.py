"""Users: ``/api/v1/users/user/``."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from typing_extensions import override

from guywire.api.base import Resource, register
from guywire.api.filters import contains, referring, yes_no
from guywire.api.schema import REQUIRED
from guywire.api.user_body import Memberships, NewUserBody, UserDetailBody
from guywire.api.user_shown import ONLY_FOR_SUPERUSERS, USER, USER_DETAIL
from guywire.errors import FieldErrors, Invalid, PermissionDenied
from guywire.models import Membership, Organization, User
from guywire.services import emails, sessions, users
from guywire.services.accounts import create_user
from guywire.services.memberships import MembershipRefused, add_memberships, replace_memberships

PATH = "/api/v1/users/user/"

OUT_OF_REACH = "You may not change a user who may do more than you, or belongs to organizations that you do not manage."
NOT_YOURS_TO_GIVE = "You cannot give permissions that you do not have."


def _is_in(organization_id: Any) -> Any:
    return User.id.in_(sa.select(Membership.user_id).where(Membership.organization_id == organization_id))


@register(PATH)
class UserResource(Resource):
    """Users: who may log in, and what they may do.

    Superusers see everybody, others the users of their organizations.
    """

    model = User
    schema = UserDetailBody
    create_schema = NewUserBody
    kind = "user"
    label = "User"
    manager = False
    shown = USER
    shown_in_detail = USER_DETAIL
    hidden = ONLY_FOR_SUPERUSERS
    filters = {  # noqa: RUF012
        "search": contains(
            User.username, "Part of a name or e-mail address.", User.email, User.first_name, User.last_name
        ),
        "username": contains(User.username, "Part of the user name."),
        "email": contains(User.email, "Part of the e-mail address."),
        "is_active": yes_no(lambda wanted: User.is_active == wanted, "Who may log in, or who may not."),
        "is_superuser": yes_no(lambda wanted: User.is_superuser == wanted, "Superusers, or all others."),
        "organization": referring(_is_in, Organization, "Only members of this organization."),
    }

    @override
    def query(self) -> Any:
        return sa.select(User).where(users.visible_users(self.identity))

    @override
    def order(self) -> tuple[Any, ...]:
        return User.date_joined.desc(), User.id.desc()

    @override
    def check_object(self, row: User) -> None:
        if self.request.method in ("GET", "HEAD"):
            return
        if not users.has_power_over(self.session, self.identity, row):
            raise PermissionDenied(OUT_OF_REACH)

    @override
    def validated(self, *, partial: bool) -> dict[str, Any]:
        fields = super().validated(partial=partial)
        if not self.identity.is_superuser:
            for name in ONLY_FOR_SUPERUSERS:
                fields.pop(name, None)
        return fields

    @override
    def create(self, fields: dict[str, Any]) -> User:
        if not self.identity.is_superuser and not getattr(fields.get("organization_users"), "places", None):
            # Nobody would see this user any more, the one who made it included.
            raise Invalid({"organization_users": [REQUIRED]})
        self._check(fields, None)
        groups, memberships = fields.pop("groups", []), fields.pop("organization_users", None)
        user = create_user(self.session, self.now, **fields)
        user.groups = users.groups_of(self.session, groups)
        self._join(user, memberships)
        return user

    @override
    def update(self, row: User, fields: dict[str, Any]) -> None:
        self._check(fields, row)
        memberships = fields.pop("organization_users", None)
        if "email" in fields and (email := fields.pop("email")) != row.email:
            emails.set_email(self.session, row, email)
        if "groups" in fields:
            row.groups = users.groups_of(self.session, fields.pop("groups"))
        if "user_permissions" in fields:
            row.permissions = users.permissions_with(self.session, fields.pop("user_permissions"))
        for name, value in fields.items():
            setattr(row, name, value)
        if not row.is_active:
            sessions.end_all_of(self.session, row.id)
        self._join(row, memberships)

    @override
    def present(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body without what its reader must not know: where else somebody is a member, for instance."""
        if not self.identity.is_superuser:
            for name in ONLY_FOR_SUPERUSERS:
                body.pop(name, None)
            body["organization_users"] = [
                each for each in body["organization_users"] if self.identity.manages(each["organization"])
            ]
        return body

    def _join(self, user: User, memberships: Memberships | None) -> None:
        if memberships is None:
            return
        within = None if self.identity.is_superuser else self.identity.managed_organizations
        try:
            if memberships.is_whole:
                replace_memberships(self.session, user, memberships.places, within)
            else:
                add_memberships(self.session, user, memberships.places)
        except MembershipRefused as refused:
            raise Invalid({"organization_users": [str(refused)]}) from None

    def _check(self, fields: dict[str, Any], row: User | None) -> None:
        """What one field cannot know of itself. Raises Invalid with all errors at once."""
        own_id = row.id if row is not None else None
        errors: FieldErrors = {}
        username, email, phone = (fields.get(name) for name in ("username", "email", "phone_number"))
        # A name that is another's address would keep them from logging in by it.
        if username is not None and self._is_taken(
            sa.or_(User.username == username, sa.func.lower(User.email) == username.lower()), own_id
        ):
            errors["username"] = ["A user with that username already exists."]
        if email is not None and emails.is_taken(self.session, email, own_id):
            errors["email"] = ["User with this Email address already exists."]
        if phone is not None and self._is_taken(User.phone_number == phone, own_id):
            errors["phone_number"] = ["User with this Phone number already exists."]
        errors |= self._expiration_errors(fields, row)
        if not users.may_give_groups(self.session, self.identity, self._new_groups(fields, row)):
            errors["groups"] = [NOT_YOURS_TO_GIVE]
        if errors:
            raise Invalid(errors)

    def _is_taken(self, condition: Any, own_id: Any) -> bool:
        query = sa.select(User.id).where(condition, User.id.is_distinct_from(own_id))
        return self.session.scalar(query.limit(1)) is not None

    def _expiration_errors(self, fields: dict[str, Any], row: User | None) -> FieldErrors:
        today = self.now.date()
        stored = row.expiration_date if row is not None else None
        expires = fields.get("expiration_date", stored)
        if expires is None or expires >= today:
            return {}
        if expires != stored:
            return {"expiration_date": ["Expiration date cannot be in the past."]}
        if row is not None and not row.is_active and fields.get("is_active"):
            return {"is_active": ["The account has expired: move its expiration date first."]}
        return {}

    @staticmethod
    def _new_groups(fields: dict[str, Any], row: User | None) -> set[int]:
        return set(fields.get("groups", ())) - {group.id for group in (row.groups if row is not None else ())}
