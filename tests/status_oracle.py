"""What a server can know of one router, told naively: everything that happened, in order, and questions about it.

Written from the rules (docs/architecture), not from the code: no flags that are kept up to date, only a history that
is read again for each question.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

ACTIVE, DEACTIVATING, DEACTIVATED = "active", "deactivating", "deactivated"
MODIFIED, APPLIED, ERROR, SERVED = "modified", "applied", "error", "served"
BROKEN = "inputs that cannot be rendered"

SENTENCES = {
    DEACTIVATED: "is deactivated and its configuration has been emptied",
    DEACTIVATING: "has not yet reported the empty configuration",
    BROKEN: "cannot be rendered, so the device is still given the configuration from before",
    "stale": "has changed and has not been rendered yet",
    APPLIED: "has reported that it applied exactly this configuration",
    ERROR: "has reported that it could not apply this configuration",
    "silent": "has not downloaded its configuration yet",
    "busy": "has downloaded this configuration and has not reported on it yet",
    "elsewhere": "has downloaded another configuration since its last report",
    "behind its report": "has changed since the one that the device last reported on",
    "behind its download": "has changed since the device downloaded it",
}
"""A part of the sentence that ``state/`` shows, for each answer of ``Oracle.why``."""


@dataclass
class Oracle:
    """One configuration, from its creation with ``desired`` on, which was rendered at once.

    What is desired, served and reported are bytes; here anything that can be compared stands for them.
    """

    desired: Hashable
    lifecycle: str = ACTIVE
    history: list[tuple[str, Hashable]] = field(default_factory=list)
    """What the router was given (``SERVED``) and what it said (a verdict), each with the bytes that it was about."""
    changes: int = 1
    rendered: int = 1
    broken: bool = False

    # What operators do

    def change(self) -> None:
        """Something that the configuration depends on becomes something else; nothing is rendered yet."""
        self.changes += 1

    def render(self, result: Hashable, read: int | None = None) -> None:
        """A rendering of the inputs after change number ``read`` (the latest) ends with ``result``, maybe BROKEN."""
        number = self.changes if read is None else read
        if number <= self.rendered:
            return
        self.rendered = number
        self.broken = result == BROKEN
        if not self.broken:
            self.desired = result

    def edit(self, result: Hashable) -> None:
        """A change that is rendered at once."""
        self.change()
        self.render(result)

    def deactivate(self, empty: Hashable) -> None:
        """The device is taken out of service and has to get ``empty``, unless it evidently has nothing else."""
        before = self.desired
        self.edit(empty)
        has_it = self.verdict is not None
        never_had_anything = self.desired == before and self.last_served is None
        self.lifecycle = DEACTIVATED if has_it or never_had_anything else DEACTIVATING

    def activate(self, result: Hashable) -> None:
        """The device is taken back into service."""
        self.edit(result)
        self.lifecycle = ACTIVE

    # What the router does

    def download(self) -> None:
        """The router is given what it should have."""
        self.history.append((SERVED, self.desired))

    def report(self, verdict: str) -> None:
        """The router speaks of what it was last given; nobody knows what that is: then of what it should have."""
        about = self.desired if self.last_served is None else self.last_served
        self.history.append((verdict, about))
        if self.lifecycle == DEACTIVATING and about == self.desired:
            self.lifecycle = DEACTIVATED

    # What may be asked

    @property
    def last_served(self) -> Hashable | None:
        """The bytes that the router was last given."""
        return next((about for what, about in reversed(self.history) if what == SERVED), None)

    @property
    def last_reported(self) -> Hashable | None:
        """The bytes that the router's last report was about."""
        return next((about for what, about in reversed(self.history) if what != SERVED), None)

    @property
    def verdict(self) -> str | None:
        """What the router said of exactly the bytes that it should have, if it has not been given others since."""
        for what, about in reversed(self.history):
            if about != self.desired:
                return None
            if what != SERVED:
                return what
        return None

    @property
    def is_stale(self) -> bool:
        """Whether something changed that has not been rendered."""
        return self.rendered != self.changes

    @property
    def status(self) -> str:
        """The status."""
        if self.lifecycle != ACTIVE:
            return self.lifecycle
        if self.is_stale or self.broken:
            return MODIFIED
        return self.verdict or MODIFIED

    @property
    def why(self) -> str:
        """Why the status is what it is: a key of SENTENCES."""
        if self.lifecycle != ACTIVE:
            return self.lifecycle
        if self.broken:
            return BROKEN
        if self.is_stale:
            return "stale"
        if self.verdict is not None:
            return self.verdict
        if not self.history:
            return "silent"
        if self.last_served == self.desired:
            return "busy"
        if self.last_reported is None:
            return "behind its download"
        if self._given_something_else_since_its_report():
            return "elsewhere"
        return "behind its report"

    def _given_something_else_since_its_report(self) -> bool:
        for what, about in reversed(self.history):
            if what != SERVED:
                return False
            if about != self.last_reported:
                return True
        return False
