"""Bearer tokens: ``POST /api/v1/users/token/``."""

from __future__ import annotations

from typing import Annotated, Any

from pyramid.request import Request

from guywire.api import fields
from guywire.api.body import read_body
from guywire.api.field import Validation, is_form
from guywire.api.schema import Schema, validate
from guywire.api.service import APIService, Operation
from guywire.api.shown import object_schema
from guywire.db import reading, writing
from guywire.errors import NON_FIELD, Invalid
from guywire.models import Token
from guywire.runtime import Runtime
from guywire.services.accounts import token_of
from guywire.services.logins import log_in

token = APIService(name="token", path="/api/v1/users/token/", description="The user's bearer token.", public=True)


class Credentials(Schema):
    """What a user logs in with."""

    username: Annotated[str, fields.text()]
    password: Annotated[str, fields.text(trim=False)]


@token.post(operation=Operation(body=Credentials, answer=object_schema(token={"type": "string"}), errors=(429,)))
def obtain_token(request: Request) -> dict[str, Any]:
    """The token of the user with this name and password: always the same one."""
    runtime: Runtime = request.runtime
    data = read_body(request)
    context = Validation(is_form(data), lambda model, ids: set(), runtime.registry)
    given = validate(Credentials, data, context, partial=False)
    user = log_in(runtime, given["username"], given["password"], request.remote_addr, request.now)
    if user is None:
        raise Invalid({NON_FIELD: ["Unable to log in with provided credentials."]})
    with reading(runtime.session_factory) as session:
        known = session.get(Token, user.id)
    if known is not None:
        return {"token": known.key}
    with writing(runtime.session_factory) as session:
        return {"token": token_of(session, runtime.key_ring, user, request.now)}
