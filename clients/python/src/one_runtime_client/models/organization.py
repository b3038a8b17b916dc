"""Define the classes of answers of `organization`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = ["AgentSettings", "Availability", "Organization"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The integrations that your end users can connect.

    `mode`: `all` enables every integration. `listed` enables only the integrations in `slugs`. `all_but` disables
    the integrations in `slugs`, and enables every other integration.

    Attributes:
        mode: `all`: every integration. `listed`: only `slugs`. `all_but`: every integration except `slugs`.
        slugs: Slugs of integrations. The meaning depends on `mode`.
    """

    mode: Literal["all", "listed", "all_but"] = "all"
    slugs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The limits of all agents of your organization. The limits of an end-user token apply too.

    `connect_url`: a page of your product, on which an end user connects an account for an agent, or approves a
    call. One Runtime adds the query parameter `connect_request_id` or `approval_request_id`. None: accounts are
    connected on One Runtime's own page, in the mode `link`, and approvals are not possible.

    `sign_in_url`: a page of your product, on which an end user signs in and approves an agent. One Runtime adds the
    query parameter `agent_authorization_id`. None: end users cannot add your MCP address to an agent.

    Attributes:
        access: `read`: only reading calls. `ask`: also approved calls. `write`: all calls.
        integrations: The slugs that the agent can use. None: all integrations.
        hosts: The hosts that the agent can call. None: all hosts of the integrations.
        methods: The HTTP methods that the agent can use. None: all methods.
        calls_per_run: The number of calls that one program of the agent can make.
        connect_url: The page of your product on which an end user connects an account for an agent, or None.
        sign_in_url: The page of your product on which an end user signs in and approves an agent, or None.
    """

    access: Literal["read", "ask", "write"] = "write"
    integrations: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    methods: tuple[Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"], ...] | None = None
    calls_per_run: int = 300
    connect_url: str | None = field(default=None, repr=False)
    sign_in_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """Your organization, with all its settings.

    Attributes:
        id: The id. Ids are UUIDs.
        display_name: The name that end users see.
        logo_url: The data URI of your logo, or None.
        privacy_url: The URL of your privacy policy, or None.
        allowed_origins: The origins of pages that can show the popup.
        return_urls: The registered return URLs.
        integrations: The integrations that your end users can connect.
        agents: The limits of all agents of your organization.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
    """

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Availability
    agents: AgentSettings
    created_at: datetime
    updated_at: datetime
