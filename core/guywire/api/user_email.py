"""Users' e-mail addresses: ``/api/v1/users/user/{id}/email/``."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pyramid.request import Request
from typing_extensions import override

from guywire.api import fields
from guywire.api.base import UUID_PATTERN, Resource, register
from guywire.api.schema import Schema
from guywire.api.user import OUT_OF_REACH, PATH
from guywire.errors import Invalid, NotFound, PermissionDenied
from guywire.models import EmailAddress, User
from guywire.services import emails, users

STAYS_PRIMARY = "One address is the primary one: make another one primary instead."


class EmailBody(Schema):
    """An e-mail address."""

    email: Annotated[str, fields.email()]
    primary: Annotated[bool, fields.boolean(help="The address that the user logs in with and gets mail at.")] = False


@register(f"{PATH}{{user_id:{UUID_PATTERN}}}/email/", id_pattern=r"[0-9]+")
class EmailResource(Resource):
    """E-mail addresses: those of a user. By the primary one the user logs in and gets mail."""

    model = EmailAddress
    schema = EmailBody
    kind = "emailaddress"
    label = "EmailAddress"
    manager = False
    shown = {  # noqa: RUF012
        "id": EmailAddress.id,
        "email": EmailAddress.email,
        "verified": EmailAddress.verified,
        "primary": EmailAddress.primary,
    }

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        query = sa.select(User).where(User.id == UUID(request.matchdict["user_id"]), users.visible_users(self.identity))
        writes = request.method not in ("GET", "HEAD")
        user = self.session.scalars(query.with_for_update() if writes else query).first()
        if user is None:
            raise NotFound()
        # Who can set an address can have a new password sent to it.
        if writes and not users.has_power_over(self.session, self.identity, user):
            raise PermissionDenied(OUT_OF_REACH)
        self.user: User = user

    @override
    def query(self) -> Any:
        return sa.select(EmailAddress).where(EmailAddress.user_id == self.user.id)

    @override
    def order(self) -> tuple[Any, ...]:
        return (EmailAddress.id,)

    @override
    def create(self, fields: dict[str, Any]) -> EmailAddress:
        address = EmailAddress(user_id=self.user.id, email=self._free(fields["email"], None), verified=False)
        address.primary = False
        self.session.add(address)
        self.session.flush()
        if fields.get("primary") or self.user.email is None:
            emails.make_primary(self.session, self.user, address)
        return address

    @override
    def update(self, row: EmailAddress, fields: dict[str, Any]) -> None:
        if row.primary and not fields.get("primary", True):
            raise Invalid({"primary": [STAYS_PRIMARY]})
        if "email" in fields and fields["email"] != row.email:
            row.email, row.verified = self._free(fields["email"], row.id), False
        if row.primary or fields.get("primary"):
            emails.make_primary(self.session, self.user, row)

    @override
    def delete(self, row: EmailAddress) -> None:
        if row.primary:
            raise Invalid({"primary": [STAYS_PRIMARY]})
        super().delete(row)

    def _free(self, email: str, own_id: int | None) -> str:
        own = sa.select(EmailAddress.id).where(
            EmailAddress.user_id == self.user.id,
            sa.func.lower(EmailAddress.email) == email.lower(),
            EmailAddress.id.is_distinct_from(own_id),
        )
        if emails.is_taken(self.session, email, self.user.id) or self.session.scalar(own) is not None:
            raise Invalid({"email": ["A user is already registered with this e-mail address."]})
        return email
