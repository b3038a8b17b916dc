"""Explain the reasons of events, by `reason`."""

from typing import Final

from one_runtime.errors import Explanation, Explanations

NEEDS_REAUTH: Final[Explanations] = {
    "credentials_refused": Explanation(
        "The provider refused the credential in a check. One Runtime cannot renew the credential.",
        "Ask the end user to connect again.",
    ),
    "invalid_grant": Explanation(
        "The provider refused the refresh token.",
        "Ask the end user to connect again.",
    ),
    "client_refused": Explanation(
        (
            "The provider refused the connection's OAuth client, and you cannot correct this client. Either the end "
            "user entered the client in the popup, or the client was deleted or replaced after the end user "
            "connected."
        ),
        "Ask the end user to connect again.",
    ),
    "token_expired": Explanation(
        (
            "The token expired, and One Runtime cannot refresh the token. There is no refresh token, or the provider "
            "refuses the refresh without an error code."
        ),
        "Ask the end user to connect again.",
    ),
    "key_lost": Explanation(
        "The operator lost the encryption key of the credential, and abandoned the key.",
        "Ask the end user to connect again.",
    ),
    "required_by_operator": Explanation(
        "The operator discarded the credential.",
        "Ask the end user to connect again.",
    ),
    "integration_changed": Explanation(
        "Your custom integration now sends credentials to another place.",
        "Check that the change was intended. Then ask the end user to connect again.",
    ),
}

_AUTHORIZATION: Final[Explanations] = {
    "authorization_refused": Explanation(
        "The provider refused the authorization.",
        "Check the scopes and the OAuth client, and let the end user try again.",
    ),
    "callback_refused": Explanation(
        "The provider returned a response that does not fit the authorization.",
        "Let the end user try again.",
    ),
    "client_refused": Explanation(
        "The provider refused the OAuth client.",
        (
            "Check the client id and the secret, and register the OAuth client again. If the client belongs to the "
            "operator, inform the operator."
        ),
    ),
    "consent_denied": Explanation(
        "The end user, or an administrator of the provider's account, did not allow the access.",
        (
            "Let the end user try again. If an administrator has to approve the access, the end user has to ask this "
            "administrator first."
        ),
    ),
    "integration_disabled": Explanation(
        "The operator disabled the integration for all organizations.",
        "Ask the operator when the integration becomes available again.",
    ),
    "invalid_grant": Explanation(
        "The provider refused the authorization code.",
        "Let the end user try again.",
    ),
    "issuer_mismatch": Explanation(
        "The response came from another authorization server than the request went to.",
        "Let the end user try again. If the error stays, inform the operator.",
    ),
    "malformed_answer": Explanation(
        "The provider's response has an unexpected format.",
        "Try again later. If the error stays, inform the operator.",
    ),
    "oauth_error": Explanation(
        "The provider reported an error without a known code.",
        "Let the end user try again.",
    ),
    "provider_trouble": Explanation(
        "The provider had a fault, or was too busy.",
        "Try again later.",
    ),
    "provider_unreachable": Explanation(
        "The provider did not answer.",
        "Try again later.",
    ),
    "request_refused": Explanation(
        "The provider refused the request of One Runtime.",
        "Check the scopes and parameters of the integration. If the integration is built in, inform the operator.",
    ),
    "credentials_refused": Explanation(
        "The provider refused the new credential in a check.",
        "Let the end user try again.",
    ),
    "permission_missing": Explanation(
        "The new credential lacks a permission that the check needs.",
        "Let the end user try again, and allow all permissions.",
    ),
    "provider_unavailable": Explanation(
        "The provider gave no usable answer to a check.",
        "Let the end user try again later.",
    ),
    "several_accounts": Explanation(
        "The end user granted access to several accounts, but the integration needs exactly one account.",
        "The end user has to start again and select one account.",
    ),
    "target_refused": Explanation(
        "The provider's address is not on the public internet.",
        "Only the operator can allow the address, with `ONE_RUNTIME_EGRESS_ALLOW`.",
    ),
}

SESSION_FAILED: Final[Explanations] = {
    "key_lost": Explanation(
        (
            "In the mode `redirect`, the operator abandoned the lost encryption key of the connection before your "
            "backend redeemed the code. The session has ended."
        ),
        "Create a new session.",
    ),
    "not_redeemed": Explanation(
        "In the mode `redirect`, your backend did not redeem the code in time. The session has ended.",
        "Redeem the code as soon as the browser returns, and create a new session.",
    ),
    "end_user_mismatch": Explanation(
        "In the mode `redirect`, your backend redeemed the code for another end user. The session has ended.",
        "Create a new session, and send the identifier of the end user who is signed in to your product.",
    ),
    "replacement_declined": Explanation(
        "The user signed in with another account, and decided to keep the connected account. The session continues.",
        "There is nothing to do.",
    ),
    **_AUTHORIZATION,
}

REFRESH_FAILED: Final[Explanations] = {
    "client_refused": _AUTHORIZATION["client_refused"],
    "malformed_answer": Explanation(
        "The provider's response has an unexpected format.",
        "One Runtime tries again by itself. If the error stays for days, inform the operator.",
    ),
    "oauth_error": Explanation(
        "The provider reported an error without a known code.",
        "One Runtime tries again by itself. If the error stays for days, inform the operator.",
    ),
    "provider_trouble": Explanation(
        "The provider did not answer, had a fault, or was too busy.",
        "One Runtime tries again by itself. You can also try again later.",
    ),
    "request_refused": Explanation(
        "The provider refused the request of One Runtime.",
        "One Runtime tries again by itself. If the error stays for days, inform the operator.",
    ),
    "target_refused": _AUTHORIZATION["target_refused"],
}

TOKEN_REVOKED: Final[Explanations] = {
    "client_request": Explanation(
        "The agent revoked its own token, for example because its user has removed the agent.",
        "There is nothing to do.",
    ),
    "code_replayed": Explanation(
        "The authorization code of the token was used a second time. A thief can have a copy of the code.",
        "If the end user still wants the agent, let the end user add the address to the agent again.",
    ),
    "refresh_token_reused": Explanation(
        (
            "A refresh token was used a second time. A thief can have a copy of the token, or the agent did not store "
            "its newest token."
        ),
        "If the end user still wants the agent, let the end user add the address to the agent again.",
    ),
}

CONNECTION_UPDATED: Final[Explanations] = {
    "permission_missing": Explanation(
        "A check found that the credential lacks a permission.",
        "Ask the end user to add the permission at the provider. Then check the connection again.",
    ),
}
