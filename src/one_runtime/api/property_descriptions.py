"""Descriptions and examples of the names that several schemas or parameters of the API share.

A name of one schema has its description in the annotation of its field (`Described`). A name has one meaning in the
whole API (docs/vocabulary.md), so a shared name needs only one description. A key such as `Event.type` describes a
property of one schema, and a key such as `list_events.type` describes a parameter of one operation. Both have priority.
"""

from collections.abc import Mapping
from typing import Final

from one_runtime.api.described import EXAMPLE_ID, EXAMPLE_TIME, OF_FIELDS, Described

_METADATA_CHANGES: Final = (
    "The changes of the metadata. Each key changes only this key, and a key with null is removed."
)
_AVAILABILITY: Final = "`all`: every integration. `listed`: only `slugs`. `all_but`: every integration except `slugs`."
_KEY_USE: Final = Described(
    "The time of the last request with the key, as in RFC 3339. One Runtime updates the time at most every 10 minutes. "
    "Null for an unused key.",
    EXAMPLE_TIME,
)

_COMMON: Final[Mapping[str, Described]] = {
    "id": Described("The id. Ids are UUIDs.", EXAMPLE_ID),
    "end_user_id": Described("Your own identifier of the end user.", "user_123"),
    "integration_slug": Described(
        "The slug of the integration.",
        "hubspot",
        "the slug of an integration, such as hubspot. GET /v1/catalog/integrations lists the built-in integrations, "
        "and GET /v1/custom-integrations lists your own",
    ),
    "connection_id": Described("The id of the connection.", EXAMPLE_ID),
    "session_id": Described("The id of the session.", "01a21077-b2c1-7a52-8f43-9d1be0a7c310"),
    "prefix": Described("The beginning of the key.", "oru_abcdefgh"),
    "ApiKey.last_used_at": _KEY_USE,
    "CreatedApiKey.last_used_at": _KEY_USE,
    "Me.last_used_at": _KEY_USE,
    "revoked_at": Described("The time of the revocation, as in RFC 3339. Null for an active key.", None),
    "sessions": Described("The sessions, newest first."),
    "api_key_id": Described("The id of the API key.", "01a21070-3c55-7e10-9a87-2b7cf1d40e52"),
    "request_id": Described(
        "The id of the request, as in the header `Request-Id`. The server's log contains this id.",
        "01a21075-411f-70e2-9562-12b446456c0b",
    ),
    "slug": Described("The slug: the name of the integration in URLs and requests.", "hubspot"),
    "slugs": Described("Slugs of integrations. The meaning depends on `mode`.", ["hubspot", "slack"]),
    "name": Described("The name.", "HubSpot"),
    "description": Described("The purpose of the product, in one sentence.", "CRM and marketing automation."),
    "created_at": Described("The time of the creation, as in RFC 3339.", EXAMPLE_TIME),
    "updated_at": Described("The time of the last change, as in RFC 3339.", EXAMPLE_TIME),
    "limit": Described("Maximum number of items on a page.", 100),
    "cursor": Described("`next_cursor` of the previous page."),
    "next_cursor": Described("The value of `cursor` for the next page. Null on the last page.", None),
    "since": Described("Only items at or after this time, as in RFC 3339.", EXAMPLE_TIME),
    "until": Described("Only items before this time, as in RFC 3339.", EXAMPLE_TIME),
    "metadata": Described(
        "An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not interpret it.",
        {"team": "growth"},
    ),
    "search": Described("Text to search for. The best match is first.", "hub"),
    "If-None-Match": Described("The `ETag` of an earlier response. If the response is unchanged, the status is 304."),
}

