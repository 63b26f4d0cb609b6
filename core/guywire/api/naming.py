"""What resources are called, in code and in sentences."""

from __future__ import annotations

import re
from typing import Any

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|\s+")
_LONGEST_TITLE = 40


def name_of(resource: Any) -> str:
    """What schemas of a resource are called: its label as one word."""
    return "".join(word[0].upper() + word[1:] for word in resource.label.split())


def singular_of(resource: Any) -> str:
    """What one object of a resource is called in a sentence: "device group"."""
    return " ".join(word if word.isupper() else word.lower() for word in _WORDS.split(resource.label))


def plural_of(resource: Any) -> str:
    """What a resource's description calls its objects in its beginning ("Device groups: ..."), or else the label."""
    plural, colon, _ = (resource.__doc__ or "").strip().partition(":")
    if colon and len(plural) < _LONGEST_TITLE:
        return plural
    singular = singular_of(resource)
    return f"{singular[0].upper()}{singular[1:].removesuffix('s')}s"
