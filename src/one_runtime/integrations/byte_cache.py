"""Cache values up to a number of bytes.

Every request of a list looks up three values. `cachetools.LRUCache` runs six Python functions for each look-up, and
needs 4 µs of the 60 µs of a request. An `OrderedDict` does the same work in C.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

ENTRY: Final = 512
"""Approximate memory in bytes of an entry with a short key and an empty value."""


class ByteCache(Generic[Key, Value]):
    """A cache that removes the least recently used entries if all entries together exceed `capacity` bytes.

    `size`: the memory of all entries in bytes.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity, self.size = capacity, 0
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the cached value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Store or replace a value. Do not store a value that alone exceeds the capacity.

        `size`: the memory in bytes of the value, and of a key that can be long.
        """
        self._remove(self._entries.pop(key, None))
        size += ENTRY
        if size > self._capacity:
            return
        self._entries[key] = value, size
        self.size += size
        while self.size > self._capacity:
            self._remove(self._entries.popitem(last=False)[1])

    def _remove(self, entry: tuple[Value, int] | None) -> None:
        if entry is not None:
            self.size -= entry[1]

    def __len__(self) -> int:
        return len(self._entries)
