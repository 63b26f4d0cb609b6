"""A bounded memory of results, shared by the threads of a process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Memo(Generic[Result]):
    """Results by the bytes that they were made from; those unused for longest are forgotten first.

    ``budget`` is how many bytes of keys are kept, whatever their number: thousands of short keys or a few that hold
    whole files. The results are shared, so whoever gets one must not change it.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._size = 0
        self._results: OrderedDict[bytes, Result] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes, make: Callable[[], Result]) -> Result:
        """The result for this key, made now if it is not known. What ``make`` raises passes and is not remembered."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        # Outside the lock: two threads may make the same result, none waits for another one's work.
        result = make()
        if len(key) > self._budget // 8:
            return result  # It would push out everything else.
        with self._lock:
            if key not in self._results:
                self._results[key] = result
                self._size += len(key)
            while self._size > self._budget:
                forgotten, _ = self._results.popitem(last=False)
                self._size -= len(forgotten)
        return result
