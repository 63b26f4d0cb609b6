"""Polls per second against a bare hello on the same server: ``python bench/polls.py [--quick]``.

Every poll is of a random device, through a proxy and from the device's own address, so that it is one read and no
write; nothing is cached. The servers are asked in turn, again and again, and the ratio is the median of the rounds'.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from editor import Editor
from fleet import Fleet, make_fleet
from harness import (
    DATABASES,
    THREADS,
    Instance,
    Process,
    arguments,
    controller,
    hello,
    instance,
    milliseconds,
    print_table,
    worker,
)
from issuers import Issuers
from load import Load, Result, failures_of

CONNECTIONS = 32
EDITED = 10
"""How many devices have the template that is edited."""
EDITS_PER_SECOND = 5
ISSUERS = 5
"""How many clients ask for certificates with large keys."""
PACE = 500
"""Polls per second of a fleet that takes its time: 60,000 devices that poll every two minutes."""


@dataclass
class Server:
    """One of the servers that are compared."""

    name: str
    process: Process
    fleet: Fleet
    results: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def ask(self, seconds: float, rate: float | None = None) -> Result:
        """Poll for so long."""
        requests = self.fleet.polls()
        return Load(self.process.port, requests, connections=CONNECTIONS, seconds=seconds, rate=rate).result()

    def measure(self, seconds: float) -> None:
        """Poll as fast as it goes, and keep the figures."""
        before = self.process.cpu_seconds()
        result = self.ask(seconds)
        self.results.append(result)
        self.cpu.append((self.process.cpu_seconds() - before) / result.requests)


Fleets = dict[str, tuple[Instance, Fleet]]


def compare(fleets: Fleets, threads: int, rounds: int, seconds: float) -> list[list[str]]:
    """Rows of figures: hello and the databases, with web processes of so many threads."""
    with ExitStack() as stack:
        some_instance, some_fleet = next(iter(fleets.values()))
        servers = [Server("hello", stack.enter_context(hello(some_instance, threads)), some_fleet)]
        for kind, (served, fleet) in fleets.items():
            servers.append(Server(DATABASES[kind], stack.enter_context(controller(served, threads)), fleet))
        for server in servers:
            server.ask(seconds)
        for _ in range(rounds):
            for server in servers:
                server.measure(seconds)
    base = servers[0]
    return [
        [
            server.name,
            str(threads),
            f"{median(result.rate for result in server.results):,.0f}",
            f"{median(own.rate / its.rate for own, its in zip(server.results, base.results, strict=True)):.0%}",
            f"{median(server.cpu) * 1e6:.0f} µs",
            milliseconds(median(result.p50 for result in server.results)),
            milliseconds(median(result.p99 for result in server.results)),
            f"{median(result.busy for result in server.results):.0%}",
            failures_of(server.results),
        ]
        for server in servers
    ]


def disturb(served: Instance, fleet: Fleet, seconds: float) -> list[list[str]]:
    """Rows of figures of one database: left alone, and while somebody edits templates."""
    rows = []
    with controller(served) as process, worker(served):
        server = Server(DATABASES[served.kind], process, fleet)
        server.ask(seconds / 2)
        for edits in (0, EDITS_PER_SECOND):
            with Editor(process.port, fleet.token, fleet.template_of_some, edits) as editor:
                fast, paced = server.ask(seconds), server.ask(seconds, rate=PACE)
            rows.append(
                [
                    server.name,
                    str(edits),
                    f"{fast.rate:,.0f}",
                    milliseconds(paced.p50),
                    milliseconds(paced.p99),
                    milliseconds(paced.longest),
                    failures_of([fast, paced]),
                    milliseconds(median(editor.durations)) if editor.durations else "",
                ]
            )
    return rows


def crowd(served: Instance, fleet: Fleet, seconds: float) -> list[list[str]]:
    """Rows of figures of one database: left alone, and while certificates are issued."""
    rows = []
    with controller(served) as process:
        server = Server(DATABASES[served.kind], process, fleet)
        server.ask(seconds / 2)
        for count in (0, ISSUERS):
            with Issuers(process.port, fleet.token, count) as issuers:
                fast, paced = server.ask(seconds), server.ask(seconds, rate=PACE)
                issued = issuers.rate
            rows.append(
                [
                    server.name,
                    str(count),
                    f"{fast.rate:,.0f}",
                    milliseconds(paced.p50),
                    milliseconds(paced.p99),
                    milliseconds(paced.longest),
                    failures_of([fast, paced]),
                    f"{issued:.1f}" if count else "",
                ]
            )
    return rows


def main() -> None:
    """Measure and print."""
    quick = arguments(__doc__).quick
    devices, rounds, seconds = (100, 3, 0.3) if quick else (1_000, 10, 0.7)
    with ExitStack() as stack:
        fleets: Fleets = {}
        for kind in DATABASES:
            served = stack.enter_context(instance(kind))
            fleets[kind] = served, make_fleet(served.runtime, devices, EDITED)
        print_table(
            f"Checksum polls of {devices:,} devices, {CONNECTIONS} connections, as fast as it goes",
            ["server", "threads", "requests/s", "of hello", "CPU/request", "p50", "p99", "generator", "failures"],
            [row for threads in (1, THREADS) for row in compare(fleets, threads, rounds, seconds)],
        )
        print_table(
            f"With {THREADS} threads and a worker: as fast as it goes; the latencies of {PACE} polls per second",
            ["server", "edits/s", "requests/s", "p50", "p99", "longest", "failures", "an edit"],
            [row for served, fleet in fleets.values() for row in disturb(served, fleet, rounds * seconds / 2)],
        )
        print_table(
            f"With {THREADS} threads, while clients have certificates with RSA keys of 4096 bits issued",
            ["server", "clients", "requests/s", "p50", "p99", "longest", "failures", "certificates/s"],
            [row for served, fleet in fleets.values() for row in crowd(served, fleet, rounds * seconds / 2)],
        )


if __name__ == "__main__":
    main()
