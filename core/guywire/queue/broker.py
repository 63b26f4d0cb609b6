"""Celery beside the job table: its workers hear at once of what waits.

The table stays the truth. A message holds nothing but the id of a job; whoever gets it claims that job, so one that
comes twice does nothing, and one that is lost is sent again (``resend``).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from typing_extensions import override

from guywire.db import SessionFactory, reading, writing
from guywire.interfaces import Job
from guywire.jobs import Priority, Wanted
from guywire.models import JobRecord
from guywire.models.job import WAITING
from guywire.queue.table import DatabaseQueue
from guywire.settings import SettingInvalid

log = logging.getLogger(__name__)

TASK = "guywire.run"
"""The name of the one Celery task: it runs the job whose id it is given."""

QUEUES: Mapping[int, str] = {int(each): f"guywire.{each.name.lower()}" for each in Priority}
"""Celery takes from its queues in turn, so what waits in one holds up nothing in another."""

_AT_ONCE = 100
"""More messages than that are not sent by one who asks for jobs, but by ``resend``, which nobody waits for."""
_CHUNK = 500
_PATIENCE = timedelta(seconds=5)
_CALM = 5.0
"""Seconds for which a broker that is away is left alone."""
_TIMEOUT = 2


def create_celery(url: str) -> Any:
    """The Celery application for the broker at ``url``. Raises SettingInvalid when Celery is not installed."""
    try:
        from celery import Celery
        from kombu.entity import Queue
    except ImportError:
        raise SettingInvalid(
            "guywire.job_runner = celery: Celery is not installed; pip install 'guywire[celery]' brings it along"
        ) from None
    app = Celery("guywire", broker=url, set_as_current=False)
    app.conf.update(
        task_queues=[Queue(name) for name in QUEUES.values()],
        task_default_queue=QUEUES[Priority.OPERATOR],
        task_ignore_result=True,
        # A message that waits in a worker which is busy is of no use to one that is not.
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_timeout=_TIMEOUT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    # A request may wait for this.
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}
    if url.startswith("redis"):
        app.conf.broker_transport_options |= {"socket_connect_timeout": _TIMEOUT, "socket_timeout": 5}
    return app


class Broker:
    """Redis or RabbitMQ, by way of Celery."""

    def __init__(self, url: str) -> None:
        self._app = create_celery(url)
        self._away_until = 0.0
        from kombu.exceptions import KombuError

        with self._app.connection_for_write() as connection:
            # Each kind of broker has errors of its own. It is not connected to yet.
            self._errors = (OSError, KombuError, *connection.connection_errors, *connection.channel_errors)

    def send(self, jobs: Iterable[tuple[uuid.UUID, int]]) -> bool:
        """Tell of jobs, given as ids and priorities. Returns whether the broker took all of it."""
        if time.monotonic() < self._away_until:
            return False
        try:
            with self._app.producer_or_acquire() as producer:
                for id, priority in jobs:
                    queue = QUEUES.get(priority, QUEUES[Priority.BULK])
                    self._app.send_task(TASK, [str(id)], queue=queue, producer=producer, retry=False)
        except self._errors as error:
            self._is_away(error)
            return False
        return True

    def is_empty(self) -> bool:
        """Whether nothing waits in the broker. False, too, when it does not answer."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=_TIMEOUT)
                channel = connection.default_channel
                return not any(queue(channel).queue_declare().message_count for queue in self._app.amqp.queues.values())
        except self._errors as error:
            self._is_away(error)
            return False

    def close(self) -> None:
        """Give back the connections."""
        self._app.close()

    def _is_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + _CALM
        # Not the error itself: it may quote the address, with the password.
        log.warning("the broker does not answer (%s); what waits is sent again later", type(error).__name__)


class BrokeredQueue(DatabaseQueue):
    """The job table, with a broker that is told what waits in it."""

    def __init__(
        self,
        factory: SessionFactory,
        clock: Callable[[], datetime],
        lease: timedelta,
        labels: Mapping[str, str],
        broker: Broker,
    ) -> None:
        super().__init__(factory, clock, lease, labels)
        self.broker = broker

    @override
    def put(self, wanted: Sequence[Wanted]) -> None:
        if not wanted:
            return
        if len(wanted) > _AT_ONCE:
            self._write(wanted, None)
            return
        keys = self._write(wanted, self.clock())
        # As they are now: the same work may have waited before, with less priority and thus in another queue.
        waiting = sa.select(JobRecord.id, JobRecord.priority).where(JobRecord.waiting_key.in_(keys))
        with reading(self.factory) as session:
            jobs = [(row.id, row.priority) for row in session.execute(waiting)]
        self.broker.send(jobs)

    @override
    def close(self) -> None:
        self.broker.close()


def resend(runtime: Any) -> None:
    """Tell the broker of what it was not told yet: retries whose time has come, and very many jobs at once.

    What was sent and still waits while the broker has nothing left was lost, and is sent once more.
    """
    queue: BrokeredQueue = runtime.queue
    queue.release_expired()
    now = queue.clock()
    due = (
        sa.select(JobRecord.number, JobRecord.id, JobRecord.priority)
        .where(JobRecord.state == WAITING, JobRecord.run_at <= now)
        .order_by(JobRecord.priority, JobRecord.run_at, JobRecord.number)
        .limit(_CHUNK)
    )
    while _send(queue, due.where(JobRecord.sent.is_(None)), now) == _CHUNK:
        pass
    lost = due.where(JobRecord.sent < now - _PATIENCE)
    with reading(queue.factory) as session:
        has_lost = session.execute(lost.limit(1)).first() is not None
    if has_lost and queue.broker.is_empty():
        _send(queue, lost, now)


def _send(queue: BrokeredQueue, wanted: Any, now: datetime) -> int:
    with reading(queue.factory) as session:
        rows = session.execute(wanted).all()
    if not rows or not queue.broker.send((row.id, row.priority) for row in rows):
        return 0
    sent = sa.update(JobRecord).where(JobRecord.number.in_([row.number for row in rows])).values(sent=now)
    with writing(queue.factory) as session:
        session.execute(sent.execution_options(synchronize_session=False))
    return len(rows)


RESEND = Job("resend_jobs", resend, every=1.0, label="Tell the broker what waits")
