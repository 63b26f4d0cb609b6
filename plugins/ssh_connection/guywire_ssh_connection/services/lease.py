"""The right to visit a device: one worker has it at a time, and nobody's request is lost meanwhile."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, cast
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from guywire.db import SessionFactory, reading, writing
from guywire.queue.keeping import Keeper
from guywire.runtime import Runtime
from sqlalchemy.orm import Session

from guywire_ssh_connection.models import DeviceVisit
from guywire_ssh_connection.settings import SSHSettings

_JOBS = 2
"""So many times longer than that of a job it lasts: who loses it does not learn how a command ended."""


_STEPS = 3
"""So many times what connecting and a command may take: a connector that takes longer is stuck."""


class LeaseLost(Exception):
    """A visitor was not heard of for so long that somebody else may have begun another visit."""


@dataclass
class Lease:
    """The right to visit a device. It is renewed during the visit (``kept``), and ends by itself soon after the worker
    that has it is gone, or stopped. Who was stopped and goes on finds out by ``hold`` before he begins anything.
    A visit that has begun nothing for longer than a ``step`` is stuck, and not renewed.

    Whoever finds it taken knocks. The visitor cannot leave while there is a knock that it has not answered by looking
    once more at what is to be done: so nothing is forgotten that was asked for at the last moment.
    """

    factory: SessionFactory
    clock: Callable[[], datetime]
    device_id: uuid.UUID
    duration: timedelta
    step: timedelta
    token: str
    alive_at: datetime
    knocks: int = 0

    @classmethod
    def claim(cls, runtime: Runtime, device_id: uuid.UUID) -> Lease | None:
        """The lease, or None if somebody else has it (who knows now that there is more to do) or nobody may."""
        duration = timedelta(seconds=_JOBS * runtime.settings.job_lease)
        limits = SSHSettings.of(runtime.settings).limits
        step = timedelta(seconds=_STEPS * (limits.connect + limits.banner + limits.authentication + limits.command))
        token = secrets.token_hex(16)
        lease = cls(runtime.session_factory, runtime.clock, device_id, duration, step, token, runtime.clock())
        return lease if lease._claim_or_knock() else None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew it for as long as the block takes, then leave, whatever there is to do."""
        try:
            with _keeper_of(self).kept(self):
                yield
        finally:
            self._update(DeviceVisit.lease == self.token, lease=None, leased_until=None)

    def renew(self) -> None:
        """Have the device for a while longer. Raises LeaseLost."""
        with writing(self.factory) as session:
            self.hold(session)

    def hold(self, session: Session) -> None:
        """Have the device, surely until what the session writes is committed, and for a while longer. Raises LeaseLost.

        Locks the visit: nobody else begins one meanwhile.
        """
        self.alive_at = self.clock()
        longer = {"leased_until": self.alive_at + self.duration}
        if not _update(session, self.device_id, DeviceVisit.lease == self.token, longer):
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

    def _claim_or_knock(self) -> bool:
        now = self.clock()
        free = sa.or_(DeviceVisit.lease.is_(None), DeviceVisit.leased_until < now)
        with writing(self.factory) as session:
            row = session.get(DeviceVisit, self.device_id, with_for_update=True)
            if row is None:
                return False
            mine = {"lease": self.token, "leased_until": now + self.duration}
            if _update(session, self.device_id, free, mine):
                self.knocks = row.knocks
                return True
            row.knocks += 1
            return False

    def _update(self, condition: Any, **values: Any) -> bool:
        with writing(self.factory) as session:
            return _update(session, self.device_id, condition, values)


def abandoned(factory: SessionFactory, now: datetime) -> Sequence[uuid.UUID]:
    """The devices whose visitors are gone, or stuck: what they began or left undone is for another visit."""
    with reading(factory) as session:
        return session.scalars(sa.select(DeviceVisit.device_id).where(DeviceVisit.leased_until < now)).all()


def _update(session: Session, device_id: uuid.UUID, condition: Any, values: dict[str, Any]) -> bool:
    updated = session.execute(
        sa.update(DeviceVisit)
        .where(DeviceVisit.device_id == device_id, condition)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    return bool(cast("sa.CursorResult[Any]", updated).rowcount)


_guard = Lock()
_keepers: WeakKeyDictionary[SessionFactory, Keeper[Lease]] = WeakKeyDictionary()


def _keeper_of(lease: Lease) -> Keeper[Lease]:
    """The one of this process: one for each database, that is."""
    with _guard:
        return _keepers.setdefault(lease.factory, Keeper(_renew_all, lease.duration.total_seconds() / 3))


def _renew_all(leases: Sequence[Lease]) -> None:
    first, now = leases[0], leases[0].clock()
    alive = [each for each in leases if each.alive_at + each.step >= now]
    mine = sa.select(DeviceVisit.device_id).where(
        DeviceVisit.device_id.in_([each.device_id for each in alive]),
        DeviceVisit.lease.in_([each.token for each in alive]),
    )
    # It waits for nobody, and so nobody for it: a row that somebody is writing has its turn the next time.
    mine = mine.with_for_update(skip_locked=True)
    with writing(first.factory) as session:
        session.execute(
            sa.update(DeviceVisit)
            .where(DeviceVisit.device_id.in_(mine))
            .values(leased_until=now + first.duration)
            .execution_options(synchronize_session=False)
        )
