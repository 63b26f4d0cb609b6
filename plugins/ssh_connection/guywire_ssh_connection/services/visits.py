"""Visits to devices: one worker at a time goes to a device, and does all that waits there over one connection."""

from __future__ import annotations

import uuid

from guywire.interfaces import Job
from guywire.runtime import Runtime

from guywire_ssh_connection.services import executing, pushing
from guywire_ssh_connection.services.commands import VISIT
from guywire_ssh_connection.services.connecting import Line
from guywire_ssh_connection.services.lease import Lease, LeaseLost

AT_ONCE = 64
"""Devices that one worker visits at the same time: nearly all of a visit is waiting for the device."""


def visit(runtime: Runtime, device_id: str) -> None:
    """Go to a device: run the commands that wait, in their order, then tell it of its new configuration."""
    lease = Lease.claim(runtime, uuid.UUID(device_id))
    if lease is None:
        return
    line = Line(runtime, lease.device_id, lease.renew)
    try:
        while True:
            while executing.run_next(runtime, lease.device_id, line.open):
                lease.renew()
            pushing.push_if_due(runtime, lease.device_id, line.open)
            if not lease.look_again():
                break
    except LeaseLost:
        # Whoever has it now does what there is to do.
        return
    finally:
        line.close()
        lease.give_back()


JOBS = (Job(VISIT, visit, parallel=AT_ONCE, label="Visit a device"),)
