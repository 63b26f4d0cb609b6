"""The right to visit a device: one worker has it at a time, and nobody's request is lost meanwhile."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from guywire.db import SessionFactory, writing
from guywire.runtime import Runtime

from guywire_ssh_connection.models import DeviceVisit
from guywire_ssh_connection.services.connecting import limits_of

_MARGIN = 60.0


class LeaseLost(Exception):
    """A visit took so long that somebody else may have begun another one."""


@dataclass
class Lease:
    """The right to visit a device. It ends by itself some time after the worker that has it is gone.

    Whoever finds it taken knocks. The visitor cannot leave while there is a knock that it has not answered by looking
    once more at what is to be done: so nothing is forgotten that was asked for at the last moment.
    """

    factory: SessionFactory
    clock: Callable[[], datetime]
    device_id: uuid.UUID
    duration: timedelta
    token: str
    knocks: int = 0

    @classmethod
    def claim(cls, runtime: Runtime, device_id: uuid.UUID) -> Lease | None:
        """The lease, or None if somebody else has it (who knows now that there is more to do) or nobody may."""
        limits = limits_of(runtime.settings)
        longest = limits.connect + limits.banner + limits.authentication + limits.command + _MARGIN
        lease = cls(
            runtime.session_factory, runtime.clock, device_id, timedelta(seconds=longest), secrets.token_hex(16)
        )
        return lease if lease._claim_or_knock() else None

    def renew(self) -> None:
        """Have the device for a while longer. Raises LeaseLost."""
        if not self._update(DeviceVisit.lease == self.token, leased_until=self.clock() + self.duration):
            raise LeaseLost(f"another visit to the device {self.device_id} has begun")

    def look_again(self) -> bool:
        """Give the lease back, unless somebody has knocked since the last look: then (True) there is more to do."""
        nobody = DeviceVisit.knocks == self.knocks
        if self._update(sa.and_(DeviceVisit.lease == self.token, nobody), lease=None, leased_until=None):
            return False
        with writing(self.factory) as session:
            mine = sa.select(DeviceVisit.knocks).where(DeviceVisit.device_id == self.device_id)
            knocks = session.scalar(mine.where(DeviceVisit.lease == self.token))
        if knocks is None:
            return False
        self.knocks = knocks
        return True

    def give_back(self) -> None:
        """Leave, whatever there is to do."""
        self._update(DeviceVisit.lease == self.token, lease=None, leased_until=None)

    def _claim_or_knock(self) -> bool:
        now = self.clock()
        free = sa.or_(DeviceVisit.lease.is_(None), DeviceVisit.leased_until < now)
        with writing(self.factory) as session:
            row = session.get(DeviceVisit, self.device_id, with_for_update=True)
            if row is None:
                return False
            taken = session.execute(
                sa.update(DeviceVisit)
                .where(DeviceVisit.device_id == self.device_id, free)
                .values(lease=self.token, leased_until=now + self.duration)
                .execution_options(synchronize_session=False)
            )
            if cast("sa.CursorResult[Any]", taken).rowcount:
                self.knocks = row.knocks
                return True
            row.knocks += 1
            return False

    def _update(self, condition: Any, **values: Any) -> bool:
        with writing(self.factory) as session:
            updated = session.execute(
                sa.update(DeviceVisit)
                .where(DeviceVisit.device_id == self.device_id, condition)
                .values(**values)
                .execution_options(synchronize_session=False)
            )
            return bool(cast("sa.CursorResult[Any]", updated).rowcount)
