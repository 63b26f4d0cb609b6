"""Certificates: how many a second the API issues, how much of that is making keys, and how long a CRL takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from guywire.app import create_router
from guywire.db import writing
from guywire.runtime import Runtime
from guywire.services.accounts import create_organization, create_user, token_of
from guywire_pki.models import Revocation
from guywire_pki.x509 import keys
from harness import DATABASES, arguments, instance, milliseconds, print_table
from webtest import TestApp

API = "/api/v1/controller/"
REVOKED = 2000


class User:
    """A superuser who talks to the application of this process."""

    def __init__(self, runtime: Runtime) -> None:
        self.app = TestApp(create_router(runtime))
        with writing(runtime.session_factory) as session:
            made = create_organization(
                session, runtime.key_ring, runtime.clock(), name="bench", slug="bench", shared_secret="bench"
            )
            self.organization = str(made.id)
            user = create_user(session, runtime.clock(), username="bench", password=None, is_superuser=True)
            token = token_of(session, runtime.key_ring, user, runtime.clock())
        self.headers = {"Authorization": f"Bearer {token}"}

    def make(self, path: str, **fields: Any) -> Any:
        """Create something with a name of its own."""
        name = f"{path}{time.perf_counter_ns()}"
        body = {"name": name[:64], "common_name": name[:64], "organization": self.organization} | fields
        return self.app.post_json(API + path, body, headers=self.headers).json


def per_second(count: int, work: Callable[[], Any]) -> float:
    """How often a second ``work`` can be done."""
    work()
    start = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - start)


def revoke_many(runtime: Runtime, ca_id: int) -> None:
    """Put many serial numbers on the CRL of a CA."""
    now = runtime.clock()
    rows = [
        {"ca_id": ca_id, "serial_number": str(2**120 + n), "revoked_at": now, "expires": now + timedelta(days=99)}
        for n in range(REVOKED)
    ]
    with writing(runtime.session_factory) as session:
        session.execute(sa.insert(Revocation), rows)


def main() -> None:
    """Measure on both databases."""
    quick = arguments(__doc__).quick
    many, few = (60, 20) if quick else (400, 100)
    issued, lists = [], []
    for kind, label in DATABASES.items():
        with instance(kind) as served:
            user = User(served.runtime)
            for length in ("256", "2048"):
                ca = user.make("ca/", key_length=length)
                count = many if length == "256" else few
                raw = per_second(count, partial(keys.generate, length))
                for what, path, more in (("CA", "ca/", {}), ("certificate", "cert/", {"ca": ca["id"]})):
                    rate = per_second(count, partial(user.make, path, key_length=length, **more))
                    share = f"{rate / raw:.0%}" if length == "2048" else ""
                    issued.append((f"{label}, {what}, {keys.LENGTHS[length]}", f"{rate:.0f}", f"{raw:.0f}", share))
                revoke_many(served.runtime, ca["id"])
                url = f"/admin/pki/ca/{ca['id']}.crl"
                rate = per_second(few, partial(user.app.get, url))
                lists.append((f"{label}, {keys.LENGTHS[length]}", f"{rate:.0f}", milliseconds(1 / rate)))
    print_table("Issued over REST, one after the other", ("", "a second", "keys alone", "share"), issued)
    print_table(f"CRL of {REVOKED:,} serial numbers", ("", "a second", "each"), lists)


if __name__ == "__main__":
    main()
