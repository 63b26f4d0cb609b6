"""Have certificates with large RSA keys issued over REST, again and again."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any, Self

_LENGTH = "4096"
_PATIENCE = 0.2
"""Seconds to wait when the server says that enough keys are being made."""


class Issuers:
    """So many clients, each of whom asks for one certificate after the other as long as the block lasts.

    Their keys are of 4096 bits. The CA, whose key is of an elliptic curve, signs for all organizations.
    """

    def __init__(self, port: int, token: str, count: int) -> None:
        self.issued = 0
        self._port, self._token = port, token
        self._stop = threading.Event()
        self._start = time.perf_counter()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]

    def __enter__(self) -> Self:
        if self._threads:
            made = self._post("ca/", key_length="256")
            assert made is not None
            self._ca = made["id"]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def rate(self) -> float:
        """Certificates a second, so far."""
        return self.issued / (time.perf_counter() - self._start)

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            if self._post("cert/", ca=self._ca, key_length=_LENGTH) is None:
                time.sleep(_PATIENCE)
            else:
                self.issued += 1

    def _post(self, path: str, **fields: Any) -> Any:
        """Create something with a name of its own. Returns None when the server is busy."""
        name = f"{path}{threading.get_ident()}-{time.perf_counter_ns()}"
        body = json.dumps({"name": name[:64], "common_name": name[:64], "organization": None} | fields)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", f"/api/v1/controller/{path}", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status == 503:
            return None
        if answer.status != 201:
            raise RuntimeError(f"the request was answered with {answer.status}: {text!r}")
        return json.loads(text)