_INTEGRATIONS: Final[Mapping[str, Described]] = {
    "integrations": Described("The integrations, ordered by name. With `search`, the best match is first."),
    "Availability.mode": Described(_AVAILABILITY, "listed"),
    "AvailabilityUpdate.mode": Described(_AVAILABILITY, "listed"),
    "logo_url": Described("The URL of the logo: a URL on this server, a data URI, or null.", None),
    "logo": Described(
        "The form of `logo_url`. `inline`: a data URI. `url`: a URL on this server. `none`: null.", "url"
    ),
    "CustomIntegration.logo": Described("An SVG image, or the data URI of an SVG image."),
    "aliases": Described("Other names of the product, in lower case, for the search.", ["acme bill"]),
    "get_can_write": Described(
        "Set if a GET can change something at the provider: `reason`, `source` and `date`. Agents then read only with "
        "listed functions."
    ),
    "category": Described("The category.", "CRM"),
    "supported_auth_types": Described("The auth types that an end user can use now.", ["oauth2", "api_key"]),
    "Integration.supported_auth_types": Described(
        "The auth types that an end user can use now.", ["oauth2", "api_key"]
    ),
    "website": Described("The product's website.", "https://www.hubspot.com"),
    "docs": Described("The provider's API documentation, or null.", "https://developers.hubspot.com/docs"),
    "auth": Described("The auth types, each with its fields."),
    "auth_type": Described("The auth type: the way to authenticate with the provider.", "api_key"),
    "params": Described("Values that are not secret, such as a subdomain.", {}),
    "expand": Described("`connections` adds the end user's connections to each integration.", "connections"),
    "digest": Described("The digest of the logo, from `logo_url`.", "5f0c8e1b"),
    "enabled": Described("True if your organization has enabled the integration.", True),
    "definition": Described("The definition in the catalog's format.", {"slug": "x-acme-billing"}),
    "warnings": Described("Texts with steps that you have to take, and with ignored parts of your document.", []),
    "invalidated_connections": Described("The number of connections that became `needs_reauth`.", 0),
    "delete_connections": Described("True also deletes the connections of the integration.", False),
}

_CONNECTIONS: Final[Mapping[str, Described]] = {
    "connections": Described("The connections, newest first."),
    "Connection.name": Described(
        "The name of the connection. By default, the account's name, or the integration's name.", "Globex Corporation"
    ),
    "ConnectionUpdate.metadata": Described(_METADATA_CHANGES, {"team": "growth"}),
    "status": Described("The state.", "active"),
    "list_connections.status": Described("Only connections with this status.", "active"),
    "error": Described("The newest error, or null.", None),
    "account": Described("The account at the provider."),
    "base_url": Described(
        "The base URL of the provider's API for this account. Null if the URL contains a part of the credential.",
        "https://api.hubapi.com",
    ),
    "scopes": Described("OAuth scopes.", ["crm.objects.contacts.read"]),
    "missing_scopes": Described("The scopes that One Runtime requested and the provider did not grant.", []),
    "last_used_at": Described("The time of the last call through the proxy, or null.", None),
    "token_expires_at": Described("The time at which the access token expires, or null.", None),
    "credentials": Described(
        "The credential. The keys depend on the auth type.", {"api_key": "pat-na1-00000000-0000-0000-0000-000000000000"}
    ),
    "multiple": Described("True gives a new account its own connection. False replaces the present account.", False),
    "reason": Described("The reason, as a text for people, or null.", None),
    "revocations": Described("The result of revoking each token at the provider."),
    "deleted_connections": Described("The number of deleted connections.", 1),
}

_SESSIONS: Final[Mapping[str, Described]] = {
    "allowed_origins": Described("The origins of pages that can show the popup.", ["https://app.example.com"]),
    "return_url": Described("The URL to which the browser returns in the mode `redirect`.", None),
    "return_urls": Described("The registered return URLs.", ["https://app.example.com/integrations"]),
    "mode": Described("The place where the popup opens: `embed`, `redirect` or `link`.", "embed"),
    "locale": Described("The language that you chose for the popup, or null for the language of the browser.", None),
    "expires_at": Described("The time at which the session expires.", EXAMPLE_TIME),
    "last_error": Described("The newest error of the session, or null.", None),
}

_ORGANIZATION: Final[Mapping[str, Described]] = {
    "display_name": Described("The name that end users see.", "Northwind"),
    "privacy_url": Described("The URL of your privacy policy, or null.", "https://northwind.example/privacy"),
    "branding": Described("The appearance of the popup and of its pages."),
    "accent_color": Described("The color of buttons, links and focus rings in the light scheme, or null.", "#2450c4"),
    "accent_color_dark": Described("The color in the dark scheme. Null: derived from `accent_color`.", None),
    "radius": Described("The radius of corners.", "medium"),
    "scheme": Described("The color scheme. `auto` follows the end user's browser.", "auto"),
    "logo_dark_url": Described("Your logo in the dark scheme, as a data URI. Null: the same logo.", None),
    "hide_powered_by": Described("True hides the line “Powered by One Runtime”.", False),
    "EndUserUpdate.metadata": Described(_METADATA_CHANGES, {"team": "growth"}),
    "email": Described("The end user's e-mail address, or null.", "ada@example.com"),
    "client_id": Described("The id of the OAuth client at the provider.", "12345678-1234-1234-1234-123456789012"),
    "hosts": Described("The provider's hosts that can receive the secret.", []),
}

