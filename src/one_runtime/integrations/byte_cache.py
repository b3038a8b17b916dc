"""Cache values up to a number of bytes."""

from collections.abc import Hashable
from operator import itemgetter
from typing import Final, Generic, TypeVar

from cachetools import LRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

ENTRY: Final = 512
"""Approximate memory in bytes of an entry with a short key and an empty value."""


class ByteCache(Generic[Key, Value]):
    """A cache that removes the least recently used entries if all entries together exceed `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        self._entries: LRUCache[Key, tuple[Value, int]] = LRUCache(capacity, getsizeof=itemgetter(1))

    def get(self, key: Key) -> Value | None:
        """Return the cached value, or None."""
        try:
            return self._entries[key][0]
        except KeyError:
            return None

    def put(self, key: Key, value: Value, size: int) -> None:
        """Store or replace a value. Do not store a value that alone exceeds the capacity.

        `size`: the memory in bytes of the value, and of a key that can be long.
        """
        size += ENTRY
        if size <= self._entries.maxsize:
            self._entries[key] = value, size
        else:
            self._entries.pop(key, None)

    @property
    def size(self) -> int:
        """Return the memory of all entries in bytes."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)
