"""Credentials that a provider did not take when they were used. Kept in this process for a minute each: however many
calls are refused, the provider is asked about a connection once, and its tokens are renewed once."""

import time
from collections.abc import Hashable
from typing import Final

LULL: Final = 60.0
"""Seconds until the same is asked again."""

_MOST: Final = 10_000


class Doubts:
    """Which credentials were renewed because they were refused, and which connections are to be checked."""

    def __init__(self) -> None:
        self._renewed, self._asked = _Lately(), _Lately()
        self._waiting: list[tuple[str, str]] = []

    def note_renewed(self, connection_id: str, version: int) -> None:
        """These took the place of others that were refused."""
        self._renewed.add((connection_id, version))

    def is_renewed(self, connection_id: str, version: int) -> bool:
        """Whether they did so a moment ago: then the refusal is not for their age, and newer ones would not help."""
        return (connection_id, version) in self._renewed

    def ask(self, organization_id: str, connection_id: str) -> None:
        """Have the connection checked, unless that was done a moment ago."""
        if connection_id not in self._asked:
            self._asked.add(connection_id)
            self._waiting.append((organization_id, connection_id))

    def take(self) -> list[tuple[str, str]]:
        """Organizations and connections that are to be checked now."""
        taken, self._waiting = self._waiting, []
        return taken


class _Lately:
    """What happened within the last minute; of too much, the newest."""

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}

    def add(self, key: Hashable) -> None:
        now = time.monotonic()
        self._until.pop(key, None)
        self._until[key] = now + LULL
        while len(self._until) > _MOST or next(iter(self._until.values())) <= now:
            del self._until[next(iter(self._until))]

    def __contains__(self, key: Hashable) -> bool:
        return self._until.get(key, 0.0) > time.monotonic()
