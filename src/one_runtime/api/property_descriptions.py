"""Descriptions and examples of the properties and parameters in the OpenAPI document.

A name has one meaning in the whole API (docs/vocabulary.md), so a name needs only one description. A key such as
`Event.type` describes a property of one schema, and a key such as `list_events.type` describes a parameter of one
operation. Both have priority over the key `type`.
"""

from collections.abc import Mapping
from typing import Final

from one_runtime.api.described import EXAMPLE_ID, EXAMPLE_TIME, Described
from one_runtime.api.webhook_descriptions import WEBHOOKS

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
    "api_keys": Described("The API keys, newest first, with the revoked keys."),
    "api_key": Described("The key itself. No other response contains the key. Do not log this value.", "oru_…"),
    "prefix": Described("The beginning of the key.", "oru_abcdefgh"),
    "ApiKey.last_used_at": _KEY_USE,
    "CreatedApiKey.last_used_at": _KEY_USE,
    "Me.last_used_at": _KEY_USE,
    "revoked_at": Described("The time of the revocation, as in RFC 3339. Null for an active key.", None),
    "Me.organization": Described("The organization of the key."),
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
    "unavailable": Described(
        "The reason why no end user of your organization can connect the integration. Absent if end users can connect.",
        {"code": "oauth_client_missing", "action": "Register a client with PUT /v1/integrations/gmail/oauth-client."},
    ),
    "Unavailability.code": Described("The reason for programs.", "oauth_client_missing"),
    "Unavailability.action": Described(
        "What you have to do, in one sentence.", "Register a client with PUT /v1/integrations/gmail/oauth-client."
    ),
    "Organization.integrations": Described("The integrations that your end users can connect."),
    "NewOrganization.integrations": Described("The integrations that your end users can connect. Default: all."),
    "OrganizationUpdate.integrations": Described("The integrations that your end users can connect."),
    "Availability.mode": Described(_AVAILABILITY, "listed"),
    "AvailabilityUpdate.mode": Described(_AVAILABILITY, "listed"),
    "logo_url": Described("The URL of the logo: a URL on this server, a data URI, or null.", None),
    "Organization.logo_url": Described("The data URI of your logo, or null.", None),
    "NewOrganization.logo_url": Described(
        "A data URI of a PNG, JPEG, WebP or SVG in base64. The decoded image can have at most 64 kB.", None
    ),
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
    "categories": Described("The categories that contain at least one integration."),
    "Category.name": Described("The name of the category.", "CRM"),
    "count": Described("The number of integrations in the category.", 42),
    "supported_auth_types": Described("The auth types that an end user can use now.", ["oauth2", "api_key"]),
    "CatalogIntegration.supported_auth_types": Described("All auth types.", ["oauth2", "api_key"]),
    "CatalogDetail.supported_auth_types": Described("All auth types.", ["oauth2", "api_key"]),
    "Integration.status": Described(
        "`connected` if the end user has an active connection. Otherwise, or if the end user has to connect again, "
        "`not_connected`.",
        "connected",
    ),
    "Integration.connections": Described("The end user's connections. Absent without `expand=connections`."),
    "website": Described("The product's website.", "https://www.hubspot.com"),
    "docs": Described("The provider's API documentation, or null.", "https://developers.hubspot.com/docs"),
    "auth": Described("The auth types, each with its fields."),
    "auth_type": Described("The auth type: the way to authenticate with the provider.", "api_key"),
    "NewConnection.auth_type": Described(
        "The auth type: the way to authenticate with the provider.",
        "api_key",
        "an auth type of the integration ({values})",
    ),
    "NewSession.auth_type": Described("The only auth type that the popup offers. Default: all.", None),
    "params": Described("Values that are not secret, such as a subdomain.", {}),
    "CatalogAuth.params": Described("The values that are not secret. The popup asks the end user for them.", []),
    "fields": Described("The credential fields, such as an API key. The popup asks the end user for them."),
    "OAuthClient.fields": Described("The names of the additional registered values, without the values.", []),
    "NewOAuthClient.fields": Described(
        "More values that the integration needs for an OAuth client, such as a developer token.", {}
    ),
    "CatalogField.name": Described("The key of the value in `params` or `credentials`.", "api_key"),
    "CatalogField.label": Described("The label of the field for end users.", "API key"),
    "CatalogFieldOption.label": Described("The label of the option for end users.", "Europe"),
    "help": Described("A text that explains the field, or null.", None),
    "placeholder": Described("An example of the value, or null.", None),
    "pattern": Described("A regular expression that must match the whole value, or null.", None),
    "secret": Described("True if the value is secret.", True),
    "optional": Described("True if the end user can leave the field empty.", False),
    "options": Described("The values from which the end user chooses. Empty for a text field.", []),
    "value": Described("The value of the option.", "eu"),
    "oauth2": Described("Facts about OAuth 2.0. Null for other auth types.", None),
    "CatalogOAuth2.scopes": Described("The scopes that One Runtime requests by default.", ["oauth"]),
    "pkce": Described("The provider's support for PKCE (RFC 7636).", "supported"),
    "refresh": Described("The kind of refresh token that the provider issues.", "rotates"),
    "client": Described(
        "`organization`: your organization registers one OAuth client. `customer`: each end user enters one.",
        "organization",
    ),
    "client_url": Described("The provider's page for registering an OAuth client, or null.", None),
    "verified": Described("The evidence that the definition is correct."),
    "how": Described("The kind of evidence.", "documentation"),
    "date": Described("The date of the evidence, or null.", "2026-11-20"),
    "expand": Described("`connections` adds the end user's connections to each integration.", "connections"),
    "digest": Described("The digest of the logo, from `logo_url`.", "5f0c8e1b"),
    "custom_integrations": Described("The custom integrations, ordered by slug."),
    "enabled": Described("True if your organization has enabled the integration.", True),
    "definition": Described("The definition in the catalog's format.", {"slug": "x-acme-billing"}),
    "warnings": Described("Texts with steps that you have to take, and with ignored parts of your document.", []),
    "invalidated_connections": Described("The number of connections that became `needs_reauth`.", 0),
    "delete_connections": Described("True also deletes the connections of the integration.", False),
}

