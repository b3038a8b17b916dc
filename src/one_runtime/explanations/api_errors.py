"""Explain the errors of the API, by `code`."""

from typing import Final

from one_runtime.explanations.explanation import Explanation, Explanations

API_ERRORS: Final[Explanations] = {
    "account_mismatch": Explanation(
        (
            "The new account differs from the connected account. The popup asks the user to confirm the change. With "
            "`oauth2`, this question is in the window in which the user signed in."
        ),
        (
            "If your backend gets this error when it imports a connection, send `connection_id` or `multiple`. If it "
            "gets this error when it redeems a code, create a new session."
        ),
    ),
    "agent_authorization_closed": Explanation(
        "The request of an agent to act for an end user was answered before, or has expired.",
        "Let the end user add the address to the agent again. The agent then opens your sign-in page again.",
    ),
    "authorization_failed": Explanation(
        "In the popup: the authorization at the provider failed. The session's `last_error` has the reason.",
        "The user can try again in the popup.",
    ),
    "client_refused": Explanation(
        "The provider refuses the OAuth client of the connection, so One Runtime cannot refresh the tokens.",
        "`detail` says who has to register the client again. The end user does not have to connect again.",
    ),
    "configuration_error": Explanation(
        "A setting is wrong.",
        "The operator has to change the setting. The server reports most wrong settings at its start.",
    ),
    "approval_request_closed": Explanation(
        "The end user has answered the approval request, or the request has expired.",
        "Let the end user ask the agent again. The agent then sends a new link.",
    ),
    "approval_required": Explanation(
        "The end user has to approve this call of an agent.",
        "The agent gives the link to the end user, and repeats the call after the approval.",
    ),
    "conflict": Explanation(
        "The present state of the resource does not allow this request. `detail` says why.",
        "Read the resource again, and decide if the request is still necessary.",
    ),
    "connect_declined": Explanation(
        "The end user has declined to connect the account for an agent.",
        "The agent goes on without the account.",
    ),
    "connect_request_closed": Explanation(
        "The connect request of an agent was declined, or has expired.",
        "Let the end user ask the agent again. The agent then sends a new link.",
    ),
    "connect_required": Explanation(
        "The end user has no usable connection.",
        "Create a session, in which the end user can connect.",
    ),
    "consent_lost": Explanation(
        "In the popup: the authorization has expired or ended, or belongs to a different browser.",
        "The user has to start again.",
    ),
    "credentials_refreshed_retry": Explanation(
        (
            "The provider refused the credential of a proxy call. One Runtime has refreshed the credential, but does "
            "not have the body of your request any more."
        ),
        "Send the request again.",
    ),
    "credentials_refused": Explanation(
        "The provider refused the credential. One Runtime stored nothing.",
        "Ask the end user for a valid credential.",
    ),
    "database_busy": Explanation(
        "The database is busy. One Runtime stored nothing.",
        "Try again.",
    ),
    "egress_error": Explanation(
        "The request to the provider failed.",
        "Try again later.",
    ),
    "end_user_mismatch": Explanation(
        (
            "The `end_user_id` of your request is not the end user of the session or of the connect request. If you "
            "redeemed a code, One Runtime has deleted the credentials that waited for the redemption."
        ),
        "Create a new session, and redeem its code only for the end user who is signed in to your product.",
    ),
    "event_expired": Explanation(
        "The log of events does not contain the event of `after` any more, so you can have missed events.",
        "Compare your data with the API, and then follow the events from the beginning, with `order=asc`.",
    ),
    "host_not_registered": Explanation(
        "The provider's host is not in the `hosts` of the OAuth client.",
        "If the client is registered at this host, add the host to `hosts`.",
    ),
    "idempotency_key_in_use": Explanation(
        "An earlier request with this `Idempotency-Key` is still running.",
        "Repeat the request after the number of seconds in `Retry-After`.",
    ),
    "idempotency_key_reused": Explanation(
        "An earlier request with this `Idempotency-Key` had another method, path, query or body.",
        "Use a new key for each request.",
    ),
    "insufficient_role": Explanation(
        "In the dashboard: the role of the member does not allow this.",
        "Ask an owner of your organization. The API never returns this error.",
    ),
    "insufficient_scope": Explanation(
        "The API key lacks a scope.",
        "Use a key with the scope that `detail` and the header `WWW-Authenticate` name.",
    ),
    "integration_changed": Explanation(
        (
            "In the popup: while the popup was open, your organization changed the custom integration. The "
            "integration now sends credentials to another place."
        ),
        "Open the popup again.",
    ),
    "integration_disabled": Explanation(
        (
            "The operator has disabled the integration for all organizations. `detail` has the operator's reason, if "
            "any. The connections stay, and work again later."
        ),
        "Do not ask end users to connect again.",
    ),
    "integration_exists": Explanation(
        "Your organization already has a custom integration with this slug.",
        "`PUT` replaces the integration.",
    ),
    "integration_in_use": Explanation(
        "The integration has connections.",
        "Delete these connections first, or send `delete_connections`.",
    ),
    "internal_error": Explanation(
        "A fault of One Runtime.",
        "Give the operator the `request_id`.",
    ),
    "invalid_input": Explanation(
        "A value in the request is invalid. `errors` names the field.",
        "Correct the value and send the request again.",
    ),
    "key_not_in_ring": Explanation(
        "This server lacks an encryption key that other servers have.",
        "Tell the operator.",
    ),
    "malformed_request": Explanation(
        "The body is not valid JSON, YAML or UTF-8, or `Content-Length` is not a number.",
        "Correct the format of the request.",
    ),
    "member_refused": Explanation(
        "In the dashboard: the account at the OpenID provider is valid, but belongs to no member who can sign in.",
        "`detail` says what to do. The API never returns this error.",
    ),
    "method_not_allowed": Explanation(
        "The path does not support this method.",
        "The response header `Allow` lists the supported methods.",
    ),
    "needs_reauth": Explanation(
        "One Runtime can no longer use the stored credential.",
        "The end user has to connect again.",
    ),
    "not_allowed": Explanation(
        "The policy of the end-user token, or of the organization, does not allow this call of an agent.",
        "Create a token with a wider policy, if the agent needs this call.",
    ),
    "not_found": Explanation(
        "The requested resource does not exist, or belongs to another organization.",
        "Check the path and the id.",
    ),
    "oauth_client_missing": Explanation(
        "There is no OAuth client for this integration.",
        "Register a client.",
    ),
    "openid_provider_unavailable": Explanation(
        "In the dashboard: the OpenID provider does not answer as expected.",
        "Try again, or sign in with another method. The API never returns this error.",
    ),
    "permission_missing": Explanation(
        (
            "The credential is valid, but lacks a permission that the check needs. `detail` names the permission if "
            "the integration defines the name. One Runtime stored nothing."
        ),
        "Add the permission and try again.",
    ),
    "precondition_failed": Explanation(
        "The resource does not fulfill the condition in `If-Match` or `If-None-Match`.",
        "Read the resource again, and repeat your change with the new `ETag`.",
    ),
    "program_interrupted": Explanation(
        "The server stopped while a program of an agent continued after a pause. The program does not run again.",
        "`detail` lists the calls that the program has sent. The agent does only the rest.",
    ),
    "program_running": Explanation(
        "Another request runs the program of the agent at this moment.",
        "The agent repeats the call in a few seconds.",
    ),
    "provider_unavailable": Explanation(
        "The provider gave no usable answer. One Runtime stored nothing.",
        "Try again later. If the response has the header `Retry-After`, wait for this number of seconds.",
    ),
    "rate_limited": Explanation(
        (
            "There are too many requests with this API key, too many custom integrations at the same time, or too "
            "many unopened sessions."
        ),
        "Wait for the number of seconds in `Retry-After`.",
    ),
    "request_refused": Explanation(
        "One Runtime cannot send the method or a header of your request to the provider. `detail` says why.",
        "Change the method or the header.",
    ),
    "request_timeout": Explanation(
        "The next part of your request body did not arrive in time.",
        "Send the request again. The operator sets the limit with `ONE_RUNTIME_BODY_TIMEOUT`.",
    ),
    "seal_broken": Explanation(
        "One Runtime cannot decrypt a stored credential.",
        "Ask the user to connect again.",
    ),
    "session_cancelled": Explanation(
        "The session was cancelled.",
        "Create a new session.",
    ),
    "session_expired": Explanation(
        "The session has expired, or your backend did not redeem its code in time.",
        "Create a new session.",
    ),
    "session_used": Explanation(
        "The session has already made its connection.",
        "To connect another account, create a new session.",
    ),
    "write_refused": Explanation(
        "The end user has refused this call of an agent.",
        "The agent goes on without the call.",
    ),
    "several_accounts": Explanation(
        "The end user granted access to several accounts, but the integration needs exactly one account.",
        "The end user has to start again and select one account.",
    ),
    "several_connections": Explanation(
        "The end user has several connections to the integration, and the request does not say which of them it means.",
        (
            "An agent repeats the call with `connection`. An import names the connection to replace with "
            "`connection_id`, or adds a connection with `multiple`. If your backend gets this error when it redeems a "
            "code, create a new session with `connection_id`. `connections` lists the connections. The popup asks the "
            "end user."
        ),
    ),
    "sign_in_failed": Explanation(
        "In the dashboard: the sign-in at the OpenID provider failed.",
        "Start the sign-in again. The API never returns this error.",
    ),
    "target_refused": Explanation(
        "The provider's address is not on the public internet. So One Runtime sent no request and stored nothing.",
        "Only the operator can allow the address.",
    ),
    "too_large": Explanation(
        "The request body is too large.",
        "Send a smaller body.",
    ),
    "too_many_attempts": Explanation(
        (
            "In the popup: the provider refused ten attempts to connect, or fifty sign-ins of the session failed or "
            "expired. A valid credential without a necessary permission counts as refused."
        ),
        "Create a new session.",
    ),
    "too_many_calls": Explanation(
        "Your organization has too many concurrent proxy calls, in total or to one integration.",
        "Try again later.",
    ),
    "unauthenticated": Explanation(
        "The API key is missing, mistyped or revoked, or belongs to another installation.",
        "Send a valid key as `Authorization: Bearer oru_…`.",
    ),
    "unavailable": Explanation(
        "One Runtime cannot answer at the moment, usually because of the database. `detail` says why.",
        "Try again.",
    ),
    "unconfirmed_copy": Explanation(
        "The server uses an unconfirmed copy of the database, and the access token needs a refresh.",
        "The operator has to confirm the copy. The end user does not have to connect again.",
    ),
    "upstream_protocol_error": Explanation(
        "The provider's response is malformed.",
        "Try again later. If the error stays, ask the provider.",
    ),
    "upstream_timeout": Explanation(
        "The provider took too long.",
        "Try again later.",
    ),
    "upstream_too_large": Explanation(
        "The provider's response is too large.",
        "Request less data, for example a smaller page.",
    ),
    "upstream_unreachable": Explanation(
        "The provider cannot be reached.",
        "Try again later.",
    ),
    "websocket_unsupported": Explanation(
        "The proxy does not support WebSocket connections.",
        "Connect to the provider without the proxy.",
    ),
    "wrong_mode": Explanation(
        "In the popup: the page does not fit the session's mode.",
        (
            "The mode `embed` works only in a frame on your page. The modes `redirect` and `link` work only in a "
            "browser tab."
        ),
    ),
}
