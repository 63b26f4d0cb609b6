"""What takes long to make, such as keys, is made before locks are taken.

Whoever finds in the middle of an edit that something lacks asks ``prepared``. That rolls the request back, makes the
thing while no lock is held (``guywire.requests``) and sends the request through once more, which then finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from guywire.errors import APIError

Things = Mapping[Any, Sequence[Any]]
"""What was made, by what it is for."""

Make = Callable[[Session], Things]
"""Makes them, with a session that only reads."""

STORE = "guywire.prepared"
"""Where the session of a request that can be repeated has its ``Store``."""


@dataclass(slots=True)
class Store:
    """What was made for a request, or the ``refusal`` that is its answer because it could not be made."""

    things: dict[Any, Sequence[Any]] = field(default_factory=dict)
    refusal: APIError | None = None


class MustPrepare(Exception):
    """Something takes long to make, and locks are held: call ``make`` without them, and do all again."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self.make = make


def prepared(session: Session, counts: Mapping[Any, int], make: Make) -> Things:
    """So many things of each kind, or less. Each is given once.

    They are made on the spot where nobody can repeat anything, in the worker for instance. Raises MustPrepare in the
    session of a request that has not been repeated for them yet.
    """
    store: Store | None = session.info.get(STORE)
    if store is None or not counts:
        return make(session)
    if store.refusal is not None:
        raise store.refusal
    if not counts.keys() & store.things.keys():
        raise MustPrepare(make)
    taken = {key: store.things.get(key, ())[:count] for key, count in counts.items()}
    for key, things in taken.items():
        store.things[key] = store.things.get(key, ())[len(things) :]
    return taken
