"""API keys, each for oneself: ``/api/v1/users/apikey/``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from typing_extensions import override

from guywire.api import fields
from guywire.api.base import Resource, register
from guywire.api.schema import Schema
from guywire.api.shown import Computed
from guywire.errors import Invalid, PermissionDenied
from guywire.models import APIKey
from guywire.services.api_keys import create_api_key

MAX_KEYS = 100

KEYS_MAKE_NO_KEYS = "An API key cannot make others: log in, or use the token of your password."


class APIKeyBody(Schema):
    """What an API key is made of."""

    name: Annotated[str, fields.text(100, help="What the key is for; your own words.")]
    expires: Annotated[datetime | None, fields.moment(null=True, help="When the key ends; empty: never.")] = None


@register("/api/v1/users/apikey/", methods=frozenset({"LIST", "POST", "GET", "DELETE"}))
class APIKeyResource(Resource):
    """Your API keys: tokens for scripts and machines. The key itself is shown once, when it is made."""

    model = APIKey
    schema = APIKeyBody
    kind = "apikey"
    label = "APIKey"
    personal = True
    shown = {  # noqa: RUF012
        "id": APIKey.id,
        "name": APIKey.name,
        "created": APIKey.created,
        "expires": APIKey.expires,
        "last_used": APIKey.last_used,
    }
    shown_when_new = {**shown, "key": Computed(lambda session, row: None, {"type": "string"})}  # noqa: RUF012

    @override
    def query(self) -> Any:
        return sa.select(APIKey).where(APIKey.user_id == self.identity.user_id)

    @override
    def create(self, fields: dict[str, Any]) -> APIKey:
        if self.identity.by_api_key:
            raise PermissionDenied(KEYS_MAKE_NO_KEYS)
        name, expires = fields["name"], fields.get("expires")
        errors: dict[str, Any] = {}
        names = self.session.scalars(sa.select(APIKey.name).where(APIKey.user_id == self.identity.user_id)).all()
        if name in names:
            errors["name"] = ["You have another key with this name."]
        elif len(names) >= MAX_KEYS:
            errors["name"] = [f"You have {MAX_KEYS} keys already; revoke those that nobody uses."]
        if expires is not None and expires <= self.now:
            errors["expires"] = ["Expiration date cannot be in the past."]
        if errors:
            raise Invalid(errors)
        key, self._secret = create_api_key(
            self.session, self.runtime.key_ring, self.identity.user_id, name, expires, self.now
        )
        return key

    @override
    def represent_new(self, row: APIKey) -> dict[str, Any]:
        return {**super().represent_new(row), "key": self._secret}
