"""Names of what organizations may share: unique in an organization, and not to be confused with shared ones."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from guywire.errors import NON_FIELD, Invalid

_REASON = "Shared objects are visible to all organizations and must have unique names to avoid confusion."


def require_unique_name(session: Session, row: Any, label: str, fields: str = "organization, name") -> None:
    """Whether no other row of the same model is in the way of the name of this one. Raises Invalid.

    ``label`` is what messages call the object, in lower case, ``fields`` what they call its fields.
    """
    model = type(row)
    with session.no_autoflush:
        others = session.scalars(
            sa.select(model.organization_id).where(model.name == row.name, model.id != row.id)
        ).all()
    for organization_id in others:
        if organization_id == row.organization_id and organization_id is not None:
            raise Invalid({NON_FIELD: [f"The fields {fields} must make a unique set."]})
        if organization_id is None:
            raise Invalid({"name": [f"There is already another shared {label} with this name. {_REASON}"]})
        if row.organization_id is None:
            message = f"There is already a {label} of another organization with this name. {_REASON}"
            raise Invalid({"name": [message]})
