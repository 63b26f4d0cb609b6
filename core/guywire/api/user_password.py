"""Passwords: of others, one's own, and new ones for those who forgot theirs."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pyramid.request import Request

from guywire.api import fields
from guywire.api.base import UUID_PATTERN
from guywire.api.body import read_body
from guywire.api.field import Validation, is_form
from guywire.api.schema import REQUIRED, Schema, validate
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.api.user import OUT_OF_REACH, PATH
from guywire.api.user_body import new_password
from guywire.db import reading, writing
from guywire.errors import Invalid, NotAuthenticated, NotFound, PermissionDenied
from guywire.models import User
from guywire.passwords import hash_password, verify_password
from guywire.runtime import Runtime
from guywire.security import Identity, require
from guywire.services import password_reset, throttle, users

USERS = "/api/v1/users/"

NO_MATCH = "The two password fields didn’t match."
SAME = "New password cannot be the same as your old password."
WRONG = "Your old password was entered incorrectly. Please enter it again."

_DETAIL = object_schema(detail={"type": "string"})
_STATUS = object_schema(status={"type": "string"}, message={"type": "string"})


def _old_password(null: bool = False) -> Any:
    return fields.text(null=null, blank=null, trim=False, kind="password")


class SetPasswordBody(Schema):
    """A new password for a user."""

    current_password: Annotated[str | None, _old_password(null=True)] = None
    new_password: Annotated[str, new_password()]
    confirm_password: Annotated[str, _old_password()]


class ChangePasswordBody(Schema):
    """A new password for oneself."""

    old_password: Annotated[str, _old_password()]
    new_password1: Annotated[str, new_password()]
    new_password2: Annotated[str, _old_password()]


class ResetBody(Schema):
    """Who forgot a password."""

    input: Annotated[str, fields.text(254, help="The e-mail address or the user name of the account.")]


class ConfirmBody(Schema):
    """What the mail says, and a new password."""

    uid: Annotated[str, fields.text(64)]
    token: Annotated[str, fields.text(128)]
    new_password1: Annotated[str, new_password()]
    new_password2: Annotated[str, _old_password()]


setting = APIService(
    name="user_password",
    path=f"{PATH}{{id:{UUID_PATTERN}}}/password/",
    description="A new password for a user.",
)
changing = APIService(
    name="password_change",
    path=f"{USERS}user/password/change/",
    description="A new password for oneself.",
)
resetting = APIService(
    name="password_reset",
    path=f"{USERS}password/reset/",
    description="Has a token for a new password mailed to whoever forgot theirs.",
    public=True,
)
confirming = APIService(
    name="password_reset_confirm",
    path=f"{USERS}password/reset/confirm/",
    description="A new password, with the token from the mail.",
    public=True,
)


@setting.put(
    operation=Operation(
        body=SetPasswordBody, answer=_STATUS, permission="change_user", manager=False, errors=(404, 429)
    )
)
def set_users_password(request: Request) -> dict[str, Any]:
    """Set a user's password. One's own takes the current one, unless one is a superuser. Logins of before end."""
    identity = require(request.identity, "PUT", "user", manager=False)
    runtime: Runtime = request.runtime
    with reading(runtime.session_factory) as session:
        query = sa.select(User).where(User.id == UUID(request.matchdict["id"]), users.visible_users(identity))
        user = session.scalars(query).first()
        if user is None:
            raise NotFound.of("User")
        if not users.has_power_over(session, identity, user):
            raise PermissionDenied(OUT_OF_REACH)
    given = _validated(request, SetPasswordBody)
    if user.id == identity.user_id and not identity.is_superuser:
        if given.get("current_password") is None:
            raise Invalid({"current_password": [REQUIRED]})
        _require_password(request, user, given["current_password"], "current_password")
    _require_new(user, given["new_password"], given["confirm_password"], "new_password", "confirm_password")
    _store(request, user, given["new_password"])
    return {"status": "Success", "message": "Password updated successfully"}


@changing.post(operation=Operation(body=ChangePasswordBody, answer=_DETAIL, errors=(429,)))
def change_own_password(request: Request) -> dict[str, Any]:
    """Change the own password. Sessions and the token of before end; API keys stay."""
    identity: Identity | None = request.identity
    if identity is None:
        raise NotAuthenticated()
    runtime: Runtime = request.runtime
    given = _validated(request, ChangePasswordBody)
    with reading(runtime.session_factory) as session:
        user = session.get_one(User, identity.user_id)
    _require_password(request, user, given["old_password"], "old_password")
    _require_new(user, given["new_password1"], given["new_password2"], "new_password1", "new_password2")
    _store(request, user, given["new_password1"])
    return {"detail": "New password has been saved."}


@resetting.post(operation=Operation(body=ResetBody, answer=_DETAIL, errors=(429,)))
def reset_password(request: Request) -> dict[str, Any]:
    """Ask for a mail with a token. The answer is the same for addresses that nobody has."""
    runtime: Runtime = request.runtime
    email = _validated(request, ResetBody)["input"]
    throttle.count_mail(runtime, email, request.remote_addr, request.now)
    # Who has the address is looked up by the job: neither the answer nor its time tells.
    runtime.queue.enqueue(password_reset.JOB, email=email)
    return {"detail": "Password reset e-mail has been sent."}


@confirming.post(operation=Operation(body=ConfirmBody, answer=_DETAIL, errors=(429,)))
def confirm_reset(request: Request) -> dict[str, Any]:
    """Set the password that was forgotten. Sessions and the token of before end; API keys stay."""
    runtime: Runtime = request.runtime
    given = _validated(request, ConfirmBody)
    throttle.check(runtime, given["uid"], request.remote_addr, request.now)
    with reading(runtime.session_factory) as session:
        user = password_reset.user_of_token(
            session,
            runtime.key_ring,
            given["uid"],
            given["token"],
            request.now,
            runtime.settings.password_reset_lifetime,
        )
    if user is None:
        throttle.record_failure(runtime, given["uid"], request.remote_addr, request.now)
        raise Invalid({"token": ["Invalid value"]})
    _require_new(user, given["new_password1"], given["new_password2"], "new_password1", "new_password2")
    _store(request, user, given["new_password1"])
    return {"detail": "Password has been reset with the new password."}


def _validated(request: Request, schema: type[Schema]) -> dict[str, Any]:
    data = read_body(request)
    context = Validation(is_form(data), lambda model, ids: set(), request.runtime.registry)
    return validate(schema, data, context, partial=False)


def _require_password(request: Request, user: User, password: str, field: str) -> None:
    """Whoever found a browser that is logged in shall not find out the password. Raises Invalid, Throttled."""
    runtime: Runtime = request.runtime
    throttle.check(runtime, user.username, request.remote_addr, request.now)
    if not verify_password(password, user.password):
        throttle.record_failure(runtime, user.username, request.remote_addr, request.now)
        raise Invalid({field: [WRONG]})


def _require_new(user: User, password: str, again: str, field: str, again_field: str) -> None:
    if password != again:
        raise Invalid({again_field: [NO_MATCH]})
    if verify_password(password, user.password):
        raise Invalid({field: [SAME]})


def _store(request: Request, seen: User, password: str) -> None:
    """Store the new password, unless it was changed since ``seen`` was read: then what was proved says nothing."""
    hashed = hash_password(password)
    runtime: Runtime = request.runtime
    with writing(runtime.session_factory) as session:
        user = session.scalars(sa.select(User).where(User.id == seen.id).with_for_update()).first()
        if user is None or user.password != seen.password:
            raise NotFound.of("User")
        user.password, user.password_updated = hashed, request.now.date()
        users.end_logins(session, user.id)
