"""Types of commands that an organization may use: ``/api/v1/controller/organization/{id}/commands/``."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from guywire.api.base import UUID_PATTERN, Resource, register_single
from guywire.api.field import Field, context_of, fail
from guywire.api.schema import Schema
from guywire.api.shown import Computed
from guywire.errors import NotFound
from guywire.models import Organization
from guywire.security import visible_to
from pydantic import ValidationInfo
from typing_extensions import override

from guywire_ssh_connection.api.command_body import labels
from guywire_ssh_connection.command_models import OrganizationCommands
from guywire_ssh_connection.services.allowed_types import allowed_types


def _types(value: Any, info: ValidationInfo) -> list[str] | None:
    context = context_of(info)
    if context.is_form and isinstance(value, str):
        value = value.replace(",", " ").split() or None
    if value is None:
        return None
    if not isinstance(value, list):
        raise fail(f'Expected a list of items but got type "{type(value).__name__}".')
    known = labels(context.registry)
    for each in value:
        if not isinstance(each, str) or each not in known:
            raise fail(f'"{each}" is not a valid choice.')
    return list(dict.fromkeys(value))


class OrganizationCommandsBody(Schema):
    """The types that an organization may use."""

    types: Annotated[
        list[str] | None,
        Field(
            _types,
            kind="words",
            null=True,
            help="Names of types. Null: those of the setting `guywire.ssh_connection.organization_commands`.",
        ),
    ]


_SHOWN = {
    "organization": OrganizationCommands.organization_id,
    "types": OrganizationCommands.types,
}


@register_single(f"/api/v1/controller/organization/{{id:{UUID_PATTERN}}}/commands/")
class OrganizationCommandsResource(Resource):
    """The types of commands that an organization may use, and what it may use now.

    Only superusers change them, unless they give others the permission to: whoever is limited should not lift limits.
    """

    model = OrganizationCommands
    schema = OrganizationCommandsBody
    kind = "organizationcommands"
    label = "OrganizationCommands"
    shown = _SHOWN | {
        "allowed": Computed(lambda session, row: row.allowed, {"type": "array", "items": {"type": "string"}})
    }

    @override
    def row(self) -> OrganizationCommands:
        id = uuid.UUID(self.request.matchdict["id"])
        visible = visible_to(self.identity, Organization.id, shared=False)
        query = sa.select(Organization.id).where(Organization.id == id, visible)
        if self.request.method not in ("GET", "HEAD"):
            query = query.with_for_update()
        if self.session.scalar(query) is None:
            raise NotFound.of(Organization.__name__)
        return self.session.get(OrganizationCommands, id) or OrganizationCommands(organization_id=id, types=None)

    @override
    def update(self, row: OrganizationCommands, fields: dict[str, Any]) -> None:
        if "types" in fields:
            row.types = fields["types"]
            self.session.add(row)

    @override
    def represent(self, row: OrganizationCommands) -> dict[str, Any]:
        runtime = self.runtime
        allowed = allowed_types(self.session, runtime.registry, runtime.settings, row.organization_id)
        return {"organization": row.organization_id, "types": row.types, "allowed": allowed}
