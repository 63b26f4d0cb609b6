"""Cornice services with the settings that all of ours share, and what is known of each of their methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cornice import Service
from typing_extensions import override

from guywire.api.field import Field
from guywire.api.schema import Schema
from guywire.security import Identity

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class Operation:
    """What OPTIONS, the browsable pages and the OpenAPI document say of one method of one path.

    ``body`` is what it takes (``partial``: any part of it), ``answer`` a JSON Schema or the Resource whose detail it
    gives (with ``page``: a page of them), ``permission`` the name of the permission that it needs (None: none but
    being somebody, or not even that where the service is ``public``) and ``manager`` whether one has to manage an
    organization. What is ``guarded`` is, of shared objects, only for those who may change them. ``parameters`` are its
    query parameters, ``errors`` the statuses that it may answer besides the usual ones. With ``may_create`` the same
    answer may come with 201. ``sends`` and ``takes`` are media types, where they are not JSON (and forms). ``applies``
    says of an object's body whether the operation makes sense for it now (None: always).
    """

    body: type[Schema] | None = None
    partial: bool = False
    answer: Any = None
    page: bool = False
    status: int = 200
    may_create: bool = False
    permission: str | None = None
    manager: bool = True
    guarded: bool = False
    public: bool = False
    parameters: Mapping[str, Field] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    sends: str = JSON
    takes: tuple[str, ...] = ()
    applies: Callable[[Mapping[str, Any]], bool] | None = None

    def allows(self, identity: Identity | None) -> bool:
        """Whether the user has the permission that the operation needs, whatever the object."""
        if identity is None:
            return self.public
        if identity.is_superuser or self.permission is None:
            return True
        if self.manager and not identity.managed_organizations:
            return False
        action, _, kind = self.permission.partition("_")
        # Who may change things may look at them, too: as in ``security.require``.
        return identity.has_permission(action, kind) or (action == "view" and identity.has_permission("change", kind))


def described(operation: Operation) -> Callable[[View], View]:
    """Say of a plain Pyramid view what it does, so that the OpenAPI document can tell. Its docstring is used too."""

    def decorate(view: View) -> View:
        view.operation = operation  # type: ignore[attr-defined]
        return view

    return decorate


class APIService(Service):
    """A path of the REST API. ``name`` is also the route's name; answers are plain values, rendered as JSON.

    ``public``: also for those who do not say who they are. ``title`` heads the page of the path; ``resource`` is the
    Resource that it serves, if it serves one. ``operations`` holds an Operation for each method.
    """

    renderer = "api"
    default_validators: tuple[Any, ...] = ()
    default_filters: tuple[Any, ...] = ()

    def __init__(
        self,
        name: str,
        path: str,
        *,
        title: str = "",
        public: bool = False,
        resource: Any = None,
        depth: int = 1,
        **options: Any,
    ) -> None:
        self.operations: dict[str, Operation] = {}
        super().__init__(name, path, depth=depth + 1, **options)
        self.title = title or name.replace("_", " ").capitalize()
        self.public = public
        self.resource = resource

    @override
    def add_view(
        self, method: str, view: Callable[..., Any], operation: Operation | None = None, **options: Any
    ) -> None:
        """Answer ``method`` with ``view``; its docstring describes the operation."""
        self.operations[method.upper()] = replace(operation or Operation(), public=self.public)
        super().add_view(method, view, **options)

    def operation_of(self, method: str) -> Operation | None:
        """What a method does, if there is that method. HEAD does what GET does."""
        return self.operations.get("GET" if method == "HEAD" else method)

    def allowed_methods(self) -> str:
        """The value of the Allow header."""
        methods = {*self.defined_methods, "OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods))


def services_of(registry: Any) -> list[APIService]:
    """Every service of ours that an application serves, plugins' included, by path."""
    found = (each for each in registry.cornice_services.values() if isinstance(each, APIService))
    return sorted(found, key=lambda each: each.path)
