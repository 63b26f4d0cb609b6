"""The page of an answer: its JSON with links, and everything that can be done from there."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import orjson
from pyramid.request import Request

from guywire.api.answers import Response
from guywire.api.service import APIService
from guywire.browsable import listing
from guywire.browsable.form_post import sent_form
from guywire.browsable.forms import Form, form_of, parameters_of
from guywire.browsable.highlight import highlight
from guywire.browsable.links import Related, related_to, targets_of
from guywire.browsable.maker import Maker
from guywire.browsable.options import options_of
from guywire.browsable.page import render, visitor
from guywire.browsable.sitemap import Sitemap, sitemap_of
from guywire.browsable.words import description_of, name_of, title_of
from guywire.db import reading

_SHOWN_HEADERS = ("Allow", "Location", "Retry-After", "WWW-Authenticate")
_REFUSED = (401, 403, 404)


def answer_page(request: Request, response: Any) -> Response:
    """The page of a JSON answer of the API, whatever it says, with the same status.

    An answer without a body becomes a page only after a form, and has a status with which browsers show it.
    """
    with reading(request.runtime.session_factory) as session:
        return _Answer(request, response, session).page()


class _Answer:
    def __init__(self, request: Request, response: Any, session: Any) -> None:
        self.request = request
        self.response = response
        self.status: int = response.status_code
        self.data: Any = orjson.loads(response.body) if response.body else None
        self.sitemap: Sitemap = sitemap_of(request.registry)
        self.path: str = request.path
        self.service: APIService | None = self.sitemap.at(request.path_info)
        self.above = self.sitemap.above(request.path_info)
        self.identity = visitor(request)
        self.is_list = listing.is_list(self.data)
        self.maker = Maker(
            request.registry.runtime.registry,
            lambda model, chosen: options_of(request, session, self.identity, model, chosen),
        )

    def page(self) -> Response:
        status = 200 if self.status == 204 else self.status
        crumbs = [(path, title_of(service)) for path, service in self.above]
        title = self._title()
        if self.service is not None and crumbs:
            crumbs[-1] = (self.path, title)
        return render(
            self.request,
            "answer.jinja2",
            status=status,
            title=title,
            badge=self._status() if self.status < 400 else "",
            description=description_of(self.service) if self.service else "",
            crumbs=crumbs,
            phrase=f"{self.status} {HTTPStatus(self.status).phrase}",
            refused=self.status >= 400,
            failed=self.status >= 400 and not self._only_acts(),
            problem=self._problem(),
            notice=self._notice(),
            method=self.request.method,
            headers=[(name, self.response.headers[name]) for name in _SHOWN_HEADERS if name in self.response.headers],
            json=highlight(self.data, self._targets()) if self.data is not None else "",
            table=self._table(),
            pager=listing.pager_of(self.data, self.request) if self.is_list else None,
            filters=self._filters(),
            form=self._form(),
            deletable=self._offers("DELETE"),
            delete_parameters=parameters_of(self.service, "DELETE", self.maker) if self.service else [],
            options=self.identity is not None and self.service is not None,
            related=self._related(),
            acts=self._only_acts() and self._needs_no_body("POST"),
            formats="GET" in self.service.operations if self.service else False,
            json_url=self._json_url(),
        )

    # What it is called

    def _title(self) -> str:
        if self.service is None:
            return HTTPStatus(self.status).phrase
        return (not self.is_list and self.status < 400 and name_of(self.data)) or title_of(self.service)

    def _status(self) -> str:
        """How the configuration of a device is doing."""
        config = self.data.get("config") if isinstance(self.data, dict) else None
        return str(config.get("status") or "") if isinstance(config, dict) and "id" in self.data else ""

    def _only_acts(self) -> bool:
        """Whether somebody opened the address of something that can only be done: there is its form, then."""
        return self.status == 405 and self.request.method == "GET" and (self._offers("POST") or self._offers("PUT"))

    def _needs_no_body(self, method: str) -> bool:
        operation = self.service.operations.get(method) if self.service else None
        return operation is not None and operation.body is None

    def _problem(self) -> str:
        if self._only_acts():
            return ""
        detail = self.data.get("detail") if isinstance(self.data, dict) and self.status >= 400 else None
        return detail if isinstance(detail, str) else ""

    def _notice(self) -> tuple[str, str | None] | None:
        """What a form did, and where to go on."""
        if sent_form(self.request) is None or self.status >= 400 or self.request.method in ("GET", "OPTIONS"):
            return None
        above = [path for path, _ in self.above]
        if self.request.method == "DELETE":
            return "It is deleted.", above[-2] if len(above) > 1 else "/"
        if self.status == 201:
            path = self._detail_path()
            id = self.data.get("id") if isinstance(self.data, dict) else None
            return "It is created.", path.format(id) if path and id is not None else self.path
        is_own_page = self.service is not None and "GET" in self.service.operations
        return "It is done.", None if is_own_page or len(above) < 2 else above[-2]

    def _json_url(self) -> str:
        query = [(key, value) for key, value in self.request.GET.items() if key != "format"]
        return f"{self.path}?{urlencode([*query, ('format', 'json')])}"

    # Where it leads

    def _detail_path(self) -> str | None:
        resource = self.service.resource if self.service else None
        return None if resource is None else self.sitemap.detail_path(resource.model)

    def _targets(self) -> dict[str, Any]:
        """Where the ids in the answer lead."""
        if self.service is None or self.service.resource is None or self.status >= 400:
            return {}
        targets = targets_of(self.service.resource, self.sitemap)
        return {"results": targets} if self.is_list else targets

    def _related(self) -> list[Related]:
        # OPTIONS tells of the address, not of the object there.
        if self.service is None or self.status >= 300 or self.request.method == "OPTIONS":
            return []
        if not isinstance(self.data, dict):
            return []
        return related_to(self.service, self.data, self.request, self.identity, self.sitemap)

    # What can be done

    def _table(self) -> listing.Table | None:
        if self.service is None or not self.is_list:
            return None
        return listing.table_of(self.data["results"], self.service, self.sitemap, self.maker)

    def _filters(self) -> list[Any]:
        service = self.service
        if service is None or self.identity is None or self.request.method != "GET" or self.status in _REFUSED:
            return []
        operation = service.operations.get("GET")
        if operation is None or not operation.parameters:
            return []
        return listing.filters_of(service, self.request, self.maker, self.data if self.status == 400 else None)

    def _offers(self, method: str) -> bool:
        """Whether the user may use a method here."""
        if self.service is None or self.status in (204, *_REFUSED):
            return False
        operation = self.service.operations.get(method)
        return operation is not None and operation.allows(self.identity) and not self._is_untouchable(method)

    def _is_untouchable(self, method: str) -> bool:
        """Whether the object is shared, which only superusers may change."""
        resource = self.service.resource if self.service else None
        if method == "POST" or resource is None or not resource.shared or not isinstance(self.data, dict):
            return False
        assert self.identity is not None
        return self.data.get("organization", "absent") is None and not self.identity.is_superuser

    def _form(self) -> Form | None:
        methods = [method for method in ("POST", "PATCH", "PUT") if self._offers(method)]
        sent = sent_form(self.request)
        refused = self.status >= 400 and sent is not None and self.request.method in methods
        if self.service is None or not methods or (self.status >= 400 and not refused and self.status != 405):
            return None
        if self.status == 201:
            sent = None
        is_object = isinstance(self.data, dict) and self.status == 200 and self.request.method != "OPTIONS"
        if "POST" not in methods and not refused and not is_object and not self._only_acts():
            return None
        data = self.data if is_object and "POST" not in methods else None
        return form_of(
            self.service, methods, data, sent if refused else None, self.data if refused else None, self.maker
        )
