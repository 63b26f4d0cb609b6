"""Renderings per second, netjsonconfig against guywire: ``python bench/rendering.py``.

A rendering goes from the layers of a configuration to the bytes of its archive, validated on the way. Before a fleet
is measured, both give the same archives for a part of it.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import netjsonconfig

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from guywire.archive import compress, pack
from guywire.backends import OpenWisp, OpenWrt
from guywire.backends.netjson import uses_dsa
from netjson_generator import Case, Generator, fleet

DEVICES = 1_000
STOCK_DEVICES = 50
ROUNDS = 3

Render = Callable[[Case], bytes]


def stock(backend: Any) -> Render:
    """netjsonconfig, used as its documentation says."""

    def render(case: Case) -> bytes:
        dsa = uses_dsa(case.device_os)
        engine = backend(case.config, templates=case.templates, context=case.context, dsa=dsa)
        archive: bytes = engine.generate().getvalue()
        return archive

    return render


def guywire(backend: OpenWrt | OpenWisp) -> Render:
    """A backend of guywire with its archive."""
    return lambda case: compress(pack(backend.render(case.config, case.templates, case.context, case.device_os)))


def rate(render: Render, cases: Sequence[Case]) -> float:
    """Renderings per second of processor time, in the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for case in cases:
            render(case)
        best = min(best, time.process_time() - start)
    return len(cases) / best


def main() -> None:
    """Measure and print."""
    shared = fleet(DEVICES)
    renamed = [
        Case({"general": {"hostname": f"ap-{n}"}}, shared[0].templates, shared[0].context) for n in range(DEVICES)
    ]
    distinct = [Generator(seed).case() for seed in range(DEVICES)]
    print(f"{'renderings per second':<58}{'netjsonconfig':>14}{'guywire':>10}{'ratio':>8}")
    for title, library, backend, cases in (
        ("OpenWrt, 3 shared templates, own addresses and SSIDs", netjsonconfig.OpenWrt, OpenWrt(), shared),
        ("OpenWrt, 3 shared templates, only hostnames differ", netjsonconfig.OpenWrt, OpenWrt(), renamed),
        ("OpenWISP 1.x, 3 shared templates, own addresses and SSIDs", netjsonconfig.OpenWisp, OpenWisp(), shared),
        ("OpenWrt, every configuration and template different", netjsonconfig.OpenWrt, OpenWrt(), distinct),
    ):
        slow, fast = stock(library), guywire(backend)
        with redirect_stdout(io.StringIO()):  # netjsonconfig prints what it leaves out
            assert all(slow(case) == fast(case) for case in cases[:20])
            before, after = rate(slow, cases[:STOCK_DEVICES]), rate(fast, cases)
        print(f"{title:<58}{before:>14.0f}{after:>10.0f}{after / before:>7.1f}×")


if __name__ == "__main__":
    main()
