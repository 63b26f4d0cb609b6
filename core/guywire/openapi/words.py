"""What the document calls things, and what it says of them: from docstrings."""

from __future__ import annotations

from typing import Any

from guywire.api.naming import plural_of, singular_of
from guywire.openapi.endpoints import Endpoint


def description_of(resource: Any) -> str:
    """What a resource says of itself, without the name that it may begin with."""
    text = " ".join((resource.__doc__ or "").split()).removeprefix(f"{plural_of(resource)}: ")
    return as_markdown(text[:1].upper() + text[1:])


def summary_and_description(endpoint: Endpoint) -> tuple[str, str]:
    """The first sentence of what is said of an endpoint, and the rest with the permission that is needed."""
    first, _, more = " ".join(endpoint.documentation.split()).partition(". ")
    paragraphs = [more]
    service, operation = endpoint.service, endpoint.operation
    if service is not None:
        if service.resource is not None:
            first = _named(first, service.resource)
        else:
            paragraphs.append(" ".join((service.description or "").split()))
    if operation is not None and operation.permission is not None:
        permission = f"`{operation.permission}`"
        if operation.permission.startswith("view_"):
            permission += f" or `{operation.permission.replace('view_', 'change_', 1)}`"
        paragraphs.append(f"Permission: {permission}.")
    return as_markdown(first.rstrip(".")), as_markdown("\n\n".join(each for each in paragraphs if each))


def _named(sentence: str, resource: Any) -> str:
    """The generic resource's sentence about "an object" as one about a device."""
    singular, plural = singular_of(resource), plural_of(resource)
    article = "an" if singular[0].lower() in "aeio" else "a"
    sentence = sentence.replace("an object", f"{article} {singular}").replace("One object", f"One {singular}")
    return sentence.replace("the list", f"{plural[0].lower()}{plural[1:]}")


def as_markdown(text: str) -> str:
    """A docstring's text: code has one backquote there."""
    return text.replace("``", "`")
