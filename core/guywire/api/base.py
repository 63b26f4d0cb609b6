"""The generic REST resource: list, create, read, put, patch, delete; pages, permissions and tenancy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
import venusian
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy.orm import Session

from guywire.api.body import read_body
from guywire.api.field import Validation, is_form
from guywire.api.field_groups import FieldGroup, extended, save, without
from guywire.api.fields import NULL
from guywire.api.filters import Filter, conditions
from guywire.api.operations import add_method, service_of
from guywire.api.pages import page_of
from guywire.api.schema import REQUIRED, Schema, validate
from guywire.api.service import APIService
from guywire.api.shown import PageReader, Shown, body_of
from guywire.errors import Invalid, NotFound
from guywire.registry import Registry
from guywire.runtime import Runtime
from guywire.security import Identity, require, require_for_object, visible_rows, visible_to

UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class Resource:
    """One kind of object under one path.

    A subclass says what is stored (``model``), what a body holds (``schema``, and ``create_schema`` for POST where
    that differs), what is shown of a row (``shown``, and ``shown_in_detail`` where that is more) and what creating
    and changing mean (``create``, ``update``). ``kind`` is the object's name in permissions (``add_<kind>``),
    ``label`` in error messages. With ``shared``, objects without organization exist, which everybody may see and
    superusers may change. ``manager`` False: also for users who manage no organization. ``personal``: everybody has
    some of their own, and needs no permission for them.
    """

    model: ClassVar[Any]
    schema: ClassVar[type[Schema]]
    kind: ClassVar[str]
    label: ClassVar[str]
    create_schema: ClassVar[type[Schema] | None] = None
    shared: ClassVar[bool] = False
    manager: ClassVar[bool] = True
    force: ClassVar[str] = ""
    """What DELETE with ``?force=true`` goes through in spite of; empty where nothing stands in the way."""
    personal: ClassVar[bool] = False
    made_by_put: ClassVar[bool] = False
    """Whether PUT may also create, and then answers with 201."""
    shown: ClassVar[Shown]
    shown_in_detail: ClassVar[Shown | None] = None
    shown_when_new: ClassVar[Shown | None] = None
    """What the answer to a creation shows, where that is not what lists do."""
    hidden: ClassVar[Collection[str]] = ()
    """Those keys of what is shown that not everybody is shown."""
    reader: ClassVar[PageReader]
    """Made by ``register`` of what lists show."""
    filters: ClassVar[Mapping[str, Filter]] = {}
    loading: ClassVar[tuple[Any, ...]] = ()
    """Loader options: what else is read with a single row."""
    field_groups: ClassVar[tuple[FieldGroup, ...]] = ()
    """What plugins add to it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.runtime: Runtime = request.runtime
        self.identity: Identity = self.authorized()
        # Only now: opening the session of an unsafe request takes the write lock, which strangers must not.
        self.session: Session = request.db

    # What a subclass refines

    def authorized(self) -> Identity:
        """Whoever asks, if they may use this method at all. Raises NotAuthenticated, PermissionDenied."""
        if self.personal and self.request.identity is not None:
            return self.request.identity
        return require(self.request.identity, self.request.method, self.kind, manager=self.manager)

    def query(self) -> Any:
        """SELECT of the rows that the user may see."""
        return sa.select(self.model).where(self.visible(self.model.organization_id))

    def create(self, fields: dict[str, Any]) -> Any:
        """Make a row of validated fields. Raises Invalid."""
        raise NotImplementedError

    def update(self, row: Any, fields: dict[str, Any]) -> None:
        """Change a row; ``fields`` holds what the client gave. Raises Invalid."""
        raise NotImplementedError

    def settle(self, row: Any, added: dict[str, Any]) -> None:
        """What is left to do when a row is created or changed and plugins have saved their fields, ``added``.

        Raises Invalid.
        """

    def delete(self, row: Any) -> None:
        """Remove a row."""
        self.session.delete(row)

    def order(self) -> tuple[Any, ...]:
        """What lists are ordered by: the newest come first."""
        return self.model.created.desc(), self.model.id.desc()

    def present(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body, in lists too, as it is given to whoever asks: with links, without what they may not know."""
        return body

    def represent(self, row: Any) -> dict[str, Any]:
        """A row as its detail shows it."""
        return self.present(body_of(self.session, self.shown_in_detail or self.shown, row))

    def represent_new(self, row: Any) -> dict[str, Any]:
        """A row as the answer to its creation shows it."""
        return self.present(body_of(self.session, self.shown_when_new or self.shown, row))

    # What views call

    def collection_get(self) -> dict[str, Any]:
        """A page of the list, newest first."""
        settings = self.runtime.settings
        wanted = conditions(self.filters, self.request.GET, self.validation(is_form=False))
        ids = self.query().where(*wanted).with_only_columns(self.model.id).order_by(None).order_by(*self.order())
        page = page_of(
            self.session, self.request, ids, default_size=settings.page_size, max_size=settings.max_page_size
        )
        return page.wrap([self.present(body) for body in self.reader.read(self.session, page.ids)])

    def collection_post(self) -> dict[str, Any]:
        """Create an object."""
        fields = self.validated(partial=False)
        self._require_organization(fields)
        row = self.create(without(self.field_groups, fields))
        self._settle(row, fields)
        self.request.response.status = 201
        return self.represent_new(row)

    def get(self) -> dict[str, Any]:
        """One object."""
        return self.represent(self.row())

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
    def is_forced(self) -> bool:
        """Whether a deletion goes through whatever stands in the way."""
        return bool(self.force) and self.request.GET.get("force") == "true"

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
            # Not against those who only refer to the object: they may hold what its change is going to wait for.
            lock = query.with_only_columns(self.model.id).with_for_update(of=self.model, key_share=True)
            self.session.execute(lock)
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
        """The id in the path. Raises NotFound for a number that no row can have."""
        key = self.model.__table__.c.id.type.python_type(self.request.matchdict["id"])
        if isinstance(key, int) and key >= 2**31:
            raise NotFound.of(self.label)
        return key

    def validated(self, *, partial: bool) -> dict[str, Any]:
        """The body's fields. Raises Invalid with all errors at once."""
        data = read_body(self.request)
        schema = self.create_schema if self.create_schema and self.request.method == "POST" else self.schema
        fields = validate(schema, data, self.validation(is_form(data)), partial=partial)
        if self.shared and not self.identity.is_superuser and fields.get("organization", "absent") is None:
            raise Invalid({"organization": [NULL]})
        return fields

    def validation(self, is_form: bool) -> Validation:
        """What fields and filters have to know of this request."""
        return Validation(is_form=is_form, exists=self._existing, registry=self.runtime.registry)

    def _require_organization(self, fields: dict[str, Any]) -> None:
        if self.shared and not self.identity.is_superuser and "organization" not in fields:
            raise Invalid({"organization": [REQUIRED]})

    def _change(self, *, partial: bool) -> dict[str, Any]:
        row = self.row()
        fields = self.validated(partial=partial)
        self.update(row, without(self.field_groups, fields))
        self._settle(row, fields)
        return self.represent(row)

    def _settle(self, row: Any, fields: dict[str, Any]) -> None:
        self.session.flush()
        self.settle(row, save(self.field_groups, self.session, row, fields, self.now))
        self.session.flush()

    def _existing(self, model: Any, ids: Iterable[Any]) -> set[Any]:
        query = sa.select(model.id).where(model.id.in_(list(ids)), visible_rows(self.identity, model))
        return set(self.session.scalars(query))


ResourceType = TypeVar("ResourceType", bound=type[Resource])

_COLLECTION = {"GET": "collection_get", "POST": "collection_post"}
_DETAIL = {"GET": "get", "PUT": "put", "PATCH": "patch", "DELETE": "delete_one"}
ALL_METHODS = frozenset({"LIST", "POST", "GET", "PUT", "PATCH", "DELETE"})


def register(
    path: str, *, id_pattern: str = UUID_PATTERN, methods: frozenset[str] = ALL_METHODS, prefix: str = ""
) -> Callable[[ResourceType], ResourceType]:
    """Serve a resource: its list at ``path``, each object at ``path`` + id + "/". Found by ``config.scan``.

    ``methods`` names those that there are; LIST is the GET of the list. ``prefix`` begins the names of the services,
    where that is not the kind, because the resource has a second path. The plugins of the application that scans may
    have fields of their own for it.
    """

    def services(resource: Any, registry: Registry) -> Iterator[APIService]:
        resource = extended(resource, registry.field_groups)
        resource.reader = PageReader(resource.shown, resource.model.id)
        begin = prefix or resource.kind
        collection = service_of(resource, f"{begin}_list", path, f"{resource.label} list")
        detail = service_of(resource, f"{begin}_detail", f"{path}{{id:{id_pattern}}}/", resource.label)
        for method, name in _COLLECTION.items():
            if ("LIST" if method == "GET" else method) in methods:
                add_method(collection, method, name, in_list=True)
        for method, name in _DETAIL.items():
            if method in methods:
                add_method(detail, method, name)
        yield from (collection, detail)

    return _decorator(services)


def register_single(
    path: str, *, methods: frozenset[str] = frozenset({"GET", "PUT", "PATCH"})
) -> Callable[[ResourceType], ResourceType]:
    """Serve a resource of which there is one at exactly ``path``: its ``row`` says which."""

    def services(resource: Any, registry: Registry) -> Iterator[APIService]:
        service = service_of(resource, resource.kind, path, resource.label)
        for method, name in _DETAIL.items():
            if method in methods:
                add_method(service, method, name)
        yield service

    return _decorator(services)


def _decorator(
    services: Callable[[Any, Registry], Iterator[APIService]],
) -> Callable[[ResourceType], ResourceType]:
    def decorate(resource: ResourceType) -> ResourceType:
        def add(context: Any, name: str, found: Any) -> None:
            config: Configurator = context.config
            for service in services(resource, config.registry.runtime.registry):
                config.add_cornice_service(service)

        venusian.attach(resource, add, category="pyramid")
        return resource

    return decorate
