"""What is not create, read, update, delete of a template: its tags, and clones of it."""

from __future__ import annotations

import uuid
from itertools import count
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import ValidationInfo
from pyramid.request import Request
from typing_extensions import override

from guywire.api import field_groups, fields
from guywire.api.base import UUID_PATTERN, register_single
from guywire.api.field import Field, context_of, fail
from guywire.api.schema import REQUIRED, Schema
from guywire.api.service import APIService, Operation
from guywire.api.template import PATH, TemplateResource
from guywire.errors import Invalid
from guywire.models import Organization, Template, TemplateTag
from guywire.security import require

TEMPLATE = f"{PATH}{{id:{UUID_PATTERN}}}/"

_MAX_NAME = 64
_MAX_TAGS, _MAX_TAG = 100, 100
_COPIED = ("type", "backend", "auto_cert", "required", "notes", "default_values", "config")


def _tags(value: Any, info: ValidationInfo) -> list[str]:
    if context_of(info).is_form and isinstance(value, str):
        value = value.split()
    if not isinstance(value, list):
        raise fail(f'Expected a list of items but got type "{type(value).__name__}".')
    if len(value) > _MAX_TAGS:
        raise fail(f"Ensure this field has no more than {_MAX_TAGS} elements.")
    for tag in value:
        if not isinstance(tag, str) or "\0" in tag:
            raise fail("Not a valid string.")
        # A device that registers sends the names of tags with spaces between them.
        if len(tag.split()) != 1 or tag != tag.strip():
            raise fail("A tag is a word: it is neither empty nor contains spaces.")
        if len(tag) > _MAX_TAG:
            raise fail(f"Ensure this field has no more than {_MAX_TAG} characters.")
    return list(dict.fromkeys(value))


class TagsBody(Schema):
    """All tags of a template."""

    tags: Annotated[
        list[str],
        Field(_tags, kind="words", help="Devices that register with one of these tags get the template."),
    ]


@register_single(f"{TEMPLATE}tags/", methods=frozenset({"GET", "PUT"}))
class TemplateTagsResource(TemplateResource):
    """The tags by which devices that register ask for a template."""

    schema = TagsBody  # type: ignore[assignment]
    create_schema = None
    shown = {"tags": TemplateResource.shown["tags"]}  # noqa: RUF012

    @override
    def update(self, row: Template, fields: dict[str, Any]) -> None:
        self.session.execute(sa.delete(TemplateTag).where(TemplateTag.template_id == row.id))
        if fields["tags"]:
            tags = [{"template_id": row.id, "name": name} for name in fields["tags"]]
            self.session.execute(sa.insert(TemplateTag), tags)
        row.modified = self.now


class CloneBody(Schema):
    """What may be different in a clone."""

    name: Annotated[str, fields.text(_MAX_NAME, help="By default the template's name and “(Clone)”.")]
    organization: Annotated[
        uuid.UUID | None, fields.reference(Organization, null=True, help="By default the template's.")
    ]


class TemplateClones(TemplateResource):
    """Makes clones of a template, of a shared one too."""

    create_schema = CloneBody

    @override
    def check_object(self, row: Template) -> None:
        # Nothing is done to the template itself: who may read it may clone it.
        require(self.identity, "GET", self.kind)

    def clone(self) -> dict[str, Any]:
        """Make a clone and answer it."""
        source = self.row()
        given = self.validated(partial=True)
        organization_id = given.get("organization", source.organization_id)
        if organization_id is None and not self.identity.is_superuser:
            raise Invalid({"organization": [REQUIRED]})
        name = given.get("name") or self._free_name(source.name, organization_id)
        # Not default: a clone is there to be changed before devices get it.
        same = {key: getattr(source, key) for key in _COPIED}
        if source.vpn_id is not None:
            same["vpn"] = source.vpn_id
        made = self.create({**same, "name": name, "organization": organization_id, "default": False})
        self.session.flush()
        groups: Any = [group for group in self.runtime.registry.field_groups if group.resource == self.kind]
        field_groups.save(groups, self.session, made, field_groups.values_of(groups, self.session, source.id), self.now)
        self.request.response.status = 201
        return self.represent_new(made)

    def _free_name(self, name: str, organization_id: uuid.UUID | None) -> str:
        """``name`` with the first suffix that makes it one that no template has in the way of the clone."""
        for number in count(1):
            suffix = " (Clone)" if number == 1 else f" (Clone {number})"
            candidate = name[: _MAX_NAME - len(suffix)].rstrip() + suffix
            namesakes = sa.select(Template.id).where(Template.name == candidate)
            if organization_id is not None:
                own = Template.organization_id == organization_id
                namesakes = namesakes.where(sa.or_(own, Template.organization_id.is_(None)))
            if self.session.scalar(namesakes.limit(1)) is None:
                return candidate
        raise AssertionError("there are more numbers than templates")


cloning = APIService(
    name="template_clone",
    path=f"{TEMPLATE}clone/",
    title="Clone of a template",
    description="Makes a copy of a template: not default, without its tags.",
)


@cloning.post(
    operation=Operation(body=CloneBody, partial=True, answer=TemplateResource, status=201, permission="add_template")
)
def clone_template(request: Request) -> dict[str, Any]:
    """A copy of the template that nothing uses yet, unless it is required."""
    return TemplateClones(request).clone()