_AGENT_HOSTS: Final = Described("The hosts that the agent can call. Null: all hosts of the integrations.", None)
_AGENT_INTEGRATIONS: Final = Described("The slugs that the agent can use. Null: all integrations.", ["hubspot"])
_CLIENT_URL: Final = "https://claude.ai/oauth/mcp-oauth-client-metadata"
_TOKEN_ID: Final = "01a21078-0d2e-7b41-8c52-6f1e2a9b3d47"
_AGENTS: Final[Mapping[str, Described]] = {
    "agents": Described("The limits of all agents of your organization."),
    "agent_authorization_id": Described("The id of an agent's request.", "01a21078-5d10-7a43-8b61-2c9f0e7d3a58"),
    "AgentApproval.hosts": _AGENT_HOSTS,
    "AgentApproval.integrations": _AGENT_INTEGRATIONS,
    **{
        f"{owner}.{name}": described
        for owner in ("AgentAuthorization", "AnsweredAgentAuthorization")
        for name, described in (
            ("status", Described("`open`, `approved`, `declined` or `expired`.", "open")),
            ("client_id", Described("The address of the document in which the agent describes itself.", _CLIENT_URL)),
            ("access", Described("The access that the agent has requested, `read` or `write`.", "write")),
            ("end_user_id", Described("Your identifier of the end user. Null before the approval.", None)),
            ("expires_at", Described("The time at which the request expires.", EXAMPLE_TIME)),
        )
    },
    "client_host": Described("The host of `client_id`. Show it to the end user: it identifies the agent.", "claude.ai"),
    "client_name": Described("The name that the agent gives itself, or null. The name is not verified.", "Claude"),
    "redirect_host": Described("The host, or the scheme of an app, to which the browser goes.", "claude.ai"),
    "end_user_tokens": Described("The tokens, newest first, with revoked and expired tokens."),
    "end_user_token_id": Described("The id of the end-user token.", _TOKEN_ID),
    "list_proxy_requests.run_id": Described("Only calls of these runs of an agent's programs.", [_TOKEN_ID]),
    "audience": Described("The place that accepts the token. `agent`: `/v1/mcp`.", "agent"),
    "access": Described("`read`: only reading calls. `ask`: also approved calls. `write`: all calls.", "read"),
    "methods": Described("The HTTP methods that the agent can use. Null: all methods.", None),
    "calls_per_run": Described("The number of calls that one program of the agent can make.", 300),
    **{
        f"{owner}.{name}": described
        for owner in ("NewEndUserToken", "EndUserToken", "CreatedEndUserToken", "AgentSettings", "AgentSettingsUpdate")
        for name, described in (("hosts", _AGENT_HOSTS), ("integrations", _AGENT_INTEGRATIONS))
    },
    **{
        f"{owner}.{name}": described
        for owner in ("EndUserToken", "CreatedEndUserToken")
        for name, described in (
            ("name", Described("Your name for the agent, or null.", "support agent")),
            ("prefix", Described("The beginning of the token.", "orut_abcdefgh")),
            ("last_used_at", Described("The last use of the token, or null, up to 10 minutes old.", None)),
            ("revoked_at", Described("The time of the revocation. Null for a token that is not revoked.", None)),
            ("client_id", Described("The agent to which the end user gave the token, or null.", None)),
        )
    },
    "refresh_expires_at": Described("The time until which the agent can renew the token, or null.", None),
    "approval_request_id": Described("The id of an agent's approval request.", "01a21079-6b2c-7f48-8d15-2c9e4a7b3f60"),
    "connect_request_id": Described("The id of an agent's connect request.", "01a21078-3f60-7c15-9b24-8e7d5c4a1f02"),
}

