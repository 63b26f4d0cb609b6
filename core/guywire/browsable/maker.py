"""Makes the controls of bodies and filters from what their fields say of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from guywire.api.description import members
from guywire.api.field import Field
from guywire.api.schema import Schema
from guywire.browsable.controls import Control, Fieldset, label_of, messages
from guywire.browsable.options import Options
from guywire.errors import MODEL, NON_FIELD
from guywire.registry import Registry

Find = Callable[[Any, list[Any]], Options]
"""The options of a model; the list holds what is chosen."""

_INPUT_TYPES = {
    "email": "email",
    "password": "password",
    "integer": "number",
    "date": "date",
    "file": "file",
    "image": "file",
}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes controls: it knows the plugins' choices and how to find what a reference may refer to."""

    registry: Registry
    find: Find

    def fieldset(
        self,
        schema: type[Schema],
        values: Mapping[str, Any],
        errors: Any = None,
        *,
        partial: bool = False,
        name: str = "",
        optional: bool = False,
        included: bool = True,
    ) -> Fieldset:
        """The controls of a body. ``values`` and ``errors`` are nested as the body is; without a value the default
        stands. ``partial``: of an existing object, whose fields have values.
        """
        errors = errors if isinstance(errors, dict) else {NON_FIELD: errors} if errors else {}
        controls: list[Any] = []
        for member in members(schema):
            path = f"{name}.{member.name}" if name else member.name
            if member.many or _is_empty(member.field):
                continue
            if member.nested is not None:
                value = values.get(member.name)
                controls.append(
                    self.fieldset(
                        member.nested,
                        value if isinstance(value, Mapping) else {},
                        errors.get(member.name),
                        partial=partial,
                        name=path,
                        optional=True,
                        included=isinstance(value, Mapping) or (not partial and member.name not in values),
                    )
                )
            elif member.field is not None:
                controls.append(
                    self.control(
                        path,
                        member.field,
                        values.get(member.name, member.default),
                        messages(errors.get(member.name)),
                        required=member.required and not partial and not optional,
                        prefilled=not partial and (member.required or member.name == "organization"),
                    )
                )
        own = [message for key in (MODEL, NON_FIELD, "detail") for message in messages(errors.get(key))]
        return Fieldset(name, label_of(name), controls, optional, included, own)

    def control(
        self,
        name: str,
        described: Field,
        value: Any,
        errors: list[str] | None = None,
        *,
        required: bool = False,
        prefilled: bool = False,
        filtering: bool = False,
    ) -> Control:
        """The control of one field, or of a filter. ``prefilled``: with the obvious choice, if there is one."""
        kind, type, options = "input", _INPUT_TYPES.get(described.kind, "text"), Options([], True)
        attributes: dict[str, Any] = {
            "maxlength": described.max_length,
            "min": described.minimum,
            "max": described.maximum,
        }
        if described.kind == "choice" and described.choices is not None:
            kind, options = "select", Options(list(described.choices(self.registry).items()), True)
        elif described.kind == "boolean":
            kind = "check"
        elif described.kind in ("text", "object", "json"):
            kind, attributes["rows"] = "textarea", 3
        elif described.kind in ("reference", "references"):
            chosen = value if isinstance(value, list) else [value] if value else []
            options = self.find(described.model, chosen)
            if described.kind == "references":
                kind, value = "order", [str(each) for each in chosen]
            else:
                kind = "select" if options.complete else "datalist"
        if prefilled and value in ("", None) and (described.kind == "choice" or len(options.pairs) == 1):
            value = next((key for key, _ in options.pairs), "")
        if described.kind == "object":
            attributes["data-json"] = "object"
            value = (
                value
                if isinstance(value, str)
                else json.dumps({} if value in ("", None) else value, indent=2, ensure_ascii=False)
            )
            attributes["rows"] = min(max(value.count("\n") + 2, 5), 18)
        if described.kind == "json" and not isinstance(value, str) and value is not None:
            value = json.dumps(value, indent=2, ensure_ascii=False)
        if described.kind == "words" and isinstance(value, list):
            value = " ".join(value)
        if described.kind == "datetime":
            attributes["placeholder"] = "2026-01-31T13:45:00Z"
        return Control(
            name,
            described.label or label_of(name),
            kind,
            type,
            "" if value is None else value,
            described.help,
            required and not described.blank and not described.null and kind != "check",
            described.null or described.blank or filtering or value in ("", None),
            options.pairs,
            options.complete,
            errors or [],
            {key: each for key, each in attributes.items() if each is not None},
            filtering,
        )


def _is_empty(described: Field | None) -> bool:
    """Whether a field refers to objects of which there cannot be any."""
    return described is not None and described.kind in ("reference", "references") and described.model is None


def nested_values(pairs: list[tuple[str, Any]], schema: type[Schema]) -> dict[str, Any]:
    """What a form sent, nested as the body is: for showing the form again."""
    included = {value for name, value in pairs if name == "_include"}
    result: dict[str, Any] = {}
    for member in members(schema):
        key, kind = member.name, member.field.kind if member.field else ""
        sent = [value for name, value in pairs if name == key]
        if member.nested is not None:
            below = [(name.removeprefix(f"{key}."), value) for name, value in pairs if name.startswith(f"{key}.")]
            result[key] = nested_values(below, member.nested) if key in included else None
        elif kind == "references":
            result[key] = [value for value in sent if value]
        elif kind == "boolean":
            result[key] = "true" in sent
        elif sent and isinstance(sent[-1], str):
            result[key] = sent[-1]
    return result