_CONNECTIONS: Final[Mapping[str, Described]] = {
    "connections": Described("The connections, newest first."),
    "exported_at": Described("The time at which the export began, as in RFC 3339.", EXAMPLE_TIME),
    "end_user": Described("The end user."),
    "agent_authorizations": Described("The agents that the end user has approved, newest first."),
    "connect_requests": Described("The requests of agents to connect an account, newest first."),
    "approval_requests": Described("The calls of agents that the end user had to approve, newest first."),
    "paused_agent_runs": Described("The programs of agents that wait for the end user, newest first."),
    "PausedAgentRun.status": Described("`waiting` or `running`.", "waiting"),
    "EndUserExport.events": Described("The events of the end user, newest first."),
    "connection": Described("The connection, or null."),
    "ConnectionCheck.connection": Described("The connection after the check."),
    "Connection.name": Described(
        "The name of the connection. By default, the account's name, or the integration's name.", "Globex Corporation"
    ),
    "ConnectionSummary.name": Described("The name of the connection.", "Globex Corporation"),
    "NewConnection.name": Described("A name for the connection. Default: the account's name.", "Marketing portal"),
    "ConnectionUpdate.name": Described("The new name of the connection.", "Marketing portal"),
    "ConnectionUpdate.metadata": Described(_METADATA_CHANGES, {"team": "growth"}),
    "status": Described("The state.", "active"),
    "Connection.status": Described("`active`, or `needs_reauth` if the end user has to connect again.", "active"),
    "ConnectionSummary.status": Described(
        "`active`, or `needs_reauth` if the end user has to connect again.", "active"
    ),
    "list_connections.status": Described("Only connections with this status.", "active"),
    "error": Described("The newest error, or null.", None),
    "account": Described("The account at the provider."),
    "Account.id": Described("The provider's id of the account, or null if it is unknown.", "4711"),
    "label": Described("The name of the account, or null if it is unknown.", "Globex Corporation"),
    "base_url": Described(
        "The base URL of the provider's API for this account. Null if the URL contains a part of the credential.",
        "https://api.hubapi.com",
    ),
    "scopes": Described("OAuth scopes.", ["crm.objects.contacts.read"]),
    "NewApiKey.name": Described("Your name for the key, such as the program that uses it.", "billing"),
    "ApiKey.scopes": Described("The scopes of the key: the operations that the key permits.", ["read", "use"]),
    "CreatedApiKey.scopes": Described("The scopes of the key: the operations that the key permits.", ["read", "use"]),
    "Me.scopes": Described("The scopes of the key: the operations that the key permits.", ["read", "use"]),
    "NewApiKey.scopes": Described("The scopes of the new key. The key of the request must have all of them.", ["read"]),
    "Connection.scopes": Described("The granted scopes.", ["crm.objects.contacts.read"]),
    "ConnectionSummary.scopes": Described("The granted scopes.", ["crm.objects.contacts.read"]),
    "missing_scopes": Described("The scopes that One Runtime requested and the provider did not grant.", []),
    "last_used_at": Described("The time of the last call through the proxy, or null.", None),
    "token_expires_at": Described("The time at which the access token expires, or null.", None),
    "credentials": Described(
        "The credential. The keys depend on the auth type.", {"api_key": "pat-na1-00000000-0000-0000-0000-000000000000"}
    ),
    "check": Described("True verifies the credential with the provider, and stores only an accepted credential.", True),
    "multiple": Described("True gives a new account its own connection. False replaces the present account.", False),
    "outcome": Described("The result.", "accepted"),
    "Revocation.outcome": Described("The result of the revocation at the provider.", "revoked"),
    "working": Described("True if the credential works. Null if no check is possible.", True),
    "reason": Described("The reason, as a text for people, or null.", None),
    "missing_permission": Described("The provider's name of the missing permission, or null.", None),
    "token": Described("The revoked token. Null for a credential that is not a token.", "refresh_token"),
    "revocations": Described("The result of revoking each token at the provider."),
    "deleted_count": Described("The number of deleted connections.", 1),
    "deleted_connections": Described("The number of deleted connections.", 1),
    "revocation_counts": Described("The number of tokens with each result of the revocation, of all connections."),
    "RevocationCounts.revoked": Described("Tokens that the provider revoked.", 1),
    "RevocationCounts.failed": Described("Tokens that could not be revoked. One Runtime retries for 24 hours.", 0),
    "RevocationCounts.not_supported": Described("Credentials that cannot be revoked, such as an API key.", 0),
    "Disconnection.status": Described(
        "`disconnected`, or `not_found` if the end user had no connection to the integration.", "disconnected"
    ),
    "ErrorNote.code": Described("The code of the error. Codes are stable.", "credentials_refused"),
    "ErrorNote.explanation": Described("Texts for people about the code: what happened, and what to do.", None),
    "Explanation.message": Described("What happened.", "The provider refused the refresh token."),
    "Explanation.action": Described("What to do.", "Ask the end user to connect again."),
    "ErrorNote.created_at": Described("The time of the error, as in RFC 3339.", EXAMPLE_TIME),
    "message": Described("The error, as a text for people.", "The provider does not accept these credentials."),
}

