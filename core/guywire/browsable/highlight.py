"""JSON as HTML: indented, coloured, with links. Everything in it is somebody's text and is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

Targets = Mapping[str, Any]
"""Where the ids under a body's keys lead: a path with ``{}`` for the id, or Targets for a nested body."""

_INDENT = "  "


def highlight(value: Any, targets: Targets | None = None) -> Markup:
    """A JSON value as the inside of ``<pre>``."""
    return Markup("").join(_pieces(value, targets, ""))


def _pieces(value: Any, target: Any, indent: str) -> Iterator[Markup]:
    if isinstance(value, dict) and value:
        inner = indent + _INDENT
        below = target if isinstance(target, Mapping) else {}
        yield Markup("{\n")
        for number, (key, item) in enumerate(value.items()):
            yield Markup('{}{}<span class="key">{}</span>: ').format(",\n" if number else "", inner, _text(key))
            yield from _pieces(item, below.get(key), inner)
        yield Markup("\n{}}}").format(indent)
    elif isinstance(value, list) and value:
        inner = indent + _INDENT
        yield Markup("[\n")
        for number, item in enumerate(value):
            yield Markup("{}{}").format(",\n" if number else "", inner)
            yield from _pieces(item, target, inner)
        yield Markup("\n{}]").format(indent)
    else:
        yield _scalar(value, target)


def _scalar(value: Any, target: Any) -> Markup:
    if isinstance(target, str) and value is not None and not isinstance(value, (dict, list, bool)):
        return Markup('<a class="id" href="{}">{}</a>').format(target.format(value), _text(value))
    if isinstance(value, str):
        if value.startswith(("http://", "https://")):
            return Markup('<a class="str" href="{}" rel="noopener noreferrer">{}</a>').format(value, _text(value))
        return Markup('<span class="str">{}</span>').format(_text(value))
    kind = "num" if isinstance(value, (int, float)) and not isinstance(value, bool) else "lit"
    return Markup('<span class="{}">{}</span>').format(kind, _text(value))


def _text(value: Any) -> Markup:
    return escape(json.dumps(value, ensure_ascii=False))
