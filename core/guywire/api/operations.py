"""What the methods of a resource do, as views and as descriptions of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request

from guywire.api import fields
from guywire.api.field import Field
from guywire.api.service import APIService, Operation
from guywire.security import ACTIONS


def service_of(resource: Any, name: str, path: str, title: str) -> APIService:
    """A service that serves (a part of) a resource; its methods are added with ``add_method``."""
    return APIService(name=name, path=path, title=title, description=resource.__doc__, resource=resource, depth=3)


def add_method(service: APIService, method: str, name: str, *, in_list: bool = False) -> None:
    """Answer ``method`` with what the resource's method ``name`` returns."""
    service.add_view(method, _view(service.resource, name), _operation(service.resource, method, in_list))


def _operation(resource: Any, method: str, in_list: bool) -> Operation:
    takes = {"POST": resource.create_schema or resource.schema, "PUT": resource.schema, "PATCH": resource.schema}
    return Operation(
        body=takes.get(method),
        partial=method == "PATCH",
        answer=None if method == "DELETE" else resource,
        page=in_list and method == "GET",
        status={"POST": 201, "DELETE": 204}.get(method, 200),
        may_create=method == "PUT" and resource.made_by_put,
        permission=None if resource.personal else f"{ACTIONS[method]}_{resource.kind}",
        manager=resource.manager,
        parameters=_parameters(resource, method, in_list),
    )


def _parameters(resource: Any, method: str, in_list: bool) -> dict[str, Field]:
    if in_list and method == "GET":
        return {name: each.field for name, each in resource.filters.items()}
    if method == "DELETE" and resource.force:
        return {"force": fields.boolean(help=resource.force)}
    return {}


def _view(resource: Any, name: str) -> Callable[[Request], Any]:
    def view(request: Request) -> Any:
        return getattr(resource(request), name)()

    view.__name__ = f"{resource.kind}_{name}"
    view.__doc__ = getattr(resource, name).__doc__
    return view