_SESSIONS: Final[Mapping[str, Described]] = {
    "NewSession.integration_slug": Described("The integration to connect. Default: the end user chooses.", "hubspot"),
    "NewSession.connection_id": Described("The id of the connection to reconnect.", None),
    "NewConnection.connection_id": Described("The id of the connection whose credential to replace.", None),
    "end_user_name": Described("The end user's name, which the popup shows.", "Ada Lovelace"),
    "end_user_email": Described("The end user's e-mail address, which the popup shows.", "ada@example.com"),
    "suggested_connection_name": Described("A name for the connection. The end user can change the name.", None),
    "allowed_origins": Described("The origins of pages that can show the popup.", ["https://app.example.com"]),
    "return_url": Described("The URL to which the browser returns in the mode `redirect`.", None),
    "return_urls": Described("The registered return URLs.", ["https://app.example.com/integrations"]),
    "mode": Described("The place where the popup opens: `embed`, `redirect` or `link`.", "embed"),
    "NewSession.locale": Described("The language of the popup. Default: the language of the browser.", None),
    "locale": Described("The language that you chose for the popup, or null for the language of the browser.", None),
    "NewSession.scopes": Described("The OAuth scopes to request. Default: the scopes of the OAuth client.", []),
    "expires_in": Described("The time in which the end user must open the session, 60 to 3600 seconds.", 600),
    "session_token": Described("The token for the popup. No later response contains the token.", "orcs_…"),
    "connect_url": Described(
        "The URL of the popup, with the token.", "https://connect.example.com/connect?session_token=orcs_…"
    ),
    "expires_at": Described("The time at which the session expires.", EXAMPLE_TIME),
    "Session.status": Described("The state of the session.", "connected"),
    "SessionSummary.status": Described("The state of the session.", "connected"),
    "SessionSummary.integration_slug": Described("The slug of the integration, or null before the choice.", "hubspot"),
    "SessionSummary.connection_id": Described("The id of the connection that the session made, or null.", None),
    "Session.connection_id": Described("The id of the connection that the session made, or null.", None),
    "last_error": Described("The newest error of the session, or null.", None),
    "Session.integration_slug": Described("The slug of the integration, or null before the choice.", "hubspot"),
    "Redemption.code": Described("The parameter `code` in the query of your return URL.", "orcc_…"),
    "Redemption.end_user_id": Described(
        "Your own identifier of the user who is signed in when the browser returns. Read the identifier from your own "
        "login, never from the URL.",
        "user_123",
    ),
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
    "end_users": Described("The end users, ordered by identifier."),
    "EndUserUpdate.metadata": Described(_METADATA_CHANGES, {"team": "growth"}),
    "EndUser.name": Described("The end user's name, or null.", "Ada Lovelace"),
    "email": Described("The end user's e-mail address, or null.", "ada@example.com"),
    "oauth_clients": Described("The OAuth clients, ordered by integration."),
    "client_id": Described("The id of the OAuth client at the provider.", "12345678-1234-1234-1234-123456789012"),
    "client_secret": Described(
        "The secret of the OAuth client. You can omit the secret to keep the stored secret.",
        "the-secret-that-the-provider-shows",
    ),
    "client_secret_last_four": Described("The last four characters of the secret. Null for a short secret.", "c3d9"),
    "OAuthClient.scopes": Described("The scopes to request. Null means the integration's scopes.", None),
    "NewOAuthClient.scopes": Described("The scopes to request. Default: the integration's scopes.", ["oauth"]),
    "hosts": Described("The provider's hosts that can receive the secret.", []),
    "redirect_url": Described(
        "The redirect URL to register with the provider.", "https://connect.example.com/connect/callback/hubspot"
    ),
}

