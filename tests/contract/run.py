#!/usr/bin/env python3
"""Starts a fresh guywire, plays the conformance suite and the examples of the API reference against it, stops it.

    python tests/contract/run.py                           everything
    python tests/contract/run.py --area device --only '^device-patch'   some scenarios, no examples
    python tests/contract/run.py --examples 'template'     only examples whose line or title matches

What is not an option of this script goes on to runner.py (--shuffle, --trace, --report ...). The instance lives in a
temporary folder with an SQLite database; --database gives it the address of another, empty one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FIXTURE = HERE / "fixture.json"

_RESULT = re.compile(r"(ok  |FAIL) +(\S+)  (.*)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ini", type=Path, default=ROOT / "development.ini")
    parser.add_argument("--database", metavar="URL", help="an empty database (default: SQLite in a temporary folder)")
    parser.add_argument("--area", action="append", default=[], help="see runner.py; leaves the examples out")
    parser.add_argument("--only", action="append", default=[], help="see runner.py; leaves the examples out")
    parser.add_argument("--examples", metavar="REGEX", help="play only these examples, and no scenarios")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the instance, with its log")
    options, passed_on = parser.parse_known_args()
    chosen = [f"--area={area}" for area in options.area] + [f"--only={only}" for only in options.only]
    with instance(options.ini, options.database, keep=options.keep) as url:
        code = 0
        if options.examples is None:
            code |= play_scenarios(url, [*chosen, *passed_on])
        if not chosen:
            code |= play_examples(url, options.examples or "")
    return code


@contextmanager
def instance(ini: Path, database: str | None, *, keep: bool) -> Iterator[str]:
    """The address of a server that runs for this time only."""
    folder = Path(tempfile.mkdtemp(prefix="guywire-conformance-"))
    port = free_port()
    environ = os.environ | {"GUYWIRE_DATA_DIR": str(folder), "GUYWIRE_HTTP_PORT": str(port)}
    if database is not None:
        environ["GUYWIRE_SQLALCHEMY_URL"] = database
    guywire = [sys.executable, "-m", "guywire.cli"]
    for arguments in (["migrate", ini], ["bootstrap", ini, FIXTURE]):
        subprocess.run([*guywire, *arguments], env=environ, check=True, stdout=subprocess.DEVNULL)
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen([*guywire, "serve", ini], env=environ, stdout=stream, stderr=stream)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, server, log)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        if errors := [line for line in log.read_text().splitlines() if "Traceback" in line]:
            print(f"the server logged {len(errors)} tracebacks:\n{log.read_text()[-4000:]}", file=sys.stderr)
        if keep:
            print(f"the instance is kept in {folder}")
        else:
            shutil.rmtree(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers. SystemExit when it ends instead, or takes longer than a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            requests.get(f"{url}/api/v1/controller/device/", timeout=10)
            return
        except requests.ConnectionError:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.1)


def play_scenarios(url: str, options: list[str]) -> int:
    """Runs runner.py; its exit code."""
    command = [
        *(sys.executable, str(HERE / "runner.py"), "compare", "--base-url", url, "--fixture", str(FIXTURE)),
        *("--differences", str(HERE / "differences.yaml")),
    ]
    return subprocess.run([*command, *options], check=False).returncode


def play_examples(url: str, only: str) -> int:
    """Runs seed_examples.py; 1 if an example fails, or if there is none."""
    played = subprocess.run(
        [sys.executable, str(HERE / "seed_examples.py"), url, str(FIXTURE), "--only", only],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    outcome: dict[str, bool] = {}
    for line in played.stdout.splitlines():
        result = _RESULT.match(line)
        if result is not None:
            label = f"{result[2]} {result[3]}"
            outcome[label] = outcome.get(label, True) and result[1] == "ok  "
        # Its own summary counts lines; ours counts examples.
        if (result is None and not re.match(r"\d+ passed, ", line)) or (result and result[1] == "FAIL"):
            print(line)
    failed = sum(not ok for ok in outcome.values())
    print(f"examples: {len(outcome) - failed} passed, {failed} failed")
    return int(bool(failed or not outcome))


if __name__ == "__main__":
    sys.exit(main())
