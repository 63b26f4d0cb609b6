"""An edit of a template that thousands of devices have: ``python bench/template_edit.py [--quick]``.

How long the request takes and which statements it sends, how long one worker needs until every device's archive is the
new one, and how polls are answered meanwhile. The devices poll all the time, so some of them render their own.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from contextlib import ExitStack
from typing import Any

import sqlalchemy as sa
from editor import edit
from fleet import Fleet, count_stale, make_fleet
from guywire.app import create_app
from guywire.cli.ini import Ini
from harness import DATABASES, Instance, Process, arguments, controller, instance, milliseconds, print_table, worker
from load import Load, failures_of
from webtest import TestApp

CONNECTIONS = 32
PACE = 100
"""Polls per second: what ten thousand devices come to that poll every two minutes, and a little more."""
PATIENCE = 120.0


def measure(served: Instance, fleet: Fleet, process: Process, template: uuid.UUID, devices: int) -> list[str]:
    """Edit a template that so many devices have, and wait until nothing is stale: a row of figures."""
    polls = Load(process.port, fleet.polls(), connections=CONNECTIONS, rate=PACE)
    time.sleep(1.0)
    changes = {
        "default_values": {"edited": str(devices)},
        "config": {"dns_servers": ["9.9.9.9"], "dns_search": ["lan"]},
    }
    start = time.perf_counter()
    request = edit(process.port, fleet.token, template, changes)
    while count_stale(served.runtime):
        if time.perf_counter() > start + PATIENCE:
            raise RuntimeError("the worker does not come to an end")
        time.sleep(0.02)
    seconds = time.perf_counter() - start
    result = polls.stop()
    return [
        DATABASES[served.kind],
        f"{devices:,}",
        milliseconds(request),
        f"{seconds:.1f} s",
        f"{devices / seconds:,.0f}",
        f"{result.requests:,}",
        milliseconds(result.p50),
        milliseconds(result.p99),
        milliseconds(result.longest),
        failures_of([result]),
    ]


def statements(served: Instance, fleet: Fleet) -> str:
    """What the edit of the template of all devices sends to the database, the job for the worker included."""
    app = TestApp(create_app(Ini(str(served.ini)).settings()))
    sent: Counter[str] = Counter()

    def count(connection: Any, cursor: Any, statement: str, *arguments: Any) -> None:
        words = statement.split()
        if words[0] in ("UPDATE", "INSERT", "DELETE"):
            sent[" ".join(words[: 2 if words[0] == "UPDATE" else 3])] += 1
        elif words[0] == "SELECT":
            sent["SELECT"] += 1

    sa.event.listen(app.app.registry.runtime.engine, "before_cursor_execute", count)
    url = f"/api/v1/controller/template/{fleet.template_of_all}/"
    app.patch_json(url, {"config": {"dns_servers": ["1.1.1.1"]}}, headers={"Authorization": f"Bearer {fleet.token}"})
    app.app.registry.poll_reader.close()
    app.app.registry.runtime.close()
    return ", ".join(f"{number} {name}" for name, number in sorted(sent.items()))


def main() -> None:
    """Measure and print."""
    sizes = (200, 1_000) if arguments(__doc__).quick else (1_000, 10_000)
    rows, sent = [], []
    for kind in DATABASES:
        with ExitStack() as stack:
            served = stack.enter_context(instance(kind))
            fleet = make_fleet(served.runtime, size=sizes[1], some=sizes[0])
            process = stack.enter_context(controller(served))
            with worker(served):
                for template, devices in zip((fleet.template_of_some, fleet.template_of_all), sizes, strict=True):
                    rows.append(measure(served, fleet, process, template, devices))
            sent.append(f"  {DATABASES[kind]}: {statements(served, fleet)}")
    columns = [
        "database",
        "devices",
        "request",
        "all rendered",
        "per second",
        "polls",
        "p50",
        "p99",
        "longest",
        "failures",
    ]
    print_table(f"An edit of a template, one worker, {PACE} polls per second meanwhile", columns, rows)
    print(f"\nStatements of the edit with {sizes[1]:,} devices\n", *sent, sep="\n")


if __name__ == "__main__":
    main()
