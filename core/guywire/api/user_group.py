"""Groups of users: ``/api/v1/users/group/``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session
from typing_extensions import override

from guywire.api import fields
from guywire.api.base import Resource, register
from guywire.api.schema import Schema
from guywire.api.shown import Loaded
from guywire.api.user import NOT_YOURS_TO_GIVE
from guywire.api.user_body import permissions_field
from guywire.api.user_shown import PERMISSION_TEXT, text_of
from guywire.errors import Invalid, PermissionDenied
from guywire.models import Group, GroupPermission, Permission
from guywire.services import users

OUT_OF_REACH = "You may not change a group that gives permissions which you do not have."


class UserGroupBody(Schema):
    """A group's fields."""

    name: Annotated[str, fields.text(150)]
    permissions: Annotated[list[int], permissions_field()] = []  # noqa: RUF012


def _permissions(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    query = (
        sa.select(GroupPermission.group_id, Permission)
        .join(Permission, Permission.id == GroupPermission.permission_id)
        .where(GroupPermission.group_id.in_(ids))
        .order_by(Permission.id)
    )
    for group_id, permission in session.execute(query):
        found.setdefault(group_id, []).append(text_of(permission))
    return found


@register("/api/v1/users/group/", id_pattern=r"[0-9]+")
class UserGroupResource(Resource):
    """Groups of users: named sets of permissions."""

    model = Group
    schema = UserGroupBody
    kind = "group"
    label = "Group"
    manager = False
    shown = {  # noqa: RUF012
        "id": Group.id,
        "name": Group.name,
        "permissions": Loaded(_permissions, {"type": "array", "items": PERMISSION_TEXT}, ()),
    }

    @override
    def query(self) -> Any:
        return sa.select(Group)

    @override
    def order(self) -> tuple[Any, ...]:
        return Group.name, Group.id

    @override
    def check_object(self, row: Group) -> None:
        if self.request.method not in ("GET", "HEAD") and not users.may_give_groups(
            self.session, self.identity, [row.id]
        ):
            raise PermissionDenied(OUT_OF_REACH)

    @override
    def create(self, fields: dict[str, Any]) -> Group:
        group = Group()
        self.session.add(self._filled(group, fields))
        return group

    @override
    def update(self, row: Group, fields: dict[str, Any]) -> None:
        self._filled(row, fields)

    def _filled(self, group: Group, fields: dict[str, Any]) -> Group:
        errors: dict[str, Any] = {}
        taken = sa.select(Group.id).where(Group.name == fields.get("name"), Group.id.is_distinct_from(group.id))
        if self.session.scalar(taken) is not None:
            errors["name"] = ["group with this name already exists."]
        wanted = fields.get("permissions", [])
        if not users.may_give_permissions(self.session, self.identity, wanted):
            errors["permissions"] = [NOT_YOURS_TO_GIVE]
        if errors:
            raise Invalid(errors)
        if "name" in fields:
            group.name = fields["name"]
        if "permissions" in fields:
            group.permissions = users.permissions_with(self.session, wanted)
        return group
