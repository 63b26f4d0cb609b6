"""What a reference may refer to, as options of a form: only what the user could see in a list as well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticCustomError
from pyramid.request import Request
from sqlalchemy.orm import Session

from guywire.api.base import Resource
from guywire.api.fields import primary_key
from guywire.browsable.sitemap import sitemap_of
from guywire.errors import APIError
from guywire.models import Organization, User
from guywire.security import Identity, visible_rows

LIMIT = 200
"""More are not offered: nobody finds anything in a longer list."""

_NAMES = ("name", "username", "label", "common_name", "email")


@dataclass(frozen=True, slots=True)
class Options:
    """Ids and labels. ``complete`` is False if there are more than are offered."""

    pairs: list[tuple[str, str]]
    complete: bool


def options_of(
    request: Request, session: Session, identity: Identity | None, model: Any, chosen: Iterable[Any]
) -> Options:
    """The objects of ``model`` to choose from, by name; what is ``chosen`` already is always among them."""
    query = None if identity is None else visible_query(request, session, identity, model)
    if query is None:
        return Options([], complete=True)
    owner = User if hasattr(model, "user_id") else model
    name = next(
        (getattr(owner, each) for each in _NAMES if hasattr(owner, each)), sa.cast(model.id, sa.String).label("name")
    )
    rows = sa.select(model.id, name).where(model.id.in_(query.with_only_columns(model.id).order_by(None)))
    if owner is User and model is not User:
        rows = rows.join(User, User.id == model.user_id)
    if hasattr(model, "organization_id"):
        rows = rows.outerjoin(Organization, Organization.id == model.organization_id).add_columns(Organization.name)
    found = list(session.execute(rows.order_by(name, model.id).limit(LIMIT + 1)))
    complete = len(found) <= LIMIT
    found = found[:LIMIT]
    missing = {str(each) for each in chosen} - {str(row[0]) for row in found}
    if missing and not complete:
        found += session.execute(rows.where(model.id.in_(_keys(model, missing))))
    return Options([(str(row[0]), _label(row)) for row in found], complete)


def _keys(model: Any, texts: Iterable[str]) -> list[Any]:
    """The texts that are ids: what a refused form held may be anything."""
    keys = []
    for text in texts:
        try:
            keys.append(primary_key(model, text))
        except PydanticCustomError:
            continue
    return keys


def _label(row: Any) -> str:
    if len(row) < 3:
        return str(row[1])
    return f"{row[1]} ({row[2] or 'shared'})"


def visible_query(request: Request, session: Session, identity: Identity, model: Any) -> Any:
    """SELECT of what the user sees of ``model``; None if that is nothing."""
    service = sitemap_of(request.registry).list_of(model)
    if service is not None:
        try:
            return _reader(request, session, identity, service.resource).query()
        except APIError:
            return None
    # No list shows them: then they are the organizations' own, or nobody's but the superusers' business.
    if hasattr(model, "organization_id") or identity.is_superuser:
        return sa.select(model).where(visible_rows(identity, model))
    return None


def _reader(request: Request, session: Session, identity: Identity, resource: type[Resource]) -> Resource:
    """The resource as it would be to a GET of its list."""
    asked: Any = SimpleNamespace(
        method="GET",
        runtime=request.runtime,
        registry=request.registry,
        identity=identity,
        db=session,
        now=request.now,
        matchdict={},
        GET={},
        path="",
    )
    return resource(asked)
