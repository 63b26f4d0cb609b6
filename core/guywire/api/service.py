"""Cornice services with the settings that all of ours share."""

from __future__ import annotations

from typing import Any

from cornice import Service


class APIService(Service):
    """A path of the REST API. ``name`` is also the route's name; answers are plain values, rendered as JSON.

    ``public``: also for those who do not say who they are.
    """

    renderer = "api"
    default_validators: tuple[Any, ...] = ()
    default_filters: tuple[Any, ...] = ()

    def __init__(self, name: str, path: str, *, public: bool = False, depth: int = 1, **options: Any) -> None:
        super().__init__(name, path, depth=depth + 1, **options)
        self.public = public

    def allowed_methods(self) -> str:
        """The value of the Allow header."""
        methods = {*self.defined_methods, "OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods))
