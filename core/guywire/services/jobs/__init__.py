"""The job engine: the job table as a queue, and what works through it."""

from guywire.services.jobs.queue import DatabaseQueue
from guywire.services.jobs.worker import Worker

__all__ = ["DatabaseQueue", "Worker"]
