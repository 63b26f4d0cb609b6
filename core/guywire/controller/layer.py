"""A thin WSGI layer in front of Pyramid that answers polls which change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyramid.router import Router
from sqlalchemy.exc import SQLAlchemyError

from guywire.controller.poll import Answer, answer, poll_of
from guywire.controller.reader import DatabaseReader
from guywire.runtime import Runtime
from guywire.sealing import SealBroken

NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
"""What Cornice adds to all answers of Pyramid."""


class PollLayer:
    """Answers polls by ``guywire.controller.poll.answer``; all other requests, and polls that need a write, go on."""

    def __init__(self, router: Router, runtime: Runtime) -> None:
        self.router = router
        self.registry = router.registry
        self._reader: DatabaseReader = self.registry.poll_reader
        self._poll_log = self.registry.poll_log

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request, or let Pyramid do it."""
        poll = poll_of(environ)
        if poll is not None:
            try:
                reply = answer(self._reader, poll)
            except (SQLAlchemyError, SealBroken):
                # The view meets the same trouble and knows what to say.
                reply = None
            if reply is not None:
                if reply.polled:
                    self._poll_log.note(poll.device_hex)
                return send(reply, poll.fetches, start_response)
        return self.router(environ, start_response)


def send(reply: Answer, with_body: bool, start_response: Any) -> Iterable[bytes]:
    """The answer as WSGI."""
    kind = reply.content_type
    headers = [("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind), NO_SNIFFING]
    start_response(reply.status, [*headers, ("Content-Length", str(len(reply.body))), *reply.headers])
    return [reply.body] if with_body else []
