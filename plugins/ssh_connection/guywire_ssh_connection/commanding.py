"""What commands contribute to the hooks of the plugin."""

from __future__ import annotations

from guywire.events import Event
from guywire.interfaces import PermissionSet
from guywire.jobs import JobQueue
from sqlalchemy.orm import Session

from guywire_ssh_connection.services import batches, commands

_ALL = frozenset({"add", "change", "delete", "view"})
_RUN = frozenset({"add", "view"})
_VIEW = frozenset({"view"})

PERMISSIONS = (
    PermissionSet("command", "command", operator=_RUN, administrator=_ALL),
    PermissionSet("batchcommand", "batch command", operator=_RUN, administrator=_ALL),
    # Which types an organization may use is a limit for its managers, too.
    PermissionSet("organizationcommands", "commands of organization", operator=_VIEW, administrator=_VIEW),
)
JOBS = (*commands.JOBS, *batches.JOBS)


def on_event(session: Session, event: Event) -> None:
    """Follow what happens to devices."""
    commands.hear(session, event)
    batches.hear(session, event)


def after_commit(event: Event, jobs: JobQueue) -> None:
    """Wake those up who have something to do."""
    commands.tell(event, jobs)
    batches.tell(event, jobs)
