"""Seals secrets anew with the first key of the ring, while the servers go on.

Nothing here drops a key: that is for the one who has seen that ``count_old`` finds nothing any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from guywire.db import WRITES, is_overload
from guywire.sealing import KeyRing, SealBroken
from guywire.services.sealed_columns import SealedColumn, is_old

BATCH = 200
_PATIENCE = 60.0


def reseal(
    engine: Engine, ring: KeyRing, column: SealedColumn, advance: Callable[[int], None] = lambda count: None
) -> list[str]:
    """Seal the old values of a column anew, a batch to a transaction.

    Returns a line for each value that no key of the ring opens; those stay as they are. Can be interrupted anywhere
    and begun again.
    """
    broken: list[str] = []
    after: Any = None
    while True:
        rows = _with_patience(partial(_reseal_batch, engine, ring, column, after, broken))
        if not rows:
            return broken
        advance(len(rows))
        after = rows[-1]


def _reseal_batch(engine: Engine, ring: KeyRing, column: SealedColumn, after: Any, broken: list[str]) -> list[Any]:
    """The keys of the rows of one batch, the first after the key ``after``."""
    key = column.key
    statement = sa.select(*key, column.raw.label("sealed")).where(is_old(column, ring)).order_by(*key).limit(BATCH)
    if after is not None:
        # Rows that cannot be opened stay old: without this they would come again and again.
        statement = statement.where(sa.tuple_(*key) > sa.tuple_(*after) if len(key) > 1 else key[0] > after[0])
    failed = []
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        rows = connection.execute(statement).all()
        for *values, sealed in rows:
            try:
                plain = ring.open(bytes(sealed), column.purpose)
            except SealBroken as error:
                failed.append(f"{column.table.name} {', '.join(map(str, values))}: {error}")
                continue
            _replace(connection, column, values, bytes(sealed), ring.seal(plain, column.purpose))
    broken += failed
    return [tuple(row[:-1]) for row in rows]


def _replace(connection: Connection, column: SealedColumn, values: Sequence[Any], old: bytes, new: bytes) -> None:
    connection.execute(
        sa.update(column.table)
        # Whoever changed the value meanwhile sealed it with the new key already.
        .where(*(part == value for part, value in zip(column.key, values, strict=True)))
        .where(column.raw == sa.literal(old, sa.LargeBinary))
        .values({column.name: sa.literal(new, sa.LargeBinary)})
    )


def wait_for_older_transactions(engine: Engine, pause: Callable[[float], None] = time.sleep) -> bool:
    """Wait until the transactions are over that may have sealed something before the ring was replaced.

    Returns False when one of them lasts longer than a minute.
    """
    if engine.dialect.name == "sqlite":
        # There is one writer at a time: whoever holds the lock after them knows that they are over.
        try:
            _with_patience(partial(_take_lock, engine))
        except sa.exc.OperationalError:
            return False
        return True
    deadline = time.monotonic() + _PATIENCE
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        mine = connection.scalar(sa.text("SELECT txid_current()"))
        oldest = sa.text("SELECT txid_snapshot_xmin(txid_current_snapshot())")
        while connection.scalar(oldest) <= mine:
            if time.monotonic() > deadline:
                return False
            pause(0.2)
    return True


def _take_lock(engine: Engine) -> None:
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        connection.execute(sa.text("SELECT 1"))


def _with_patience(work: Callable[[], Any]) -> Any:
    """Do ``work``, again and again while the database is busy, for a minute."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return work()
        except sa.exc.DBAPIError as error:
            if not is_overload(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
