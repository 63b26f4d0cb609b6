"""A proof of who may do what, for every route that there is: the core's, and a plugin's without further ado.

``walk`` asks every method of every registered service, as every kind of user, about an object of their own
organization, of another one, of a disabled one and about a shared one, and compares what comes back with what the
service says of itself (its ``Operation``, its ``Resource``).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.api.service import APIService, Operation
from guywire.db import writing
from guywire.models import Organization
from guywire.runtime import Runtime
from guywire.sealing import SealedText
from guywire.security import Identity

ALLOWED, ANONYMOUS, FORBIDDEN, HIDDEN = "allowed", "unauthenticated", "forbidden", "hidden"
LEAKING = "leaking"
"""An answer that speaks of an object that the visitor must not know of."""
FAILING = "failing"
"""A mistake of ours."""

_BY_STATUS = {401: ANONYMOUS, 403: FORBIDDEN, 404: HIDDEN}


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks: a name for reports, a token, and what is known of their rights (None: nobody)."""

    name: str
    token: str | None
    identity: Identity | None


@dataclass(frozen=True)
class Question:
    """One method of one service, about an object of an organization (None: a shared one), or about none.

    ``has_object`` says whether it is about one at all, ``has_owner`` whether such objects belong to organizations.
    """

    service: APIService
    method: str
    resource: Any
    owner: uuid.UUID | None
    has_object: bool
    has_owner: bool = True

    @property
    def operation(self) -> Operation:
        """What the service says of the method."""
        operation = self.service.operation_of(self.method)
        assert operation is not None
        return operation


def expected(visitor: Visitor, question: Question) -> str:
    """What has to come of a question: the one rule of the API, written down a second time."""
    operation = question.operation
    if question.service.public:
        return ALLOWED
    identity = visitor.identity
    if identity is None:
        return ANONYMOUS
    if identity.is_superuser:
        return ALLOWED
    if operation.permission is not None and operation.manager and not identity.managed_organizations:
        return FORBIDDEN
    action, _, kind = (operation.permission or "").partition("_")
    if action and not (identity.has_permission(action, kind) or _may_read(identity, action, kind)):
        return FORBIDDEN
    if not (question.has_object and question.has_owner):
        return ALLOWED
    if question.owner is not None:
        return ALLOWED if question.owner in identity.managed_organizations else HIDDEN
    may_look = question.method in ("GET", "HEAD") and not operation.guarded
    return ALLOWED if may_look and identity.has_permission("view", kind) else FORBIDDEN


def _may_read(identity: Identity, action: str, kind: str) -> bool:
    return action == "view" and identity.has_permission("change", kind)


