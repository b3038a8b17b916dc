"""Calculate the time of the next refresh of a connection's tokens.

A refresh must happen before the access token expires. Some refresh tokens expire too. A refresh must also happen before
the refresh token expires.
"""

from datetime import datetime, timedelta
from typing import Final

from one_runtime.catalog.oauth2 import TokenLifetimes
from one_runtime.oauth.token_response import TokenSet

_MARGIN: Final = timedelta(minutes=5)
_PART_OF_SHORT_LIFE: Final = 5  # a lifetime of less than 25 minutes has a margin of a fifth of the lifetime


def next_refresh_at(lifetimes: TokenLifetimes, tokens: TokenSet, now: datetime) -> datetime | None:
    """Return the time of the next refresh for tokens that were issued at `now`. Return None if no token expires."""
    unused = lifetimes.refresh
    refresh_expiries = [tokens.refresh_expires_at, now + timedelta(seconds=unused) if unused is not None else None]
    moments = [_ahead(tokens.expires_at, now), *(_halfway(moment, now) for moment in refresh_expiries)]
    return min((moment for moment in moments if moment is not None), default=None)


def _ahead(expires_at: datetime | None, now: datetime) -> datetime | None:
    return None if expires_at is None else expires_at - min(_MARGIN, (expires_at - now) / _PART_OF_SHORT_LIFE)


def _halfway(moment: datetime | None, now: datetime) -> datetime | None:
    """Return the time halfway between now and the expiry of a refresh token.

    Half of the lifetime is then left for retries, because the provider or One Runtime can be unavailable for days.
    """
    return None if moment is None else now + (moment - now) / 2