_LOGS: Final[Mapping[str, Described]] = {
    "event_id": Described("The id of the event.", EXAMPLE_ID),
    "order": Described("`desc`: newest first. `asc`: oldest first.", "desc"),
    "after": Described("Only events after the event with this id, oldest first.", EXAMPLE_ID),
    "list_events.type": Described("Only events of this type.", "connection.created"),
    "type": Described("The type.", "api_key"),
    "actor_type": Described("Only events of this kind of actor.", "api_key"),
    "actor_id": Described("Only events of the actor with this id.", "user_123"),
    "proxy_requests": Described("The calls through the proxy, newest first."),
    "method": Described("The HTTP method.", "GET"),
    "path": Described("The path at the provider, without the query.", "/crm/v3/objects/contacts"),
    "http_status": Described("The HTTP status of the response.", 200),
}

_HOOK: Final = "https://app.example.com/hooks/one-runtime"
_WEBHOOKS: Final[Mapping[str, Described]] = {
    "webhook_endpoint_id": Described("The id of the webhook endpoint.", EXAMPLE_ID),
    "kind": Described(
        "`push`: One Runtime sends the events to `url`. `pull`: your program fetches the events.", "push"
    ),
    "url": Described("The URL that receives the events. Null for the kind `pull`.", _HOOK),
    "NewWebhookEndpoint.url": Described("The https URL that receives the events. Omit it for the kind `pull`.", _HOOK),
    "WebhookEndpointUpdate.url": Described("The new URL.", _HOOK),
    "event_types": Described("The types of the events that the endpoint receives.", ["connection.created"]),
    "WebhookEndpoint.include": Described("What One Runtime adds to each message.", ["connection"]),
    "CreatedWebhookEndpoint.include": Described("What One Runtime adds to each message.", ["connection"]),
    "WebhookEndpoint.description": Described("Your own note about the endpoint.", "production"),
    "CreatedWebhookEndpoint.description": Described("Your own note about the endpoint.", "production"),
    "WebhookEndpoint.status": Described("`active`, `paused`, or `disabled` by One Runtime.", "active"),
    "CreatedWebhookEndpoint.status": Described("The status of a new endpoint is `active`.", "active"),
    "test_webhook_endpoint.type": Described("The type of the message.", "connection.needs_reauth"),
    "disabled_reason": Described("The reason why One Runtime disabled the endpoint, or null.", None),
    "failing_since": Described("The time of the first failed attempt since the last success, or null.", None),
    "last_success_at": Described("The time of the last success, up to a minute too early, or null.", EXAMPLE_TIME),
    "pending_deliveries": Described("The number of events that the endpoint has not received yet.", 0),
    "WebhookEndpoint.expires_at": Described("The time at which One Runtime deletes the endpoint, or null.", None),
    "CreatedWebhookEndpoint.expires_at": Described(
        "The time at which One Runtime deletes the endpoint, or null.", None
    ),
    "response_excerpt": Described("The beginning of the response body, without secrets, or null.", None),
    "event_type": Described("The type of the event.", "connection.created"),
    "event_created_at": Described("The time of the event.", EXAMPLE_TIME),
    "list_webhook_deliveries.status": Described("Only deliveries with this status.", "failed"),
    "list_webhook_deliveries.type": Described("Only events of this type.", "connection.created"),
    "failed_attempts": Described("The number of failed attempts.", 0),
    "next_attempt_at": Described("The time of the next attempt. Null unless the delivery is pending.", None),
    "settled_at": Described("The time at which the delivery ended, or null while it is pending.", EXAMPLE_TIME),
    "wait_seconds": Described("The time in seconds to wait for an event.", 30),
}

_ERRORS: Final[Mapping[str, Described]] = {}

DESCRIPTIONS: Final[Mapping[str, Described]] = {
    **_COMMON,
    **_INTEGRATIONS,
    **_CONNECTIONS,
    **_SESSIONS,
    **_ORGANIZATION,
    **_AGENTS,
    **_LOGS,
    **_WEBHOOKS,
    **_ERRORS,
}


def find(owner: str, name: str) -> Described | None:
    """Return the description of a property or parameter. `owner`: the name of the schema, or the operation id."""
    exact = f"{owner}.{name}"
    return DESCRIPTIONS.get(exact) or OF_FIELDS.get(exact) or DESCRIPTIONS.get(name)
