"""Bodies as pydantic models: validation of whole and partial bodies, errors named as the reference names them."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from guywire.api.body import FormData
from guywire.api.field import Validation
from guywire.api.fields import BLANK, NULL
from guywire.errors import NON_FIELD, FieldErrors, Invalid

REQUIRED = "This field is required."


class Schema(BaseModel):
    """Base of all bodies. Unknown keys are ignored, as clients of the reference expect."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    def given(self) -> dict[str, Any]:
        """The fields that the client sent, nested bodies included."""
        return {
            name: value.given() if isinstance(value, Schema) else value
            for name, value in self
            if name in self.model_fields_set
        }


def validate(schema: type[Schema], data: dict[str, Any], context: Validation, *, partial: bool) -> dict[str, Any]:
    """The fields that ``data`` gives, converted; with ``partial`` none is required.

    Raises Invalid with all errors of all fields at once.
    """
    if isinstance(data, FormData) and not partial:
        data = _completed(schema, data)
    try:
        return (partial_of(schema) if partial else schema).model_validate(data, context=context).given()
    except ValidationError as error:
        raise Invalid(_by_field(error)) from None


def _completed(schema: type[Schema], form: FormData) -> FormData:
    """A form with what browsers leave out: unchecked boxes and empty selections."""
    completed = FormData(form)
    for name, field in schema.model_fields.items():
        nested = _nested(field.annotation)
        if nested is not None and isinstance(form.get(name), FormData):
            completed[name] = _completed(nested, form[name])
        elif field.annotation is bool:
            completed.setdefault(name, False)
        elif get_origin(field.annotation) is list:
            completed.setdefault(name, [])
    return completed


@cache
def partial_of(schema: type[Schema]) -> type[Schema]:
    """The schema of PATCH: the same fields, none of them required."""
    fields: dict[str, Any] = {}
    for name, field in schema.model_fields.items():
        annotation: Any = field.annotation
        nested = _nested(annotation)
        if nested is not None:
            annotation = partial_of(nested) if annotation is nested else partial_of(nested) | None
        if field.metadata:
            annotation = Annotated[(annotation, *field.metadata)]
        fields[name] = (annotation, None)
    return create_model(f"Patched{schema.__name__}", __base__=schema, **fields)


def _nested(annotation: Any) -> type[Schema] | None:
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((each for each in options if isinstance(each, type) and issubclass(each, Schema)), None)


def _by_field(error: ValidationError) -> FieldErrors:
    errors: FieldErrors = {}
    message: list[str] | FieldErrors
    for each in error.errors(include_url=False):
        *parents, field = [str(step) for step in each["loc"]] or [NON_FIELD]
        if each["type"] in ("model_type", "model_attributes_type"):
            kind = type(each["input"]).__name__
            if each["input"] is None:
                message = [NULL]
            else:
                parents, field = [*parents, field], NON_FIELD
                message = [f"Invalid data. Expected a dictionary, but got {kind}."]
        else:
            message = _messages(each)
        target = errors
        for parent in parents:
            target = target.setdefault(parent, {})
        if isinstance(message, dict):
            target[field] = message
        else:
            target.setdefault(field, []).extend(message)
    return errors


def _messages(error: Any) -> list[str] | FieldErrors:
    if error["type"] == "missing":
        return [REQUIRED]
    if error["type"] == "guywire":
        messages: list[str] | FieldErrors = error["ctx"]["messages"]
        return messages
    return [BLANK if error["input"] == "" else error["msg"]]
