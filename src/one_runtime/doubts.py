"""Credentials that a provider did not take when they were used. Kept in this process for a minute each: however many
calls are refused, the provider is asked about a connection once, and its tokens are renewed once."""

import time
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LULL: Final = 60.0
"""Seconds until the same is asked again."""

_MOST: Final = 10_000


class Doubts:
    """Which tokens were renewed because they were refused, and which connections are to be checked."""

    def __init__(self) -> None:
        self._renewed: _Lately[int] = _Lately()
        self._asked: _Lately[bool] = _Lately()
        self._waiting: list[tuple[str, str]] = []

    def note_renewed(self, connection_id: str, version: int) -> None:
        """Tokens of this version took the place of others that were refused."""
        self._renewed.put(connection_id, version)

    def is_renewed(self, connection_id: str, version: int) -> bool:
        """Whether these, or some before them, did so a moment ago: then it is not for their age that they are refused
        now, and newer ones would not help."""
        renewed = self._renewed.get(connection_id)
        return renewed is not None and version >= renewed

    def ask(self, organization_id: str, connection_id: str) -> None:
        """Have the connection checked, unless that was done a moment ago."""
        if self._asked.get(connection_id) is None:
            self._asked.put(connection_id, True)
            self._waiting.append((organization_id, connection_id))

    def take(self) -> list[tuple[str, str]]:
        """Organizations and connections that are to be checked now."""
        taken, self._waiting = self._waiting, []
        return taken


class _Lately(Generic[T]):
    """What is known of connections for a minute; of too many, of the latest."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[T, float]] = {}

    def put(self, key: str, value: T) -> None:
        now = time.monotonic()
        self._known.pop(key, None)
        self._known[key] = value, now + LULL
        while len(self._known) > _MOST or next(iter(self._known.values()))[1] <= now:
            del self._known[next(iter(self._known))]

    def get(self, key: str) -> T | None:
        value, until = self._known.get(key, (None, 0.0))
        return value if until > time.monotonic() else None
