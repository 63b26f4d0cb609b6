"""Pages of lists, in the reference's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from pyramid.request import Request
from sqlalchemy.orm import Session

from guywire.errors import NotFound


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: the ids on it, and what surrounds it."""

    ids: list[Any]
    count: int
    number: int
    size: int
    request: Request

    def wrap(self, results: list[Any]) -> dict[str, Any]:
        """The body of a list: ``results`` are the rows of ``ids``."""
        last = max(1, -(-self.count // self.size))
        return {
            "count": self.count,
            "next": self._url(self.number + 1) if self.number < last else None,
            "previous": self._url(self.number - 1) if self.number > 1 else None,
            "results": results,
        }

    def _url(self, number: int) -> str:
        query = [(key, value) for key, value in self.request.GET.items() if key != "page"]
        if number > 1:
            query.append(("page", str(number)))
        query.sort(key=lambda pair: pair[0])
        return self.request.path_url + (f"?{urlencode(query)}" if query else "")


def page_of(session: Session, request: Request, ids: Any, *, default_size: int, max_size: int) -> Page:
    """The page that ``page`` and ``page_size`` ask for, of an ordered SELECT of ids.

    A bad ``page_size`` means the default, ``page`` may be "last". Raises NotFound for a page that does not exist.
    """
    connection = session.connection()
    count = connection.scalar(sa.select(sa.func.count()).select_from(ids.order_by(None).subquery())) or 0
    size = min(_positive(request.GET.get("page_size")) or default_size, max_size)
    last = max(1, -(-count // size))
    wanted = request.GET.get("page") or "1"
    number = last if wanted == "last" else _positive(wanted)
    if number is None or number > last:
        raise NotFound("Invalid page.")
    rows = connection.scalars(ids.limit(size).offset((number - 1) * size)).all() if count else []
    return Page(list(rows), count, number, size, request)


def _positive(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdigit():
        return None
    # Some number that is too large for anything: the text may have a million digits.
    return int(text) or None if len(text) < 10 else 10**9