@dataclass
class Walk:
    """The walk through an application.

    ``organizations`` are those that objects are made for. ``make`` makes those that ``make_row`` cannot guess, by
    model, or by the name of the service that needs a special one. ``paths`` fills placeholders of paths that are no
    ids. ``missing`` names services where whoever is let in finds nothing, and ``exceptions``, by service name and
    method, what is otherwise than the rule says, with a reason.
    """

    app: Any
    runtime: Runtime
    organizations: list[uuid.UUID]
    make: Mapping[Any, Callable[[Session, uuid.UUID | None], Any]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    exceptions: Mapping[tuple[str, str], str] = field(default_factory=dict)
    rows: dict[tuple[Any, uuid.UUID | None], Mapping[str, Any]] = field(default_factory=dict)
    spent: set[tuple[Any, uuid.UUID | None]] = field(default_factory=set)

    def questions(self, services: list[APIService]) -> Iterator[Question]:
        """All questions about some services, in a fixed order."""
        resources = {each.path: each.resource for each in services if each.resource is not None}
        for service in services:
            resource = service.resource or _parent(service.path, resources)
            methods = [*service.operations, *(["HEAD"] if "GET" in service.operations else [])]
            for method in methods:
                if (service.name, method) in self.exceptions:
                    continue
                yield from self._about(service, method, resource)

    def ask(self, visitor: Visitor, question: Question) -> tuple[str, str]:
        """What came of a question: the kind of answer, and its text."""
        url = self._url(question)
        headers = {} if visitor.token is None else {"Authorization": f"Bearer {visitor.token}"}
        options: dict[str, Any] = {"method": question.method, "headers": headers, "status": "*"}
        if question.method in ("POST", "PUT", "PATCH"):
            options |= {"body": b"{}", "content_type": "application/json"}
        answer = self.app.request(url, **options)
        kind = FAILING if answer.status_int >= 500 else _BY_STATUS.get(answer.status_int, ALLOWED)
        if question.has_object and question.method not in ("GET", "HEAD") and kind not in _BY_STATUS.values():
            # What is deleted is gone, and an action may change what the next one needs.
            self.spent.add(self._key(question))
        if kind == HIDDEN and question.service.name in self.missing:
            kind = ALLOWED
        if any(str(id).encode() in answer.body for id in self._secret_from(visitor)):
            kind = LEAKING
        return kind, f"{answer.status} {answer.body[:200]!r}"

    def _secret_from(self, visitor: Visitor) -> Iterator[Any]:
        """The ids of objects that a visitor must not read of, but for those that they asked for themselves."""
        if visitor.identity is not None and visitor.identity.is_superuser:
            return
        managed = visitor.identity.managed_organizations if visitor.identity is not None else ()
        for (_, owner), columns in self.rows.items():
            id = columns.get("id")
            if owner is not None and owner not in managed and isinstance(id, uuid.UUID):
                yield id

    def _about(self, service: APIService, method: str, resource: Any) -> Iterator[Question]:
        if "{" not in service.path or resource is None:
            yield Question(service, method, resource, None, has_object=False)
            return
        model = resource.model
        if model is not Organization and model not in self.make and not hasattr(model, "organization_id"):
            yield Question(service, method, resource, None, has_object=True, has_owner=False)
            return
        for organization in self.organizations:
            yield Question(service, method, resource, organization, has_object=True)
        if resource.shared:
            yield Question(service, method, resource, None, has_object=True)

    def _url(self, question: Question) -> str:
        values = self._columns(question) if question.has_object else {}

        def fill(match: re.Match[str]) -> str:
            # What is no id of the object itself is one of its parent, to which the object refers under this name.
            return str(values.get(match[1], self.paths.get(match[1], uuid.UUID(int=0))))

        path = re.sub(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}", fill, question.service.path)
        return f"{path}?force=true" if question.method == "DELETE" else path

    def _columns(self, question: Question) -> Mapping[str, Any]:
        """The columns of an object to ask about."""
        key = self._key(question)
        if key not in self.rows or key in self.spent:
            self.spent.discard(key)
            with writing(self.runtime.session_factory) as session:
                make = self.make.get(key[0])
                row = (
                    make(session, question.owner)
                    if make is not None
                    else make_row(session, question.resource.model, question.owner, self.runtime.clock())
                )
                self.rows[key] = {column.key: getattr(row, column.key) for column in sa.inspect(type(row)).column_attrs}
        return self.rows[key]

    def _key(self, question: Question) -> tuple[Any, uuid.UUID | None]:
        """What the object of a question is remembered by."""
        name = question.service.name
        return name if name in self.make else question.resource.model, question.owner


def _parent(path: str, resources: Mapping[str, Any]) -> Any:
    """The resource whose detail's path is the beginning of ``path``."""
    found = [each for each in resources if "{id" in each and path.startswith(each)]
    return resources[max(found, key=len)] if found else None


def make_row(session: Session, model: Any, owner: uuid.UUID | None, now: datetime) -> Any:
    """A row of any model that belongs to an organization, its required columns filled with something."""
    if model is Organization and owner is not None:
        return session.get_one(Organization, owner)
    values: dict[str, Any] = {}
    for attribute in sa.inspect(model).column_attrs:
        column = attribute.columns[0]
        if attribute.key == "organization_id":
            values[attribute.key] = owner
        elif (
            attribute.key == "id"
            or column is column.table.autoincrement_column
            or column.nullable
            or (column.default is not None and not _is_text(column))
        ):
            continue
        else:
            values[attribute.key] = _something(column, now)
    row = model(**values)
    session.add(row)
    session.flush()
    return row


def _is_text(column: Any) -> bool:
    return isinstance(column.type, (sa.String, SealedText))


def _something(column: Any, now: datetime) -> Any:
    if _is_text(column):
        return uuid.uuid4().hex[: getattr(column.type, "length", None) or 32]
    kind = column.type.python_type if not isinstance(column.type, sa.types.TypeDecorator) else None
    if kind is None:
        kind = datetime if isinstance(column.type.impl, sa.DateTime) else dict
    return {datetime: now, date: now.date(), dict: {}, uuid.UUID: uuid.uuid4(), bool: False}.get(kind, 0)
