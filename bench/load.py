"""A load generator for one HTTP/1.1 server on the loopback: raw sockets, keep-alive, one request at a time on each.

It runs in a process of its own, so that it takes no interpreter lock from anybody: ``Load`` starts it.
"""

from __future__ import annotations

import itertools
import json
import re
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """What the requests of one run came to. Latencies are in seconds."""

    requests: int
    seconds: float
    cpu_seconds: float
    statuses: dict[str, int]
    p50: float
    p99: float
    longest: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    @property
    def busy(self) -> float:
        """How much of its core the generator used: near 1, it measured itself."""
        return self.cpu_seconds / self.seconds


def failures_of(results: Iterable[Result]) -> str:
    """The answers that were no success, for people."""
    statuses = sum((Counter(result.statuses) for result in results), Counter[str]())
    return ", ".join(f"{number}x {status}" for status, number in statuses.items() if status != "200") or "none"


class Load:
    """Requests on their way, to be waited for or stopped.

    Each request is drawn at random from ``requests`` (bytes, or text). Without ``rate`` each connection sends the next
    one as soon as it has an answer. With ``rate`` (requests per second) they begin by the clock, and a request's
    latency counts from the moment at which it was due: a server that stalls is not asked less.
    """

    def __init__(
        self,
        port: int,
        requests: Sequence[str],
        *,
        connections: int,
        seconds: float | None = None,
        rate: float | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import load; load.main()"],
            cwd=Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        job = {"port": port, "connections": connections, "seconds": seconds, "rate": rate, "requests": list(requests)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def result(self) -> Result:
        """Wait for the end of ``seconds``."""
        assert self._process.stdout is not None
        answer = self._process.stdout.read()
        if self._process.wait() or not answer:
            raise RuntimeError("the load generator failed")
        return Result(**json.loads(answer))

    def stop(self) -> Result:
        """End a run that has no ``seconds``."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.result()


class _Connection:
    """A socket and what has arrived of the answer that it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begun = 0.0
        self.received = b""

    def send(self, request: bytes, begun: float) -> None:
        self.begun = begun
        self.socket.send(request)

    def receive(self) -> str | None:
        """The status once the whole answer is there."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        if self.received:
            data = self.received + data
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head + 2)
        if head < 0 or length is None or len(data) < head + 4 + int(length[1]):
            self.received = data
            return None
        self.received = b""
        return data[9:12].decode()


def run(
    port: int, requests: list[bytes], connections: int, seconds: float | None, rate: float | None, stop: Any = None
) -> dict[str, Any]:
    """Send requests until ``seconds`` have passed or ``stop`` (a file) is closed."""
    poll = select.epoll()
    by_number = {
        connection.socket.fileno(): connection for connection in (_Connection(port) for _ in range(connections))
    }
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    if stop is not None:
        poll.register(stop.fileno(), select.EPOLLIN | select.EPOLLHUP)
    drawn = _drawn(requests)
    idle = deque(by_number.values())
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    cpu, start = time.process_time(), time.perf_counter()
    due = (start + n / rate for n in itertools.count()) if rate else itertools.repeat(0.0)
    next_due = next(due)
    end = start + seconds if seconds else float("inf")
    now = start
    while now < end:
        while idle and next_due <= now:
            idle.popleft().send(next(drawn), next_due or now)
            next_due = next(due)
        wait = max(0.0, min(next_due, end) - now) if rate and idle else 0.1
        for number, _ in poll.poll(wait):
            connection = by_number.get(number)
            if connection is None:
                end = 0.0
                continue
            status = connection.receive()
            if status is not None:
                now = time.perf_counter()
                latencies.append(now - connection.begun)
                statuses[status] += 1
                if rate:
                    idle.append(connection)
                else:
                    connection.send(next(drawn), now)
        now = time.perf_counter()
    latencies.sort()
    return {
        "requests": len(latencies),
        "seconds": now - start,
        "cpu_seconds": time.process_time() - cpu,
        "statuses": statuses,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
        "longest": latencies[-1],
    }


def _drawn(requests: list[bytes]) -> Iterator[bytes]:
    # A long random sequence made beforehand costs nothing later.
    return itertools.cycle(Random(1).choices(requests, k=100_000))


def main() -> None:
    """Be the process that ``Load`` starts."""
    job = json.loads(sys.stdin.buffer.readline())
    requests = [request.encode() for request in job["requests"]]
    stop = None if job["seconds"] else sys.stdin
    json.dump(run(job["port"], requests, job["connections"], job["seconds"], job["rate"], stop), sys.stdout)
