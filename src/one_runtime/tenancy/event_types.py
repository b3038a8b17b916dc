"""Declare the types of events, each with everything that the API, webhooks, pages, clients and docs need to know.

To add a type, add a member to `EventType`, record its events, and run `python -m scripts.docs_tables` and
`python -m scripts.generate_clients`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Self, TypeAlias

from one_runtime.errors import Explanation, Explanations, explain_error, without_links
from one_runtime.explanations import event_reasons
from one_runtime.explanations.webhook_errors import DISABLED_ENDPOINTS

Level: TypeAlias = Literal["", "bad", "good"]
"""The color of an event in a timeline."""

_NO_REASONS: Final[Explanations] = MappingProxyType({})

_INTEGRATION: Final = {"integration_slug": "hubspot"}
_CONNECTION: Final = {**_INTEGRATION, "auth_type": "oauth2"}
_SESSION: Final = {"session_id": "01a21077-a4f0-7d11-8c52-6a9b1e0f3d24", **_INTEGRATION}
_API_KEY: Final = {"api_key_id": "01a21077-a4c3-7e5f-9b0a-2d4c6e8f1a35", "name": "production"}
_CONNECT_REQUEST: Final = {"connect_request_id": "01a21077-a4b1-7c93-8d27-5e6f9a1b3c48", **_INTEGRATION}
_AUTHORIZATION: Final = {
    "agent_authorization_id": "01a21077-a4b6-7f3d-9a15-7c8e0b2d4f69",
    "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
    "name": "Claude",
    "access": "write",
}
_APPROVAL_REQUEST: Final = {
    "approval_request_id": "01a21077-a4b9-7d15-9e27-7c8f0a2b4d59",
    **_INTEGRATION,
    "method": "POST",
    "host": "api.hubapi.com",
    "path": "/crm/v3/objects/contacts",
}
_TOKEN: Final = {
    "end_user_token_id": "01a21077-a4e2-7a54-9c68-1b3d5f7a9c57",
    "name": "assistant",
    "audience": "agent",
    "access": "read",
    "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
}
_INVITATION: Final = {
    "invitation_id": "01a21077-a4c8-7b17-8c3d-9e1f2a4b6c58",
    "email": "ada@example.com",
    "role": "developer",
    "expires_at": "2026-12-02T13:52:10.215Z",
}
_MEMBER: Final = {
    "member_id": "01a21077-a4cd-7d42-9f6a-1b2c3d4e5f69",
    "email": "ada@example.com",
    "role": "developer",
}
_CUSTOM: Final = {"integration_slug": "x-billing"}
_ENDPOINT: Final = {
    "webhook_endpoint_id": "01a21077-a4d8-7b26-8e4f-3c5d7f9a2b46",
    "kind": "push",
    "url": "https://app.example.com/hooks/one-runtime",
}


class _Declared(NamedTuple):
    """Describe a type of event.

    - `label`: the title of such an event in a timeline.
    - `documentation`: the change that the event records, in Markdown with the links of docs/events.md.
    - `sample`: the data of a made-up event, with which a developer tests a receiver.
    - `data`: the fields of the data as docs/events.md lists them, if the names in `sample` do not say enough.
    - `reasons`: explanations of the field `reason`, by value.
    """

    name: str
    label: str
    documentation: str
    sample: Mapping[str, object]
    data: str = ""
    reasons: Explanations = _NO_REASONS
    level: Level = ""


class EventType(StrEnum):
    """The type of an event of an organization. The order is the order of lists and tables."""

    label: str
    documentation: str
    explanation: str
    """The documentation without links. Code has backquotes."""
    sample: Mapping[str, object]
    data: str
    reasons: Explanations
    level: Level

    def __new__(cls, *declared: object) -> Self:
        """Make a member with the attributes of its declaration."""
        name, member = str(declared[0]), str.__new__(cls, str(declared[0]))
        member._value_ = name
        for attribute, value in zip(_Declared._fields[1:], declared[1:], strict=True):
            setattr(member, attribute, value)
        member.explanation = without_links(member.documentation)
        return member

    @property
    def group(self) -> str:
        """Return the first part of the name: the kind of thing that the event is about."""
        return self.value.partition(".")[0]

    CONNECTION_CREATED = _Declared(
        "connection.created",
        label="Connected",
        documentation="An account was connected.",
        sample=_CONNECTION,
        level="good",
    )
    CONNECTION_UPDATED = _Declared(
        "connection.updated",
        label="Connection changed",
        documentation=(
            "The name, the metadata or the [default connection](api.md#default-connections) was changed (`changed` "
            "names the fields), or a check found a missing permission (`reason` is `permission_missing`)."
        ),
        sample={**_CONNECTION, "changed": ["name"]},
        data="`integration_slug`, `auth_type`, `changed`: the names of the changed fields, or [`reason`](#reasons)",
        reasons=event_reasons.CONNECTION_UPDATED,
    )
    CONNECTION_RECONNECTED = _Declared(
        "connection.reconnected",
        label="Connected again",
        documentation="The end user or your backend replaced the connection's credential. The connection kept its id.",
        sample=_CONNECTION,
        level="good",
    )
    CONNECTION_NEEDS_REAUTH = _Declared(
        "connection.needs_reauth",
        label="Has to connect again",
        documentation=(
            "The credential no longer works, and the end user has to connect again. The [`reason`](#reasons) "
            "names the cause."
        ),
        sample={**_CONNECTION, "reason": "invalid_grant"},
        data=(
            "`integration_slug`, `auth_type`, [`reason`, `explanation`](#reasons), `reconnect`: the body for "
            "[`POST /v1/hosted-connection-sessions`](api.md#post-v1hosted-connection-sessions) with which the "
            "end user repairs the connection"
        ),
        reasons=event_reasons.NEEDS_REAUTH,
        level="bad",
    )
    CONNECTION_RECOVERED = _Declared(
        "connection.recovered",
        label="Works again",
        documentation=(
            "The connection works again. Before, its status was `needs_reauth`, or its error was `permission_missing`."
        ),
        sample=_CONNECTION,
        level="good",
    )
    CONNECTION_REFRESH_FAILED = _Declared(
        "connection.refresh_failed",
        label="Refresh of the tokens failed",
        documentation=(
            "A token refresh failed, but the refresh token can still be valid. For example, the provider has an "
            "outage or refuses the OAuth client, or One Runtime [refuses the "
            "address](connections.md#a-refused-address) of the token endpoint. One Runtime records one event "
            "for a whole outage."
        ),
        sample={**_CONNECTION, "reason": "provider_trouble"},
        reasons=event_reasons.REFRESH_FAILED,
        level="bad",
    )
    CONNECTION_DELETED = _Declared(
        "connection.deleted",
        label="Disconnected",
        documentation="The connection and its credentials were deleted.",
        sample=_CONNECTION,
    )
    CONNECTION_CREDENTIALS_READ = _Declared(
        "connection.credentials_read",
        label="Credentials read",
        documentation=(
            "Your backend read the credentials over the API, or the operator "
            "[exported](operating.md#exporting-an-organization) the credentials."
        ),
        sample=_CONNECTION,
    )
    HOSTED_CONNECTION_SESSION_CREATED = _Declared(
        "hosted_connection_session.created",
        label="Session created",
        documentation="A session was created, by your backend or by a member of your team.",
        sample=_SESSION,
    )
    HOSTED_CONNECTION_SESSION_FAILED = _Declared(
        "hosted_connection_session.failed",
        label="Connecting failed",
        documentation="An authorization failed, or the session failed.",
        sample={**_SESSION, "reason": "consent_denied"},
        data="`session_id`, `integration_slug`, and usually a [`reason` and `explanation`](#reasons)",
        reasons=event_reasons.SESSION_FAILED,
        level="bad",
    )
    END_USER_UPDATED = _Declared(
        "end_user.updated",
        label="End user changed",
        documentation="Your backend changed the name, the e-mail address or the metadata of an end user.",
        sample={"changed": ["name", "email"]},
        data="`changed`: the names of the changed fields",
    )
    END_USER_DELETED = _Declared(
        "end_user.deleted",
        label="End user deleted",
        documentation="Your organization deleted an end user with all connections.",
        sample={"deleted_connections": 2},
        data="`deleted_connections`: the number of connections",
    )
    API_KEY_CREATED = _Declared(
        "api_key.created",
        label="API key created",
        documentation="An API key was created.",
        sample={**_API_KEY, "scopes": ["read", "use"]},
    )
    API_KEY_REVOKED = _Declared(
        "api_key.revoked",
        label="API key revoked",
        documentation="An API key was revoked.",
        sample=_API_KEY,
    )
    MEMBER_INVITED = _Declared(
        "member.invited",
        label="Member invited",
        documentation=(
            "A member of your team or the operator invited a person to your team (the link works until `expires_at`)."
        ),
        sample=_INVITATION,
    )
    MEMBER_INVITATION_REVOKED = _Declared(
        "member.invitation_revoked",
        label="Invitation revoked",
        documentation="A member of your team or the operator revoked an invitation before its use.",
        sample=_INVITATION,
    )
    MEMBER_JOINED = _Declared(
        "member.joined",
        label="Member joined",
        documentation="A person accepted an invitation, and is now a member of your team.",
        sample=_MEMBER,
    )
    MEMBER_UPDATED = _Declared(
        "member.updated",
        label="Member changed",
        documentation=(
            'A member of your team got another role (`changed` is `["role"]`), signed in with a link that '
            'deleted the member\'s passkeys, password and sessions (`["sign_in_methods"]`), or changed the own '
            'account (`["name"]`, `["password"]`, `["authenticator_app"]` or `["passkeys"]`).'
        ),
        sample={**_MEMBER, "changed": ["role"]},
    )
    MEMBER_REMOVED = _Declared(
        "member.removed",
        label="Member removed",
        documentation="A member was removed from your team.",
        sample=_MEMBER,
    )
    CUSTOM_INTEGRATION_CREATED = _Declared(
        "custom_integration.created",
        label="Custom integration created",
        documentation="The organization created a custom integration.",
        sample=_CUSTOM,
    )
    CUSTOM_INTEGRATION_UPDATED = _Declared(
        "custom_integration.updated",
        label="Custom integration changed",
        documentation="A custom integration was replaced.",
        sample=_CUSTOM,
    )
    CUSTOM_INTEGRATION_DELETED = _Declared(
        "custom_integration.deleted",
        label="Custom integration deleted",
        documentation="A custom integration was deleted.",
        sample=_CUSTOM,
    )
    OAUTH_CLIENT_UPDATED = _Declared(
        "oauth_client.updated",
        label="OAuth client changed",
        documentation=(
            "An OAuth client of the organization was registered or changed, or lost its secret because the "
            "operator [abandoned a lost encryption key](operating.md#replacing-a-key)."
        ),
        sample=_INTEGRATION,
    )
    OAUTH_CLIENT_DELETED = _Declared(
        "oauth_client.deleted",
        label="OAuth client deleted",
        documentation="An OAuth client was deleted.",
        sample=_INTEGRATION,
    )
    ORGANIZATION_UPDATED = _Declared(
        "organization.updated",
        label="Organization changed",
        documentation="The organization was changed.",
        sample={"changed": ["display_name"]},
        data="`changed`: the names of the changed fields",
    )
    AGENT_CONNECT_REQUESTED = _Declared(
        "agent.connect_requested",
        label="Agent asked for an account",
        documentation="[An agent](agents.md#a-missing-account) asked its end user to connect an account.",
        sample=_CONNECT_REQUEST,
    )
    AGENT_CONNECT_DECLINED = _Declared(
        "agent.connect_declined",
        label="Connect request declined",
        documentation="Your backend declined a connect request, because the end user does not want to connect.",
        sample=_CONNECT_REQUEST,
    )
    AGENT_AUTHORIZATION_APPROVED = _Declared(
        "agent.authorization_approved",
        label="Agent approved",
        documentation=(
            "Your backend approved [an agent](agents.md#claude-chatgpt-and-other-agents-of-your-users) (an "
            "OAuth client) for an end user."
        ),
        sample=_AUTHORIZATION,
    )
    AGENT_AUTHORIZATION_DECLINED = _Declared(
        "agent.authorization_declined",
        label="Agent declined",
        documentation="Your backend declined an agent (an OAuth client), because the end user does not want the agent.",
        sample=_AUTHORIZATION,
    )
    AGENT_WRITE_REQUESTED = _Declared(
        "agent.write_requested",
        label="Agent asked for an approval",
        documentation="[An agent](agents.md#approvals) asked its end user to approve a call that changes something.",
        sample=_APPROVAL_REQUEST,
    )
    AGENT_WRITE_APPROVED = _Declared(
        "agent.write_approved",
        label="Call of an agent approved",
        documentation=(
            "The end user approved a call of an agent, and with `approved_until` all calls with this connection "
            "until then."
        ),
        sample={**_APPROVAL_REQUEST, "approved_until": None},
    )
    AGENT_WRITE_REFUSED = _Declared(
        "agent.write_refused",
        label="Call of an agent refused",
        documentation="The end user or your backend refused the call.",
        sample=_APPROVAL_REQUEST,
    )
    END_USER_TOKEN_CREATED = _Declared(
        "end_user_token.created",
        label="End-user token created",
        documentation=(
            "[An end-user token](agents.md#end-user-tokens) was created by your backend, or for an agent that "
            "your backend approved (`client_id`)."
        ),
        sample={**_TOKEN, "expires_at": "2026-12-01T13:52:10.215Z"},
        data="`end_user_token_id`, `name`, `audience`, `access`, `expires_at`, and `client_id` of the agent",
    )
    END_USER_TOKEN_REVOKED = _Declared(
        "end_user_token.revoked",
        label="End-user token revoked",
        documentation=(
            "Your backend revoked an end-user token (without a `reason`), or One Runtime revoked the token of "
            "an agent. The `reason` names the cause."
        ),
        sample=_TOKEN,
        data=(
            "`end_user_token_id`, `name`, `audience`, `access`, `client_id` of an agent, and a [`reason` and "
            "`explanation`](#reasons)"
        ),
        reasons=event_reasons.TOKEN_REVOKED,
    )
    WEBHOOK_ENDPOINT_CREATED = _Declared(
        "webhook_endpoint.created",
        label="Webhook endpoint created",
        documentation="A [webhook endpoint](webhooks.md) was created.",
        sample=_ENDPOINT,
        data="`webhook_endpoint_id`, `kind`, `url` without its query",
    )
    WEBHOOK_ENDPOINT_UPDATED = _Declared(
        "webhook_endpoint.updated",
        label="Webhook endpoint changed",
        documentation=(
            'A webhook endpoint was changed, paused or activated, or got a new secret (`changed` is `["secret"]`).'
        ),
        sample={**_ENDPOINT, "changed": ["event_types"]},
        data="`webhook_endpoint_id`, `kind`, `url`, `changed`: the names of the changed fields",
    )
    WEBHOOK_ENDPOINT_DELETED = _Declared(
        "webhook_endpoint.deleted",
        label="Webhook endpoint deleted",
        documentation="A webhook endpoint was deleted.",
        sample=_ENDPOINT,
    )
    WEBHOOK_ENDPOINT_DISABLED = _Declared(
        "webhook_endpoint.disabled",
        label="Webhook endpoint disabled",
        documentation="One Runtime [disabled](webhooks.md#disabled-endpoints) a webhook endpoint.",
        sample={**_ENDPOINT, "reason": "failing"},
        data=(
            "`webhook_endpoint_id`, `kind`, `url`, `explanation`, `reason`: `gone`, `failing`, `overflow` or "
            "`secret_lost`"
        ),
        reasons=DISABLED_ENDPOINTS,
    )


TYPES: Final[tuple[str, ...]] = tuple(kind.value for kind in EventType)
"""The names of the types."""

_CHANGES_OF_MEMBERS: Final[Mapping[str, str]] = {
    "role": "A member of your team got another role.",
    "sign_in_methods": "A link signed in a member of your team, and deleted the former sign-in methods and sessions.",
    "name": "A member of your team changed the own name.",
    "password": "A member of your team set or changed the own password.",
    "authenticator_app": "A member of your team set up or replaced the own authenticator app.",
    "passkeys": "A member of your team added, renamed or removed a passkey.",
}


def find_type(name: str) -> EventType | None:
    """Return the type with this name. Return None for the type of another version of One Runtime."""
    return EventType(name) if name in TYPES else None


def explain_type(name: str, changed: object = None) -> str:
    """Return the change that an event of this type records. Return an empty text for an unknown type.

    `changed`: the field `changed` of the event's data, if the event has this field.
    """
    kind = find_type(name)
    if kind is None:
        return ""
    if kind is EventType.MEMBER_UPDATED and isinstance(changed, Sequence) and len(changed) == 1:
        return _CHANGES_OF_MEMBERS.get(changed[0], kind.explanation)
    return kind.explanation


def explain_event(name: str, reason: object) -> Explanation | None:
    """Return the explanation of an event's reason, or None if the event has no reason with an explanation."""
    kind, code = find_type(name), str(reason)
    if kind is EventType.HOSTED_CONNECTION_SESSION_FAILED:  # an authorization can fail with each error of the API
        return kind.reasons.get(code) or explain_error(code)
    return kind.reasons.get(code) if kind is not None else None
