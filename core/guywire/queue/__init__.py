"""The job engine: the job table as a queue, and what works through it."""

from guywire.queue.table import DatabaseQueue
from guywire.queue.worker import Worker

__all__ = ["DatabaseQueue", "Worker"]
