"""Edits a template over REST, again and again."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from typing import Any, Self


def edit(port: int, token: str, template: uuid.UUID, changes: dict[str, Any]) -> float:
    """Change a template. Returns the seconds until the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    start = time.perf_counter()
    connection.request("PATCH", f"/api/v1/controller/template/{template}/", json.dumps(changes), headers)
    answer = connection.getresponse()
    body = answer.read()
    duration = time.perf_counter() - start
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the edit was answered with {answer.status}: {body!r}")
    return duration


class Editor:
    """Edits a template ``per_second`` times a second, as long as the block lasts. Each edit changes the archives."""

    def __init__(self, port: int, token: str, template: uuid.UUID, per_second: int) -> None:
        self.durations: list[float] = []
        self._edit = lambda number: edit(port, token, template, {"config": {"dns_search": [f"{number}.example.org"]}})
        self._per_second = per_second
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        if self._per_second:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        if self._per_second:
            self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(1 / self._per_second):
            self.durations.append(self._edit(len(self.durations)))
