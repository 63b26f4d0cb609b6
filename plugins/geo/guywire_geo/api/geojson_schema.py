"""What the GeoJSON list answers, as JSON Schema."""

from __future__ import annotations

from typing import Any

from guywire.api.shown import nullable, object_schema

from guywire_geo.models import GEOMETRY_SCHEMA

_STRING = {"type": "string"}
_COUNT = {"type": "integer"}
_URL = {"type": ["string", "null"], "format": "uri"}
_MOMENT = {"type": "string", "format": "date-time"}
_ID = {"type": "string", "format": "uuid"}
_STATUSES = {"type": "object", "additionalProperties": _COUNT}


def _feature(id: Any, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = object_schema(id=id, type=_STRING, geometry=nullable(GEOMETRY_SCHEMA), properties=properties)
    return {**schema, "properties": {**schema["properties"], **more}}


_LOCATION = object_schema(
    device_count=_COUNT,
    created=_MOMENT,
    modified=_MOMENT,
    name=_STRING,
    type=_STRING,
    is_mobile={"type": "boolean"},
    address=_STRING,
    organization=_ID,
)
_LOCATION["properties"]["device_status"] = _STATUSES
_CLUSTER = object_schema(cluster={"type": "boolean"}, point_count=_COUNT, device_count=_COUNT, device_status=_STATUSES)
_BBOX = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}

ANSWER = object_schema(
    type=_STRING,
    count=_COUNT,
    next=_URL,
    previous=_URL,
    features={"type": "array", "items": {"anyOf": [_feature(_ID, _LOCATION), _feature(_STRING, _CLUSTER, bbox=_BBOX)]}},
)
"""The last three keys only for who asked for what changed ``since``."""
ANSWER["properties"] |= {
    "removed": {"type": "array", "items": _ID},
    "complete": {"type": "boolean"},
    "cursor": _STRING,
}
