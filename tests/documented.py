"""A client's view of the OpenAPI document: an application whose every answer has to be as it says."""

from __future__ import annotations

import re
from typing import Any

from jsonschema_rs import Draft202012Validator
from webtest import TestApp, TestResponse


class Documented(TestApp):
    """Talks to an application, and fails when an answer is another one than ``document`` promises."""

    def __init__(self, application: Any, document: dict[str, Any]) -> None:
        super().__init__(application)
        self.document = document
        self.seen: set[tuple[str, str, int]] = set()
        self._validators: dict[str, Draft202012Validator] = {}
        self._paths = [
            (re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path))), path)
            # Words come before placeholders.
            for path in sorted(document["paths"], key=lambda path: path.replace("{", "\x7f"))
        ]

    def do_request(self, req: Any, status: Any = None, expect_errors: Any = None) -> TestResponse:
        """Send a request; its answer is checked against the document."""
        response = super().do_request(req, status, expect_errors)
        self.check(req.method, req.path, response)
        return response

    def check(self, method: str, path: str, response: Any) -> None:
        """That the answer to a request is described, and as it is described."""
        template = next(template for pattern, template in self._paths if pattern.fullmatch(path))
        operation = self.document["paths"][template].get(method.lower())
        if operation is None:
            return
        status = response.status_int
        self.seen.add((template, method, status))
        told = f"{method} {path}: {response.status}"
        if "default" in operation["responses"]:
            return
        described = operation["responses"].get(str(status))
        assert described is not None, f"{told} is not documented"
        described = self._resolved(described)
        content = described.get("content", {})
        if not content:
            assert not response.body, f"{told} has a body"
            return
        assert response.content_type in content, f"{told} is {response.content_type}"
        if response.content_type == "application/json":
            self._validate(content["application/json"]["schema"], response.json, told)

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        found: Any = self.document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found

    def _validate(self, schema: dict[str, Any], body: Any, told: str) -> None:
        key = str(schema)
        if key not in self._validators:
            whole = {**schema, "components": {"schemas": self.document["components"]["schemas"]}}
            self._validators[key] = Draft202012Validator(whole, validate_formats=True)
        wrong = [
            f"{'/'.join(map(str, error.instance_path))}: {error.message}"
            for error in self._validators[key].iter_errors(body)
        ]
        assert not wrong, f"{told}: {'; '.join(wrong)}"
