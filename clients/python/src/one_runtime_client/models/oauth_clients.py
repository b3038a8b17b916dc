"""Define the classes of answers of `oauth_clients`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "OAuthClient",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """An OAuth client, with the last four characters of its secret.

    `fields`: the names of the additional registered values. `redirect_url`: the URL to register with the provider.

    Attributes:
        integration_slug: The slug of the integration.
        client_id: The id of the OAuth client at the provider.
        client_secret_last_four: The last four characters of the secret. None for a short secret.
        scopes: The scopes to request. None means the integration's scopes.
        hosts: The provider's hosts that can receive the secret.
        fields: The names of the additional registered values, without the values.
        redirect_url: The redirect URL to register with the provider.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
    """

    integration_slug: str
    client_id: str
    client_secret_last_four: str | None
    scopes: tuple[str, ...] | None
    hosts: tuple[str, ...]
    fields: tuple[str, ...]
    redirect_url: str
    created_at: datetime
    updated_at: datetime
