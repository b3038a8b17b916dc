"""Define the classes of answers of `end_users`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from one_runtime_client.models.agent_authorizations import AgentAuthorization
from one_runtime_client.models.approval_requests import ApprovalRequest
from one_runtime_client.models.connect_requests import ConnectRequest
from one_runtime_client.models.connections import Connection, ErrorNote, Revocation
from one_runtime_client.models.end_user_tokens import EndUserToken

__all__ = [
    "Actor",
    "DeletedEndUser",
    "EndUser",
    "EndUserExport",
    "Event",
    "PausedAgentRun",
    "ProxyRequest",
    "SessionSummary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUser:
    """A user of your product. `end_user_id`: your own identifier of this user.

    Attributes:
        end_user_id: Your own identifier of the end user.
        name: The end user's name, or None.
        email: The end user's e-mail address, or None.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
        metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
            interpret it.
    """

    end_user_id: str
    name: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedEndUser(EndUser):
    """The deleted end user as it last was, and the results of revoking the tokens.

    Attributes:
        deleted_connections: The number of deleted connections.
        revocations: The result of revoking each token at the provider.
    """

    deleted_connections: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session in a list, without its token.

    `last_error`: the newest stored error, or None. The session can stay `pending` after an error. After ten
    attempts that the provider refused, the session is `failed`.

    `connection_id`: the id of the connection that the session made, or None. The connection can have been deleted.

    Attributes:
        id: The id. Ids are UUIDs.
        status: The state of the session.
        end_user_id: Your own identifier of the end user.
        integration_slug: The slug of the integration, or None before the choice.
        mode: The place where the popup opens: `embed`, `redirect` or `link`.
        locale: The language that you chose for the popup, or None for the language of the browser.
        return_url: The URL to which the browser returns in the mode `redirect`.
        last_error: The newest error of the session, or None.
        connection_id: The id of the connection that the session made, or None.
        metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
            interpret it.
        created_at: The time of the creation, as in RFC 3339.
        expires_at: The time at which the session expires.
    """

    id: str
    status: Literal["pending", "connected", "failed", "cancelled", "expired"]
    end_user_id: str
    integration_slug: str | None
    mode: Literal["embed", "redirect", "link"]
    locale: str | None
    return_url: str | None
    last_error: ErrorNote | None
    connection_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedAgentRun:
    """A program of an agent that waits for the end user, or that continues after a wait.

    `status`: `waiting` or `running`. `end_user_token_id`: the token of the agent, or None if your backend started
    the program.

    Attributes:
        id: The id. Ids are UUIDs.
        status: `waiting` or `running`.
        end_user_token_id: The id of the end-user token.
        created_at: The time of the creation, as in RFC 3339.
    """

    id: str
    status: str
    end_user_token_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor that caused an event: an API key, an end user, or One Runtime itself (`system`).

    If an operator ran a command, the type is `system`, and `id` is the name of the operator.

    Attributes:
        type: The kind of actor: `api_key`, `end_user`, `end_user_token` or `system`.
        id: The id of the API key, the identifier of the end user, or the name of the operator.
    """

    type: str
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the audit log. `data` contains no secrets.

    `request_id`: the header `Request-Id` of the HTTP request that caused the event. None if no request caused the
    event, or if an older version of One Runtime recorded the event.

    Attributes:
        id: The id. Ids are UUIDs.
        type: The type of the event.
        created_at: The time of the creation, as in RFC 3339.
        actor: The actor that caused the event.
        address: The IP address of the actor, or None.
        end_user_id: Your own identifier of the end user.
        connection_id: The id of the connection.
        data: More data of the event, without secrets.
        request_id: The id of the request, as in the header `Request-Id`. The server's log contains this id.
    """

    id: str
    type: str
    created_at: datetime
    actor: Actor
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: Mapping[str, Any]
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A call through the proxy. Body sizes are in bytes, and durations are in milliseconds.

    Attributes:
        id: The id. Ids are UUIDs.
        created_at: The time of the creation, as in RFC 3339.
        end_user_id: Your own identifier of the end user.
        connection_id: The id of the connection.
        integration_slug: The slug of the integration.
        method: The HTTP method.
        path: The path at the provider, without the query.
        http_status: The HTTP status. 0: the caller disconnected before the response.
        error_code: The code of One Runtime's own error, or None.
        attempts: The number of requests that One Runtime sent to the provider.
        request_bytes: The size of the request's body in bytes.
        response_bytes: The size of the response's body in bytes.
        duration_ms: The duration of the call in milliseconds.
        upstream_ms: The time until the provider's response in milliseconds, or None.
        api_key_id: The id of the API key.
        request_id: The id of the request, as in the header `Request-Id`. The server's log contains this id.
        end_user_token_id: The end-user token of the agent that made the call, or None.
        run_id: The run of an agent's program that made the call, or None.
        member_id: The member who made the call in the playground of the dashboard, or None.
    """

    id: str
    created_at: datetime
    end_user_id: str | None
    connection_id: str
    integration_slug: str
    method: str
    path: str
    http_status: int
    error_code: str | None
    attempts: int
    request_bytes: int
    response_bytes: int
    duration_ms: int
    upstream_ms: int | None
    api_key_id: str | None
    request_id: str | None
    end_user_token_id: str | None
    run_id: str | None
    member_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUserExport:
    """Everything that One Runtime stores about an end user, without credentials and other secrets.

    Each list begins with the newest item.

    Attributes:
        exported_at: The time at which the export began, as in RFC 3339.
        end_user: The end user.
        connections: The connections, newest first.
        sessions: The sessions, newest first.
        end_user_tokens: The tokens, newest first, with revoked and expired tokens.
        agent_authorizations: The agents that the end user has approved, newest first.
        connect_requests: The requests of agents to connect an account, newest first.
        approval_requests: The calls of agents that the end user had to approve, newest first.
        paused_agent_runs: The programs of agents that wait for the end user, newest first.
        events: The events of the end user, newest first.
        proxy_requests: The calls through the proxy, newest first.
    """

    exported_at: datetime
    end_user: EndUser
    connections: tuple[Connection, ...]
    sessions: tuple[SessionSummary, ...]
    end_user_tokens: tuple[EndUserToken, ...]
    agent_authorizations: tuple[AgentAuthorization, ...]
    connect_requests: tuple[ConnectRequest, ...]
    approval_requests: tuple[ApprovalRequest, ...]
    paused_agent_runs: tuple[PausedAgentRun, ...]
    events: tuple[Event, ...]
    proxy_requests: tuple[ProxyRequest, ...]
