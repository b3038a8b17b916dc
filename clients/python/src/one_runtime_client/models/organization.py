"""Define the classes of answers of `organization`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = ["AgentSettings", "Availability", "Branding", "Organization"]


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
class Branding:
    """The appearance of the popup and of its pages.

    `accent_color`: the color of buttons, links and focus rings in the light scheme, such as `#2450c4`. None: black.
    `accent_color_dark`: the color in the dark scheme. None: One Runtime derives the color from `accent_color`. A
    color needs a contrast of at least 3 to the popup's background. One Runtime chooses black or white text for
    buttons.

    `radius`: the radius of corners. `scheme`: `auto` follows the end user's browser. `logo_dark_url`: your logo in
    the dark scheme, as a data URI. None: the logo in `logo_url`. `hide_powered_by`: hide the line “Powered by One
    Runtime”.

    Attributes:
        accent_color: The color of buttons, links and focus rings in the light scheme, or None.
        accent_color_dark: The color in the dark scheme. None: derived from `accent_color`.
        radius: The radius of corners.
        scheme: The color scheme. `auto` follows the end user's browser.
        logo_dark_url: Your logo in the dark scheme, as a data URI. None: the same logo.
        hide_powered_by: True hides the line “Powered by One Runtime”.
    """

    accent_color: str | None = None
    accent_color_dark: str | None = None
    radius: Literal["none", "small", "medium", "large"] = "medium"
    scheme: Literal["auto", "light", "dark"] = "auto"
    logo_dark_url: str | None = None
    hide_powered_by: bool = False


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
        branding: The appearance of the popup and of its pages.
        several_connections: What happens to a call that names none of an end user's several active connections:
            `refuse` answers with 409 `several_connections`, and `use_default` uses the end user's [default
            connection](api.md#default-connections), if there is one.
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
    branding: Branding
    several_connections: Literal["refuse", "use_default"]
    created_at: datetime
    updated_at: datetime
