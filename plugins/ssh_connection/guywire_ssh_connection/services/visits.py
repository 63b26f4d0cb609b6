"""Visits to devices: one worker at a time goes to a device, and does all that waits there over one connection."""

from __future__ import annotations

import logging
import uuid
from contextlib import closing

from guywire.interfaces import Job
from guywire.jobs import Priority
from guywire.runtime import Runtime

from guywire_ssh_connection.services import commands, executing, pushing
from guywire_ssh_connection.services.connecting import Line
from guywire_ssh_connection.services.lease import Lease, LeaseLost, abandoned

log = logging.getLogger(__name__)


def visit(runtime: Runtime, device_id: str) -> None:
    """Go to a device: run the commands that wait, in their order, then tell it of its new configuration."""
    lease = Lease.claim(runtime, uuid.UUID(device_id))
    if lease is None:
        return
    line = Line(runtime, lease.device_id, lease.renew)
    with lease.kept(), closing(line):
        try:
            while True:
                while executing.run_next(runtime, lease, line.open):
                    pass
                pushing.push_if_due(runtime, lease.device_id, line.open)
                if not lease.look_again():
                    break
        except LeaseLost as lost:
            # Whoever has it now does what there is to do.
            log.warning("visit given up: %s", lost)


def visit_abandoned(runtime: Runtime) -> None:
    """Have those devices visited whose visitors are gone: a command that they began has to be ended."""
    commands.visit(runtime.queue, abandoned(runtime.session_factory, runtime.clock()), Priority.OPERATOR)


def jobs(parallel: int) -> tuple[Job, ...]:
    """The jobs; a worker visits so many devices at once."""
    return (
        Job(commands.VISIT, visit, parallel=parallel, label="Visit a device"),
        Job("ssh_abandoned_visits", visit_abandoned, every=5.0, label="Look for visits whose worker is gone"),
    )
