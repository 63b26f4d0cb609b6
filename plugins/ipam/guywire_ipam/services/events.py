"""What happens to division rules: it is told to this plugin itself, after the commit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from guywire.events import Event


@dataclass(frozen=True, slots=True)
class DivisionRuleSaved(Event):
    """A rule promises more than configurations have, and there may be room for it."""

    rule_id: uuid.UUID
    organization_id: uuid.UUID
