"""Exchange authorization codes and refresh tokens for end-user tokens, and revoke tokens for their OAuth clients.

(RFC 6749 sections 4.1.3 and 6, RFC 7636, RFC 7009, RFC 8707.)
"""

from collections.abc import Mapping
from datetime import datetime

from one_runtime.agents.authorization import authorizations, resources
from one_runtime.agents.authorization.authorizations import AgentAuthorization
from one_runtime.agents.authorization.errors import ProtocolError
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.encryption import secret_tokens
from one_runtime.oauth import pkce
from one_runtime.tenancy import end_user_tokens, token_renewal
from one_runtime.tenancy.agent_policy import AgentPolicy
from one_runtime.tenancy.end_user_tokens import NewToken
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.token_renewal import RenewedToken

_INVALID_CODE = ProtocolError(
    "invalid_grant",
    "The code is unknown, expired or used, or belongs to another client_id, redirect_uri or code_verifier.",
)
_INVALID_REFRESH_TOKEN = ProtocolError(
    "invalid_grant", "The refresh token is unknown, expired, revoked or used, or belongs to another client_id."
)


async def issue(installation: Installation, values: Mapping[str, str]) -> RenewedToken:
    """Return the tokens for a request to the token endpoint. Raises: ProtocolError."""
    grant = values.get("grant_type")
    if grant == "authorization_code":
        return await _exchange(installation, values)
    if grant == "refresh_token":
        return await _renew(installation, values)
    raise ProtocolError("unsupported_grant_type", "grant_type must be authorization_code or refresh_token.")


async def _exchange(installation: Installation, values: Mapping[str, str]) -> RenewedToken:
    """Raises: ProtocolError."""
    code, client_id, verifier = (_require(values, name) for name in ("code", "client_id", "code_verifier"))
    redirect_uri, resource = (_require(values, name) for name in ("redirect_uri", "resource"))
    now = installation.clock()
    async with installation.database.read() as tx:  # a wrong code must not lock the database
        known = await authorizations.find_by_code(tx, code)
    if known is None:
        raise _INVALID_CODE
    async with installation.database.write() as tx:
        authorization = await authorizations.lock(tx, known)
        if authorization is None:
            raise _INVALID_CODE
        if authorization.end_user_token_id is None:
            _require_same_client(authorization, client_id, redirect_uri, verifier, now)
            _require_resource(installation, resource, authorization.organization_id)
            return await _redeem(tx, authorization, now)
        await _revoke_replayed(tx, authorization, authorization.end_user_token_id, now)
    raise _INVALID_CODE


def _require_same_client(
    authorization: AgentAuthorization, client_id: str, redirect_uri: str, verifier: str, now: datetime
) -> None:
    """Raises: ProtocolError if the code has expired, or if another client sends it."""
    try:
        challenge = pkce.code_challenge(verifier)
    except ValueError:
        raise ProtocolError("invalid_request", "code_verifier must have the format of RFC 7636.") from None
    if (
        authorization.code_expires_at is None
        or authorization.code_expires_at <= now
        or authorization.client_id != client_id
        or authorization.redirect_uri != redirect_uri
        or not secret_tokens.same(authorization.code_challenge.encode(), challenge.encode())
    ):
        raise _INVALID_CODE


async def _redeem(tx: Transaction, authorization: AgentAuthorization, now: datetime) -> RenewedToken:
    """Create the end-user token of an approved authorization."""
    end_user_id = authorization.end_user_id or ""
    actor = Actor(authorization.organization_id, "end_user", end_user_id)
    policy = AgentPolicy.parse(authorization.policy or {})
    new = NewToken(end_user_id, policy, authorization.client_name, client_id=authorization.client_id)
    token, secret = await end_user_tokens.create(tx, actor, new, now)
    await authorizations.use_code(tx, authorization, token.id)
    return await token_renewal.start(tx, token, secret, now)


async def _revoke_replayed(tx: Transaction, authorization: AgentAuthorization, token_id: str, now: datetime) -> None:
    """Revoke the tokens of a code that is used a second time (RFC 6749 section 4.1.2)."""
    actor = Actor(authorization.organization_id, "end_user", authorization.end_user_id)
    await end_user_tokens.revoke(tx, actor, token_id, now, reason="code_replayed")


async def _renew(installation: Installation, values: Mapping[str, str]) -> RenewedToken:
    """Raises: ProtocolError."""
    refresh_token, client_id = _require(values, "refresh_token"), _require(values, "client_id")
    async with installation.database.read() as tx:
        known = await token_renewal.find(tx, refresh_token)
    if known is None:
        raise _INVALID_REFRESH_TOKEN
    if "resource" in values:
        _require_resource(installation, values["resource"], known.organization_id)
    async with installation.database.write() as tx:
        renewed = await token_renewal.renew(tx, installation.vault, refresh_token, client_id, installation.clock())
    if renewed is None:
        raise _INVALID_REFRESH_TOKEN
    return renewed


async def revoke(installation: Installation, values: Mapping[str, str]) -> None:
    """Revoke an access token and its refresh token for their client. For an unknown token, change nothing (RFC 7009).

    Raises: ProtocolError if the token belongs to another client.
    """
    token, client_id = _require(values, "token"), _require(values, "client_id")
    async with installation.database.read() as tx:
        row = await token_renewal.find(tx, token)
    if row is None:
        return
    if row.client_id != client_id:
        raise ProtocolError("unauthorized_client", "The token belongs to another client_id.")
    async with installation.database.write() as tx:
        await token_renewal.revoke(tx, row, "client_request", installation.clock())


def _require(values: Mapping[str, str], name: str) -> str:
    """Raises: ProtocolError."""
    if name not in values:
        raise ProtocolError("invalid_request", f"{name} is required.")
    return values[name]


def _require_resource(installation: Installation, resource: str, organization_id: str) -> None:
    """Raises: ProtocolError if the resource does not belong to the organization."""
    if resources.organization_of(installation.settings, resource) != organization_id:
        raise ProtocolError("invalid_target", "resource must be the address for which the end user signed in.")
