"""Define the classes of answers of `api_keys`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["ApiKey", "CreatedApiKey", "Me", "OrganizationName"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key, without its secret. `prefix`: the beginning of the key.

    `last_used_at`: the time of the last request with the key. One Runtime updates the time at most every 10
    minutes.

    Attributes:
        id: The id. Ids are UUIDs.
        prefix: The beginning of the key.
        name: The name.
        scopes: The scopes of the key: the operations that the key permits.
        created_at: The time of the creation, as in RFC 3339.
        last_used_at: The time of the last request with the key, as in RFC 3339. One Runtime updates the time at
            most every 10 minutes. None for an unused key.
        revoked_at: The time of the revocation, as in RFC 3339. None for an active key.
    """

    id: str
    prefix: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedApiKey(ApiKey):
    """A new API key. Only this response contains `api_key`, the key itself. Do not log this value.

    Attributes:
        api_key: The key itself. No other response contains the key. Do not log this value.
    """

    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationName:
    """The organization of an API key.

    Attributes:
        id: The id. Ids are UUIDs.
        display_name: The name that end users see.
    """

    id: str
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Me(ApiKey):
    """The API key of the request, and its organization.

    Attributes:
        organization: The organization of the key.
    """

    organization: OrganizationName
