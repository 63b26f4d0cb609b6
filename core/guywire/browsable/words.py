"""How pages call things: services, objects, and what is said about them."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from guywire.api.naming import plural_of
from guywire.api.service import APIService

_NAMES = ("name", "username", "common_name", "label", "email")
_TITLE = 40
"""Longer beginnings are not titles."""
_CODE = re.compile(r"``(.+?)``")


def title_of(service: APIService) -> str:
    """A service's title. Lists are called what their resource's description begins with ("Devices: …")."""
    if service.resource is not None and ("}" not in service.path or _is_list(service)):
        return plural_of(service.resource)
    if "}/" in service.path and not service.path.endswith("}/"):
        return service.path.rstrip("/").rpartition("/")[2].replace("-", " ").capitalize()
    return service.title


def _is_list(service: APIService) -> bool:
    return "GET" in service.operations and service.operations["GET"].page


def description_of(service: APIService) -> Markup:
    """What a service says of itself, in one paragraph, without the title that it may begin with."""
    first, colon, rest = " ".join((service.description or "").split()).partition(": ")
    said = rest[:1].upper() + rest[1:] if colon and service.resource is not None and len(first) < _TITLE else None
    text = str(escape(said or (service.description and f"{first}{colon}{rest}") or ""))
    return Markup(_CODE.sub(r"<code>\1</code>", text))  # noqa: S704 (escaped above)


def name_of(body: Any) -> str:
    """What the object of a body is called, or ""."""
    if not isinstance(body, dict):
        return ""
    return next((body[key] for key in _NAMES if isinstance(body.get(key), str) and body[key]), "")
