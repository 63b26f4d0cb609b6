"""Clients of the two doors: REST users and routers, as tests like to talk of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from webtest import TestApp, TestResponse

API = "/api/v1/controller/"
OPENWRT = "netjsonconfig.OpenWrt"


@dataclass
class Client:
    """A REST client with a bearer token (or without). Paths may leave out ``/api/v1/controller/``."""

    app: TestApp
    token: str | None = None

    def request(self, method: str, path: str, body: Any = None, status: Any = None, **options: Any) -> TestResponse:
        """Send a request with a JSON body and check the status."""
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        url = path if path.startswith("/") else API + path
        if method in ("GET", "HEAD"):
            send = self.app.get if method == "GET" else self.app.head
            return send(url, options.pop("query", None) or {}, headers=headers, status=status, **options)
        if body is None and method in ("DELETE", "OPTIONS"):
            return getattr(self.app, method.lower())(url, headers=headers, status=status, **options)
        send = getattr(self.app, f"{method.lower()}_json")
        return send(url, body if body is not None else {}, headers=headers, status=status, **options)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """The JSON at ``path``."""
        return self.request("GET", path, status=status, query=query).json

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        """The JSON of what was created."""
        return self.request("POST", path, body, status).json

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        """The JSON of what was replaced."""
        return self.request("PUT", path, body, status).json

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        """The JSON of what was changed."""
        return self.request("PATCH", path, body, status).json

    def delete(self, path: str, status: int = 204) -> TestResponse:
        """Delete what is at ``path``."""
        return self.request("DELETE", path, status=status)

    # Things that many stories begin with

    def make_template(self, organization: str | None, name: str = "template", **fields: Any) -> Any:
        """A template, by default of one ethernet interface that is called like the template."""
        body = {
            "name": name,
            "organization": organization,
            "backend": OPENWRT,
            "config": {"interfaces": [{"name": name[:15], "type": "ethernet"}]},
        }
        return self.post("template/", body | fields)

    def make_device(
        self, organization: str, name: str = "router", mac_address: str = "00:11:22:33:44:55", **config: Any
    ) -> Any:
        """A device with a configuration; ``config`` replaces parts of it. Returns its detail."""
        body = {
            "name": name,
            "organization": organization,
            "mac_address": mac_address,
            "config": {
                "backend": OPENWRT,
                "config": {"general": {"timezone": "UTC"}},
                "context": {},
                "templates": [],
            }
            | config,
        }
        return self.get(f"device/{self.post('device/', body)['id']}/")

    def state(self, device: Any) -> Any:
        """The state of a device."""
        return self.get(f"device/{device['id']}/state/")


@dataclass
class Router:
    """A router's agent: it knows its key, what it fetched last, and nothing else."""

    app: TestApp
    id: str
    key: str
    checksum: str = ""
    archive: bytes = b""
    extra: dict[str, Any] = field(default_factory=dict)

    def poll(self, status: int = 200, **query: str) -> str:
        """Ask for the checksum."""
        response = self.app.get(f"/controller/checksum/{self.id}/", {"key": self.key, **query}, status=status)
        return response.text

    def download(self, status: int = 200, **query: str) -> bytes:
        """Fetch the configuration."""
        url = f"/controller/download-config/{self.id}/"
        response = self.app.get(url, {"key": self.key, **query}, status=status)
        self.archive = response.body
        self.checksum = hashlib.md5(response.body, usedforsecurity=False).hexdigest()
        return response.body

    def report(self, reported: str = "applied", status: int = 200, **form: str) -> str:
        """Say whether the configuration could be applied."""
        url = f"/controller/report-status/{self.id}/"
        return self.app.post(url, {"key": self.key, "status": reported, **form}, status=status).text

    def update_info(self, status: int = 200, **form: str) -> str:
        """Say what the router is."""
        return self.app.post(f"/controller/update-info/{self.id}/", {"key": self.key, **form}, status=status).text

    def apply(self) -> None:
        """Poll, download, report applied: what an agent does with news."""
        checksum = self.poll()
        self.download()
        assert self.checksum == checksum
        self.report("applied")
