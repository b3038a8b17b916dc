"""Describe in words whether providers revoked the tokens of deleted connections."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from one_runtime.connections.search import FoundConnection
from one_runtime.dashboard.connection_views import BadgeKind
from one_runtime.lifecycle.disconnect import DisconnectedConnection

_SHOWN: Final = 100
_TOKENS: Final = {"access_token": "Access token", "refresh_token": "Refresh token", None: "Credential"}
_OUTCOMES: Final[dict[str, tuple[str, BadgeKind]]] = {
    "revoked": ("Revoked at the provider", "good"),
    "failed": ("Not revoked", "bad"),
    "not_supported": ("Deleted here", "plain"),
}
_NOT_SUPPORTED: Final = "One Runtime cannot revoke this credential at the provider."


class RevocationRow(NamedTuple):
    """The result for one token."""

    connection: str
    token: str
    outcome: str
    kind: BadgeKind
    reason: str | None


class RevocationSummary(NamedTuple):
    """The results for the tokens of deleted connections. `counts`: the number of results by outcome in words.

    `rows`: the first results. `deleted`: the number of deleted connections.
    """

    deleted: int
    rows: list[RevocationRow]
    counts: dict[str, int]

    @property
    def is_complete(self) -> bool:
        """Return True if the rows contain all results."""
        return len(self.rows) == sum(self.counts.values())


def summarize(deleted: Sequence[DisconnectedConnection], before: Sequence[FoundConnection]) -> RevocationSummary:
    """Return the results in words. `before`: connections that were read before their deletion, for their names."""
    names = {row.id: row.connection.name for row in before}
    rows = [
        RevocationRow(
            names.get(each.connection.id, each.connection.id),
            _TOKENS[result.token],
            *_OUTCOMES[result.outcome],
            result.reason or (_NOT_SUPPORTED if result.outcome == "not_supported" else None),
        )
        for each in deleted
        for result in each.revocations
    ]
    return RevocationSummary(len(deleted), rows[:_SHOWN], dict(Counter(row.outcome for row in rows)))
