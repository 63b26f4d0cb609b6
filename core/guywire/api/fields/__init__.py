"""The kinds of fields that bodies have: they accept what the reference accepts and refuse it in its words."""

from guywire.api.fields.references import parse_uuid, primary_key, reference, references
from guywire.api.fields.texts import Rule, email, matching, slug, text, url
from guywire.api.fields.values import Boolean, boolean, choice, day, integer, json_object, moment, parse_moment
from guywire.api.fields.wording import BLANK, NOT_A_CONFIGURATION, NOT_JSON, NOT_JSON_OBJECT, NULL

__all__ = [
    "BLANK",
    "NOT_A_CONFIGURATION",
    "NOT_JSON",
    "NOT_JSON_OBJECT",
    "NULL",
    "Boolean",
    "Rule",
    "boolean",
    "choice",
    "day",
    "email",
    "integer",
    "json_object",
    "matching",
    "moment",
    "parse_moment",
    "parse_uuid",
    "primary_key",
    "reference",
    "references",
    "slug",
    "text",
    "url",
]