_AGENT_HOSTS: Final = Described("The hosts that the agent can call. Null: all hosts of the integrations.", None)
_AGENT_INTEGRATIONS: Final = Described("The slugs that the agent can use. Null: all integrations.", ["hubspot"])
_CLIENT_URL: Final = "https://claude.ai/oauth/mcp-oauth-client-metadata"
_TOKEN_ID: Final = "01a21078-0d2e-7b41-8c52-6f1e2a9b3d47"
_AGENTS: Final[Mapping[str, Described]] = {
    "agents": Described("The limits of all agents of your organization."),
    "AgentSettings.connect_url": Described(
        "The page of your product on which an end user connects an account for an agent, or null.",
        "https://app.example.com/connect",
    ),
    "AgentSettingsUpdate.connect_url": Described("The new page, or null.", "https://app.example.com/connect"),
    "AgentSettings.sign_in_url": Described(
        "The page of your product on which an end user signs in and approves an agent, or null.",
        "https://app.example.com/agents",
    ),
    "AgentSettingsUpdate.sign_in_url": Described("The new page, or null.", "https://app.example.com/agents"),
    "agent_authorization_id": Described("The id of an agent's request.", "01a21078-5d10-7a43-8b61-2c9f0e7d3a58"),
    "AgentApproval.access": Described("The access to grant. Null: the access that the agent has requested.", "read"),
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
    "continue_url": Described("The address to which you send the browser, or null. Do not log it.", None),
    "end_user_tokens": Described("The tokens, newest first, with revoked and expired tokens."),
    "end_user_token": Described("The token itself. No other response contains the token. Do not log it.", "orut_…"),
    "end_user_token_id": Described("The id of the end-user token.", _TOKEN_ID),
    "ProxyRequest.end_user_token_id": Described("The end-user token of the agent that made the call, or null.", None),
    "run_id": Described("The run of an agent's program that made the call, or null.", None),
    "member_id": Described("The member who made the call in the playground of the dashboard, or null.", None),
    "list_proxy_requests.run_id": Described("Only calls of these runs of an agent's programs.", [_TOKEN_ID]),
    "mcp_url": Described("The address to which the agent sends the token.", "https://connect.example.com/v1/mcp"),
    "audience": Described("The place that accepts the token. `agent`: `/v1/mcp`.", "agent"),
    "access": Described("`read`: only reading calls. `ask`: also approved calls. `write`: all calls.", "read"),
    "methods": Described("The HTTP methods that the agent can use. Null: all methods.", None),
    "calls_per_run": Described("The number of calls that one program of the agent can make.", 300),
    **{
        f"{owner}.{name}": described
        for owner in ("NewEndUserToken", "EndUserToken", "CreatedEndUserToken", "AgentSettings", "AgentSettingsUpdate")
        for name, described in (("hosts", _AGENT_HOSTS), ("integrations", _AGENT_INTEGRATIONS))
    },
    "NewEndUserToken.name": Described("Your name for the agent, or null.", "support agent"),
    "NewEndUserToken.expires_in": Described("The lifetime of the token in seconds.", 3600),
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
    "approval_url": Described(
        "The address of the page on which the end user approves or refuses the call of an agent.",
        "https://connect.example.com/connect/approval?approval_token=orap_…",
    ),
    "approved_until": Described("End of the approval of all calls with this connection.", "2026-12-01T14:02:10.215Z"),
    "host": Described("Host of the provider's API.", "api.hubapi.com"),
    "connect_request_id": Described("The id of an agent's connect request.", "01a21078-3f60-7c15-9b24-8e7d5c4a1f02"),
    "ConnectRequest.status": Described("`open`, `connected`, `declined` or `expired`.", "open"),
    "ApprovalRequest.status": Described("`open`, `approved`, `refused` or `expired`.", "open"),
    "ApprovalOpening.return_url": Described(
        "The URL to which the browser returns, or null. It must be one of your organization's return URLs.",
        "https://app.example.com/agents",
    ),
}

