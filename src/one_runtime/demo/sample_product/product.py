"""Define the sample product: its end users, and the configuration of its backend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

END_USERS: Final[Mapping[str, str]] = {"user_123": "Ada Lindqvist", "user_456": "Tomás Reyes"}

FIRST_END_USER: Final = next(iter(END_USERS))

CONNECTED: Final = "/connected"
"""Path of the return URL. In the mode `redirect`, the browser returns to this URL."""

AGENT_LINKS: Final = "/agents"
"""Path of the page that the links of agents open."""

WEBHOOKS: Final = "/webhooks"
"""Path of the URL to which One Runtime sends events."""


@dataclass(frozen=True, slots=True)
class SampleProduct:
    """The backend's configuration: the backend's origin, One Runtime's address, the API key, and Acme's sample keys.

    `webhook_secret`: the secret with which the backend verifies One Runtime's webhooks.
    """

    origin: str
    one_runtime_url: str
    api_key: str = field(repr=False)
    acme_keys: Mapping[str, str] = field(repr=False)
    webhook_secret: str = field(repr=False)
