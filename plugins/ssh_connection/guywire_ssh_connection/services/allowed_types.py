"""Which types of commands an organization may use."""

from __future__ import annotations

import uuid
from typing import Any

from guywire.registry import Registry
from guywire.settings import Settings
from sqlalchemy.orm import Session

from guywire_ssh_connection.command_models import OrganizationCommands
from guywire_ssh_connection.settings import SSHSettings

EVERYBODY = "__all__"
"""The key of the setting for organizations that it does not name."""


def allowed_types(session: Session, registry: Registry, settings: Settings, organization_id: uuid.UUID) -> list[str]:
    """The names of the types, in the order of registration.

    What was said of the organization over the API goes before what the settings say of it, and that before what they
    say of all: the one that is found first is the only one that counts.
    """
    own = session.get(OrganizationCommands, organization_id)
    allowed: Any = own.types if own is not None else None
    if allowed is None:
        general = SSHSettings.of(settings).organization_commands
        allowed = general.get(str(organization_id), general.get(EVERYBODY, "*"))
    return [name for name in registry.command_types if allowed == "*" or name in allowed]