_LOGS: Final[Mapping[str, Described]] = {
    "events": Described("The events of the page."),
    "event_id": Described("The id of the event.", EXAMPLE_ID),
    "order": Described("`desc`: newest first. `asc`: oldest first.", "desc"),
    "after": Described("Only events after the event with this id, oldest first.", EXAMPLE_ID),
    "Event.type": Described("The type of the event.", "connection.created"),
    "list_events.type": Described("Only events of this type.", "connection.created"),
    "type": Described("The type.", "api_key"),
    "Actor.type": Described("The kind of actor: `api_key`, `end_user`, `end_user_token` or `system`.", "api_key"),
    "Actor.id": Described("The id of the API key, the identifier of the end user, or the name of the operator."),
    "actor": Described("The actor that caused the event."),
    "actor_type": Described("Only events of this kind of actor.", "api_key"),
    "actor_id": Described("Only events of the actor with this id.", "user_123"),
    "address": Described("The IP address of the actor, or null.", "203.0.113.7"),
    "data": Described("More data of the event, without secrets.", {"integration_slug": "hubspot"}),
    "proxy_requests": Described("The calls through the proxy, newest first."),
    "method": Described("The HTTP method.", "GET"),
    "path": Described("The path at the provider, without the query.", "/crm/v3/objects/contacts"),
    "http_status": Described("The HTTP status of the response.", 200),
    "ProxyRequest.http_status": Described("The HTTP status. 0: the caller disconnected before the response.", 200),
    "error_code": Described("The code of One Runtime's own error, or null.", None),
    "attempts": Described("The number of requests that One Runtime sent to the provider.", 1),
    "request_bytes": Described("The size of the request's body in bytes.", 0),
    "response_bytes": Described("The size of the response's body in bytes.", 1832),
    "duration_ms": Described("The duration of the call in milliseconds.", 143),
    "upstream_ms": Described("The time until the provider's response in milliseconds, or null.", 141),
    "Health.status": Described("The value is always `ok`.", "ok"),
}

_ERRORS: Final[Mapping[str, Described]] = {
    "Problem.type": Described("The URL of the documentation of the error."),
    "title": Described("The kind of error, as a text for people.", "A value in the request is invalid"),
    "Problem.status": Described("The HTTP status.", 422),
    "detail": Described("A text for people that says what is wrong and what to do."),
    "Problem.code": Described("The code of the error. Codes are stable."),
    "Problem.error": Described("The text of `detail`, for clients that do not read `detail`."),
    "errors": Described("The invalid fields. Absent if no field is invalid."),
    "provider_reason": Described("The provider's message as plain text, or null. Only some codes have this property."),
    "Problem.connections": Described("The connections to choose from, only with the code `several_connections`."),
    "ConnectionChoice.status": Described("`active`, or `needs_reauth` if the end user has to connect again.", "active"),
    "field": Described("The path to the field, such as `params.region` or `scopes[0]`.", "end_user_id"),
    "FieldError.message": Described("What is wrong with the value, and what is allowed.", "must not be blank"),
}

DESCRIPTIONS: Final[Mapping[str, Described]] = {
    **_COMMON,
    **_INTEGRATIONS,
    **_CONNECTIONS,
    **_SESSIONS,
    **_ORGANIZATION,
    **_AGENTS,
    **_LOGS,
    **WEBHOOKS,
    **_ERRORS,
}


def find(owner: str, name: str) -> Described | None:
    """Return the description of a property or parameter. `owner`: the name of the schema, or the operation id."""
    return DESCRIPTIONS.get(f"{owner}.{name}") or DESCRIPTIONS.get(name)
