"""Credentials that a provider did not take when they were used. Kept in this process for a minute each: however many
calls are refused, the provider is asked about a connection once, and its tokens are renewed once."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LULL: Final = 60.0
"""Seconds until the same is asked again."""

MOST_OF_ONE: Final = 8
"""Connections to one integration that are checked at the same time."""

_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class RecheckRequest:
    """A connection whose credential was refused."""

    organization_id: str
    connection_id: str
    integration_slug: str


class RecheckQueue:
    """Which tokens were renewed because they were refused, and which connections are to be checked."""

    def __init__(self) -> None:
        self._renewed: _Lately[int] = _Lately()
        self._settled: _Lately[bool] = _Lately()
        self._waiting: list[RecheckRequest] = []
        self._open: set[str] = set()

    def note_renewed(self, connection_id: str, version: int) -> None:
        """Tokens of this version took the place of others that were refused."""
        self._renewed.put(connection_id, version)

    def is_renewed(self, connection_id: str, version: int) -> bool:
        """Whether these, or some before them, did so a moment ago: then it is not for their age that they are refused
        now, and newer ones would not help."""
        renewed = self._renewed.get(connection_id)
        return renewed is not None and version >= renewed

    def ask(self, doubt: RecheckRequest) -> None:
        """Have the connection checked, unless that is asked already, or was done a moment ago."""
        known = doubt.connection_id in self._open or self._settled.get(doubt.connection_id) is not None
        if not known and len(self._waiting) < _MOST:
            self._open.add(doubt.connection_id)
            self._waiting.append(doubt)

    def take(self) -> list[RecheckRequest]:
        """What is to be checked now; of one integration so many, so that one which hangs leaves room for the others."""
        taken: list[RecheckRequest] = []
        left: list[RecheckRequest] = []
        counts: Counter[str] = Counter()
        for doubt in self._waiting:
            counts[doubt.integration_slug] += 1
            (taken if counts[doubt.integration_slug] <= MOST_OF_ONE else left).append(doubt)
        self._waiting = left
        return taken

    def settle(self, doubt: RecheckRequest) -> None:
        """It was checked, or could not be."""
        self._open.discard(doubt.connection_id)
        self._settled.put(doubt.connection_id, True)


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
