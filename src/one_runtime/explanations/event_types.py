"""Explain each type of event: the change that One Runtime records."""

from collections.abc import Mapping, Sequence
from typing import Final

EVENT_TYPES: Final[Mapping[str, str]] = {
    "connection.created": "An account was connected.",
    "connection.updated": (
        "The name or the metadata was changed (without a `reason`), or a check found a missing permission "
        "(`reason` is `permission_missing`)."
    ),
    "connection.reconnected": (
        "The end user or your backend replaced the connection's credential. The connection kept its id."
    ),
    "connection.needs_reauth": (
        "The credential no longer works, and the end user has to connect again. The `reason` names the cause."
    ),
    "connection.recovered": (
        "The connection works again. Before, its status was `needs_reauth`, or its error was `permission_missing`."
    ),
    "connection.refresh_failed": (
        "A token refresh failed, but the refresh token can still be valid. For example, the provider has an outage "
        "or refuses the OAuth client, or One Runtime refuses the address of the token endpoint. One Runtime "
        "records one event for a whole outage."
    ),
    "connection.deleted": "The connection and its credentials were deleted.",
    "connection.credentials_read": (
        "Your backend read the credentials over the API, or the operator exported the credentials."
    ),
    "hosted_connection_session.created": "A session was created, by your backend or by a member of your team.",
    "hosted_connection_session.failed": "An authorization failed, or the session failed.",
    "end_user.updated": "Your backend changed the name, the e-mail address or the metadata of an end user.",
    "end_user.deleted": "Your organization deleted an end user with all connections.",
    "api_key.created": "An API key was created.",
    "api_key.revoked": "An API key was revoked.",
    "member.invited": (
        "A member of your team or the operator invited a person to your team (the link works until `expires_at`)."
    ),
    "member.invitation_revoked": "A member of your team or the operator revoked an invitation before its use.",
    "member.joined": "A person accepted an invitation, and is now a member of your team.",
    "member.updated": (
        'A member of your team got another role (`changed` is `["role"]`), signed in with a link that deleted the '
        """member's passkeys, password and sessions (`["sign_in_methods"]`), or changed the own account """
        '(`["name"]`, `["password"]`, `["authenticator_app"]` or `["passkeys"]`).'
    ),
    "member.removed": "A member was removed from your team.",
    "custom_integration.created": "The organization created a custom integration.",
    "custom_integration.updated": "A custom integration was replaced.",
    "custom_integration.deleted": "A custom integration was deleted.",
    "oauth_client.updated": (
        "An OAuth client of the organization was registered or changed, or lost its secret because the operator "
        "abandoned a lost encryption key."
    ),
    "oauth_client.deleted": "An OAuth client was deleted.",
    "organization.updated": "The organization was changed.",
    "agent.connect_requested": "An agent asked its end user to connect an account.",
    "agent.connect_declined": (
        "Your backend declined a connect request, because the end user does not want to connect."
    ),
    "agent.authorization_approved": "Your backend approved an agent (an OAuth client) for an end user.",
    "agent.authorization_declined": (
        "Your backend declined an agent (an OAuth client), because the end user does not want the agent."
    ),
    "agent.write_requested": "An agent asked its end user to approve a call that changes something.",
    "agent.write_approved": (
        "The end user approved a call of an agent, and with `approved_until` all calls with this connection until then."
    ),
    "agent.write_refused": "The end user or your backend refused the call.",
    "end_user_token.created": (
        "An end-user token was created by your backend, or for an agent that your backend approved (`client_id`)."
    ),
    "end_user_token.revoked": (
        "Your backend revoked an end-user token (without a `reason`), or One Runtime revoked the token of an agent. "
        "The `reason` names the cause."
    ),
    "webhook_endpoint.created": "A webhook endpoint was created.",
    "webhook_endpoint.updated": (
        'A webhook endpoint was changed, paused or activated, or got a new secret (`changed` is `["secret"]`).'
    ),
    "webhook_endpoint.deleted": "A webhook endpoint was deleted.",
    "webhook_endpoint.disabled": "One Runtime disabled a webhook endpoint.",
}
"""The changes by type of event, in the order of the types. Code has backquotes."""


_CHANGES_OF_MEMBERS: Final[Mapping[str, str]] = {
    "role": "A member of your team got another role.",
    "sign_in_methods": "A link signed in a member of your team, and deleted the former sign-in methods and sessions.",
    "name": "A member of your team changed the own name.",
    "password": "A member of your team set or changed the own password.",
    "authenticator_app": "A member of your team set up or replaced the own authenticator app.",
    "passkeys": "A member of your team added, renamed or removed a passkey.",
}


def explain_type(event_type: str, changed: object = None) -> str:
    """Return the change that an event of this type records. Return an empty text for an unknown type.

    `changed`: the field `changed` of the event's data, if the event has this field.
    """
    if event_type == "member.updated" and isinstance(changed, Sequence) and len(changed) == 1:
        return _CHANGES_OF_MEMBERS.get(changed[0], EVENT_TYPES[event_type])
    return EVENT_TYPES.get(event_type, "")
