"""The generic REST resource: list, create, read, put, patch, delete; pages, permissions and tenancy."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
import venusian
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy.orm import Session

from guywire.api.body import read_body
from guywire.api.fields import NULL, Validation, is_form
from guywire.api.pages import page_of
from guywire.api.schema import REQUIRED, Schema, validate
from guywire.api.service import APIService
from guywire.errors import Invalid, NotFound
from guywire.models import Organization
from guywire.runtime import Runtime
from guywire.security import Identity, require, require_for_object, visible_to

UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

Filter = Callable[[str], Any]
"""From the text of a query parameter to an SQL condition."""


class Resource:
    """One kind of object under one path.

    A subclass says what is stored (``model``), what a body holds (``schema``, and ``create_schema`` for POST where
    that differs), how a row looks (``represent``) and what creating and changing mean (``create``, ``update``).
    ``kind`` is the object's name in permissions (``add_<kind>``), ``label`` in error messages. With ``shared``,
    objects without organization exist, which everybody may see and superusers may change. ``manager`` False: also
    for users who manage no organization.
    """

    model: ClassVar[Any]
    schema: ClassVar[type[Schema]]
    kind: ClassVar[str]
    label: ClassVar[str]
    create_schema: ClassVar[type[Schema] | None] = None
    shared: ClassVar[bool] = False
    manager: ClassVar[bool] = True
    filters: ClassVar[Mapping[str, Filter]] = {}
    loading: ClassVar[tuple[Any, ...]] = ()
    """Loader options: what else is read with the rows."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.runtime: Runtime = request.runtime
        self.identity: Identity = require(request.identity, request.method, self.kind, manager=self.manager)
        # Only now: opening the session of an unsafe request takes the write lock, which strangers must not.
        self.session: Session = request.db

    # What a subclass refines

    def query(self) -> Any:
        """SELECT of the rows that the user may see."""
        return sa.select(self.model).where(self.visible(self.model.organization_id))

    def create(self, fields: dict[str, Any]) -> Any:
        """Make a row of validated fields. Raises Invalid."""
        raise NotImplementedError

    def update(self, row: Any, fields: dict[str, Any]) -> None:
        """Change a row; ``fields`` holds what the client gave. Raises Invalid."""
        raise NotImplementedError

    def delete(self, row: Any) -> None:
        """Remove a row."""
        self.session.delete(row)

    def represent(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Rows as a list shows them."""
        raise NotImplementedError

    def represent_one(self, row: Any) -> dict[str, Any]:
        """A row as its detail shows it."""
        return self.represent([row])[0]

    def represent_new(self, row: Any) -> dict[str, Any]:
        """A row as the answer to its creation shows it."""
        return self.represent([row])[0]

    # What views call

    def collection_get(self) -> dict[str, Any]:
        """A page of the list, newest first."""
        settings = self.runtime.settings
        selected = self._filtered(self.query()).order_by(None)
        ids = selected.with_only_columns(self.model.id).order_by(self.model.created.desc(), self.model.id.desc())
        page = page_of(
            self.session, self.request, ids, default_size=settings.page_size, max_size=settings.max_page_size
        )
        query = sa.select(self.model).where(self.model.id.in_(page.ids)).options(*self.loading)
        rows = {row.id: row for row in self.session.scalars(query)}
        return page.wrap(self.represent([rows[id] for id in page.ids]))

    def collection_post(self) -> dict[str, Any]:
        """Create an object."""
        fields = self.validated(partial=False)
        self._require_organization(fields)
        row = self.create(fields)
        self.session.flush()
        self.request.response.status = 201
        return self.represent_new(row)

    def get(self) -> dict[str, Any]:
        """One object."""
        return self.represent_one(self.row())

    def put(self) -> dict[str, Any]:
        """Replace an object's fields; optional ones that are left out stay."""
        return self._change(partial=False)

    def patch(self) -> dict[str, Any]:
        """Change the given fields of an object."""
        return self._change(partial=True)

    def delete_one(self) -> None:
        """Delete an object."""
        self.delete(self.row())
        self.session.flush()
        self.request.response.status = 204

    # What they are made of

    @property
    def now(self) -> Any:
        """The time of this request."""
        return self.request.now

    def visible(self, organization_column: Any) -> Any:
        """SQL: the rows of the organizations that the user manages (and the shared ones)."""
        return visible_to(self.identity, organization_column, shared=self.shared)

    def row(self) -> Any:
        """The object of the path, locked when it is going to be changed. Raises NotFound, PermissionDenied."""
        query = self.query().where(self.model.id == self.path_id())
        if self.request.method not in ("GET", "HEAD"):
            # The lock first, then the reading: what is read together with a lock is as old as the wait for it was long.
            self.session.execute(query.with_only_columns(self.model.id).with_for_update(of=self.model))
        row = self.session.scalars(query.options(*self.loading)).first()
        if row is None:
            raise NotFound.of(self.label)
        self.check_object(row)
        return row

    def check_object(self, row: Any) -> None:
        """Whether the user may do this with an object that they see. Raises PermissionDenied."""
        if self.shared:
            require_for_object(self.identity, self.request.method, self.kind, row.organization_id)

    def path_id(self) -> Any:
        """The id in the path."""
        return uuid.UUID(self.request.matchdict["id"])

    def validated(self, *, partial: bool) -> dict[str, Any]:
        """The body's fields. Raises Invalid with all errors at once."""
        data = read_body(self.request)
        context = Validation(
            is_form=is_form(data), exists=self._existing, backends=self.runtime.registry.config_backends
        )
        schema = self.create_schema if self.create_schema and self.request.method == "POST" else self.schema
        fields = validate(schema, data, context, partial=partial)
        if self.shared and not self.identity.is_superuser and fields.get("organization", "absent") is None:
            raise Invalid({"organization": [NULL]})
        return fields

    def _require_organization(self, fields: dict[str, Any]) -> None:
        if self.shared and not self.identity.is_superuser and "organization" not in fields:
            raise Invalid({"organization": [REQUIRED]})

    def _change(self, *, partial: bool) -> dict[str, Any]:
        row = self.row()
        self.update(row, self.validated(partial=partial))
        self.session.flush()
        return self.represent_one(row)

    def _filtered(self, query: Any) -> Any:
        for name, condition in self.filters.items():
            if value := self.request.GET.get(name):
                query = query.where(condition(value))
        return query

    def _existing(self, model: Any, ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        column = model.id if model is Organization else model.organization_id
        visible = visible_to(self.identity, column, shared=bool(column.nullable))
        return set(self.session.scalars(sa.select(model.id).where(model.id.in_(list(ids)), visible)))


ResourceType = TypeVar("ResourceType", bound=type[Resource])


def register(path: str, *, id_pattern: str = UUID_PATTERN) -> Callable[[ResourceType], ResourceType]:
    """Serve a resource: its list at ``path``, each object at ``path`` + id + "/". Found by ``config.scan``."""

    def decorate(resource: ResourceType) -> ResourceType:
        collection = APIService(name=f"{resource.kind}_list", path=path, description=resource.__doc__)
        detail = APIService(
            name=f"{resource.kind}_detail", path=f"{path}{{id:{id_pattern}}}/", description=resource.__doc__
        )
        for service, method, name in (
            (collection, "GET", "collection_get"),
            (collection, "POST", "collection_post"),
            (detail, "GET", "get"),
            (detail, "PUT", "put"),
            (detail, "PATCH", "patch"),
            (detail, "DELETE", "delete_one"),
        ):
            service.add_view(method, _view(resource, name))

        def add(context: Any, name: str, found: Any) -> None:
            config: Configurator = context.config
            config.add_cornice_service(collection)
            config.add_cornice_service(detail)

        venusian.attach(resource, add, category="pyramid")
        return resource

    return decorate


def _view(resource: type[Resource], name: str) -> Callable[[Request], Any]:
    def view(request: Request) -> Any:
        return getattr(resource(request), name)()

    view.__name__ = f"{resource.kind}_{name}"
    view.__doc__ = getattr(resource, name).__doc__
    return view
