"""Device groups: ``/api/v1/controller/group/``."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import orjson
import sqlalchemy as sa
from typing_extensions import override

from guywire.api import fields, filters
from guywire.api.base import Resource, register
from guywire.api.schema import Schema
from guywire.api.shown import Loaded
from guywire.errors import NON_FIELD, Invalid
from guywire.interfaces import JSONObject
from guywire.models import Device, DeviceGroup, Organization, Template
from guywire.services import groups
from guywire.services.status import dependents_of_group, mark_stale
from guywire.services.templates import claim_organization

PATH = "/api/v1/controller/group/"
HAS_DEVICES = "The group has devices, which belong to the organization that it is in."


class GroupBody(Schema):
    """A device group's fields."""

    name: Annotated[str, fields.text(60)]
    organization: Annotated[uuid.UUID, fields.reference(Organization)]
    description: Annotated[str, fields.text(blank=True)] = ""
    templates: Annotated[
        list[uuid.UUID],
        fields.references(Template, help="What its devices get. Not those that all devices get anyway."),
    ]
    context: Annotated[JSONObject, fields.json_object(help="Configuration variables of its devices.")] = {}  # noqa: RUF012
    meta_data: Annotated[
        Any, fields.json_object(None, help="Data for integrations. It is never part of a configuration.")
    ] = {}  # noqa: RUF012


def _has_devices(wanted: bool) -> Any:
    has_any = sa.exists().where(Device.group_id == DeviceGroup.id)
    return has_any if wanted else ~has_any


@register(PATH)
class GroupResource(Resource):
    """Device groups: templates, variables and meta data for some devices of an organization."""

    model = DeviceGroup
    schema = GroupBody
    kind = "devicegroup"
    label = "DeviceGroup"
    shown = {  # noqa: RUF012
        "id": DeviceGroup.id,
        "name": DeviceGroup.name,
        "organization": DeviceGroup.organization_id,
        "description": DeviceGroup.description,
        "templates": Loaded(
            groups.templates_of_groups, {"type": "array", "items": {"type": "string", "format": "uuid"}}
        ),
        "context": DeviceGroup.context,
        "meta_data": DeviceGroup.meta_data,
        "created": DeviceGroup.created,
        "modified": DeviceGroup.modified,
    }
    filters = {  # noqa: RUF012
        **filters.organization(DeviceGroup.organization_id),
        "empty": filters.yes_no(lambda empty: _has_devices(not empty), "Only groups without devices; or with some."),
    }

    @override
    def create(self, fields: dict[str, Any]) -> DeviceGroup:
        group = DeviceGroup(
            id=uuid.uuid4(), created=self.now, description="", context={}, meta_data={}, organization_id=None
        )
        self._apply(group, fields)
        self.session.add(group)
        self.session.flush()
        self._set_templates(group, fields)
        return group

    @override
    def update(self, row: DeviceGroup, fields: dict[str, Any]) -> None:
        if fields.keys() & {"templates", "organization"}:
            # Before anything is written: who makes a device holds the organization first, too.
            claim_organization(self.session, row.organization_id)
        context = orjson.dumps(row.context)
        self._apply(row, fields)
        self.session.flush()
        self._set_templates(row, fields)
        if orjson.dumps(row.context) != context:
            mark_stale(self.session, dependents_of_group(row.id))

    @override
    def delete(self, row: DeviceGroup) -> None:
        # Its devices keep the templates and lose the variables.
        mark_stale(self.session, dependents_of_group(row.id))
        super().delete(row)

    def _apply(self, group: DeviceGroup, given: dict[str, Any]) -> None:
        """Set the given fields and check the result as a whole."""
        former = group.organization_id
        for name, value in given.items():
            if name != "templates":
                setattr(group, "organization_id" if name == "organization" else name, value)
        group.modified = self.now
        with self.session.no_autoflush:
            if former not in (None, group.organization_id) and groups.has_devices(self.session, group.id):
                raise Invalid({"organization": [HAS_DEVICES]})
            self._require_suitable_templates(group, given.get("templates"))
            if self._has_namesake(group):
                raise Invalid({NON_FIELD: ["The fields organization, name must make a unique set."]})
        # What is stored may be of the time of another schema.
        if former is None or "meta_data" in given:
            error = self.runtime.meta_data_schema.error_of(group.meta_data)
            if error is not None:
                raise Invalid({"input": [error]})

    def _require_suitable_templates(self, group: DeviceGroup, template_ids: list[uuid.UUID] | None) -> None:
        if template_ids is None:
            [template_ids] = groups.templates_of_groups(self.session, [group.id]).values()
        unsuitable = groups.unsuitable_template(self.session, group, template_ids)
        if unsuitable is not None:
            raise Invalid({"templates": [f'Invalid pk "{unsuitable}" - object does not exist.']})

    def _has_namesake(self, group: DeviceGroup) -> bool:
        return bool(
            self.session.scalar(
                sa.select(sa.true()).where(
                    DeviceGroup.name == group.name,
                    DeviceGroup.organization_id == group.organization_id,
                    DeviceGroup.id != group.id,
                )
            )
        )

    def _set_templates(self, group: DeviceGroup, given: dict[str, Any]) -> None:
        if "templates" in given:
            backend = self.runtime.settings.default_backend
            groups.set_templates(self.session, group, given["templates"], self.now, default_backend=backend)
