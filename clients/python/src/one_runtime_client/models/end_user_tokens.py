"""Define the classes of answers of `end_user_tokens`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = ["CreatedEndUserToken", "EndUserToken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUserToken:
    """An end-user token, without its secret. `prefix`: the beginning of the token.

    `last_used_at`: the time of the last request with the token. One Runtime updates the time at most every 10
    minutes.

    `client_id`: the address that identifies the agent to which the end user gave the token, or None for a token
    that your backend created. `refresh_expires_at`: the time until which the agent can renew the token. A renewal
    changes `prefix` and `expires_at`. A revocation also ends the renewal.

    Attributes:
        id: The id. Ids are UUIDs.
        audience: The place that accepts the token. `agent`: `/v1/mcp`.
        end_user_id: Your own identifier of the end user.
        name: Your name for the agent, or None.
        prefix: The beginning of the token.
        access: `read`: only reading calls. `ask`: also approved calls. `write`: all calls.
        integrations: The slugs that the agent can use. None: all integrations.
        hosts: The hosts that the agent can call. None: all hosts of the integrations.
        methods: The HTTP methods that the agent can use. None: all methods.
        calls_per_run: The number of calls that one program of the agent can make.
        created_at: The time of the creation, as in RFC 3339.
        expires_at: The time at which the session expires.
        last_used_at: The last use of the token, or None, up to 10 minutes old.
        revoked_at: The time of the revocation. None for a token that is not revoked.
        client_id: The agent to which the end user gave the token, or None.
        refresh_expires_at: The time until which the agent can renew the token, or None.
    """

    id: str
    audience: Literal["agent"]
    end_user_id: str
    name: str | None
    prefix: str
    access: Literal["read", "ask", "write"]
    integrations: tuple[str, ...] | None
    hosts: tuple[str, ...] | None
    methods: tuple[str, ...] | None
    calls_per_run: int
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    client_id: str | None
    refresh_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedEndUserToken(EndUserToken):
    """A new token. Only this response contains `end_user_token`, the token itself. Do not log this value.

    `mcp_url`: the address to which the agent sends the token.

    Attributes:
        end_user_token: The token itself. No other response contains the token. Do not log it.
        mcp_url: The address to which the agent sends the token.
    """

    end_user_token: str = field(repr=False)
    mcp_url: str
