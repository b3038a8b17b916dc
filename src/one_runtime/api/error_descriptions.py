"""Describe each error code for users of the API: what happened, and what to do.

The page `/docs/errors` shows the texts. docs/api.md has the same texts, with links. A test compares both.
"""

from collections.abc import Mapping
from typing import Final

ERROR_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "account_mismatch": (
        "The new account differs from the connected account. The popup asks the user to confirm the change. With "
        "`oauth2`, this question is in the window in which the user signed in. If your backend gets this error "
        "when it redeems a code, create a new session."
    ),
    "authorization_failed": (
        "In the popup: the authorization at the provider failed. The session's `last_error` has the reason."
    ),
    "client_refused": (
        "The provider refuses the OAuth client of the connection, so One Runtime cannot refresh the tokens. "
        "`detail` says who has to register the client again. The end user does not have to connect again."
    ),
    "configuration_error": (
        "A setting is wrong. The operator has to change the setting. The server reports most wrong settings at "
        "its start."
    ),
    "conflict": "The present state of the resource does not allow this request. `detail` says why.",
    "connect_required": ("The end user has no usable connection. Create a session, in which the end user can connect."),
    "consent_lost": (
        "In the popup: the authorization has expired or ended, or belongs to a different browser. The user has to"
        " start again."
    ),
    "credentials_refreshed_retry": (
        "The provider refused the credential of a proxy call. One Runtime has refreshed the credential, but does "
        "not have the body of your request any more. Send the request again."
    ),
    "credentials_refused": "The provider refused the credential. One Runtime stored nothing.",
    "database_busy": "The database is busy. One Runtime stored nothing. Try again.",
    "egress_error": "The request to the provider failed.",
    "end_user_mismatch": (
        "The `end_user_id` of your request is not the session's end user. One Runtime has deleted the credentials"
        " that waited for the redemption."
    ),
    "host_not_registered": (
        "The provider's host is not in the `hosts` of the OAuth client. If the client is registered at this host,"
        " add the host to `hosts`."
    ),
    "idempotency_key_in_use": (
        "An earlier request with this `Idempotency-Key` is still running. Repeat the request after the number "
        "of seconds in `Retry-After`."
    ),
    "idempotency_key_reused": (
        "An earlier request with this `Idempotency-Key` had another method, path, query or body. Use a new "
        "key for each request."
    ),
    "insufficient_scope": (
        "The API key lacks a scope. Use a key with the scope that `detail` and the header `WWW-Authenticate` name."
    ),
    "integration_changed": (
        "In the popup: while the popup was open, your organization changed the custom integration. The "
        "integration now sends credentials to another place. Open the popup again."
    ),
    "integration_disabled": (
        "The operator has disabled the integration for all organizations. `detail` has the operator's reason, if "
        "any. The connections stay, and work again later. Do not ask end users to connect again."
    ),
    "integration_exists": (
        "Your organization already has a custom integration with this slug. `PUT` replaces the integration."
    ),
    "integration_in_use": (
        "The integration has connections. Delete these connections first, or send `delete_connections`."
    ),
    "internal_error": "A fault of One Runtime. Give the operator the `request_id`.",
    "invalid_input": "A value in the request is invalid. `errors` names the field.",
    "key_not_in_ring": "This server lacks an encryption key that other servers have. Tell the operator.",
    "malformed_request": "The body is not valid JSON, YAML or UTF-8, or `Content-Length` is not a number.",
    "method_not_allowed": (
        "The path does not support this method. The response header `Allow` lists the supported methods."
    ),
    "needs_reauth": "One Runtime can no longer use the stored credential. The end user has to connect again.",
    "not_found": "The requested resource does not exist, or belongs to another organization.",
    "oauth_client_missing": "There is no OAuth client for this integration. Register a client.",
    "permission_missing": (
        "The credential is valid, but lacks a permission that the check needs. `detail` names the permission if "
        "the integration defines the name. One Runtime stored nothing. Add the permission and try again."
    ),
    "precondition_failed": (
        "The resource does not fulfill the condition in `If-Match` or `If-None-Match`. Read the resource "
        "again, and repeat your change with the new `ETag`."
    ),
    "provider_unavailable": (
        "The provider gave no usable answer. One Runtime stored nothing. Try again later. If the response has the"
        " header `Retry-After`, wait for this number of seconds."
    ),
    "rate_limited": (
        "There are too many requests with this API key, too many custom integrations at the same time, or too "
        "many unopened sessions. Wait for the number of seconds in `Retry-After`."
    ),
    "request_refused": (
        "One Runtime cannot send the method or a header of your request to the provider. `detail` says why."
    ),
    "request_timeout": (
        "The next part of your request body did not arrive in time. Send the request again. The operator sets the"
        " limit with `ONE_RUNTIME_BODY_TIMEOUT`."
    ),
    "seal_broken": "One Runtime cannot decrypt a stored credential. Ask the user to connect again.",
    "session_cancelled": "The session was cancelled. Create a new session.",
    "session_expired": (
        "The session has expired, or your backend did not redeem its code in time. Create a new session."
    ),
    "session_used": "The session has already made its connection. To connect another account, create a new session.",
    "several_accounts": (
        "The end user granted access to several accounts, but the integration needs exactly one account."
    ),
    "target_refused": (
        "The provider's address is not on the public internet. So One Runtime sent no request and stored nothing."
        " Only the operator can allow the address."
    ),
    "too_large": "The request body is too large. Send a smaller body.",
    "too_many_attempts": (
        "In the popup: the provider refused ten attempts to connect, or fifty sign-ins of the session failed or "
        "expired. A valid credential without a necessary permission counts as refused. Create a new session."
    ),
    "too_many_calls": (
        "Your organization has too many concurrent proxy calls, in total or to one integration. Try again later."
    ),
    "unauthenticated": "The API key is missing, mistyped or revoked, or belongs to another installation.",
    "unavailable": (
        "One Runtime cannot answer at the moment, usually because of the database. `detail` says why. Try again."
    ),
    "unconfirmed_copy": (
        "The server uses an unconfirmed copy of the database, and the access token needs a refresh. The operator "
        "has to confirm the copy. The end user does not have to connect again."
    ),
    "upstream_protocol_error": "The provider's response is malformed.",
    "upstream_timeout": "The provider took too long.",
    "upstream_too_large": "The provider's response is too large.",
    "upstream_unreachable": "The provider cannot be reached.",
    "websocket_unsupported": "The proxy does not support WebSocket connections.",
    "wrong_mode": (
        "In the popup: the page does not fit the session's mode. The mode `embed` works only in a frame on your "
        "page. The modes `redirect` and `link` work only in a browser tab."
    ),
}
