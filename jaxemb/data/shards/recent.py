"""A bounded number of values in memory: those used last."""

import collections
import threading
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `limit` values; the one whose last use is longest ago goes first. Threads may use it at the same time.

    >>> recent = Recent(2)
    >>> recent.put("a", 1), recent.put("b", 2), recent.get("a"), recent.put("c", 3)
    (1, 2, 1, 3)
    >>> recent.get("a"), recent.get("b")
    (1, None)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: collections.OrderedDict[K, V] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value, which counts as used; None if it is not there."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> V:
        """Keeps the value, and returns it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._limit:
                self._values.popitem(last=False)
            return value
