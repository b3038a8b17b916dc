"""Authenticate an agent. The result is an `AgentCaller`: the end user for whom the agent acts, and the agent's policy.

An agent sends an end-user token, or an API key of the organization with the identifier of an end user.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import api_keys, organizations
from one_runtime.db.schema import end_user_tokens as tokens
from one_runtime.encryption import secret_tokens
from one_runtime.errors import Unauthenticated
from one_runtime.tenancy.agent_policy import UNLIMITED, AgentPolicy
from one_runtime.tenancy.authentication import (
    INVALID_TOKEN,
    KEY_COLUMNS,
    KEY_MATCHES,
    ApiKeyRow,
    PresentedKey,
    require_active_key,
)
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import AgentSettings

_SCOPE: Final = "use"


@dataclass(frozen=True, slots=True)
class AgentCaller:
    """The end user for whom an agent acts, and the limits of the agent.

    `actor`: the end-user token or the API key. `policy`: the intersection of the policies of the token and of the
    organization. `connect_url`: see `AgentSettings`.
    """

    organization_id: str
    end_user_id: str
    actor: Actor
    policy: AgentPolicy
    connect_url: str | None = None

    @property
    def end_user_token_id(self) -> str | None:
        """Return the id of the agent's token, or None if the agent used an API key."""
        return self.actor.id if self.actor.type == "end_user_token" else None

    @property
    def api_key_id(self) -> str | None:
        """Return the id of the agent's API key, or None if the agent used an end-user token."""
        return self.actor.id if self.actor.type == "api_key" else None

    @property
    def member_id(self) -> str | None:
        """Return the id of the member who makes the call in the dashboard, or None."""
        return self.actor.id if self.actor.type == "member" else None

    @property
    def identity(self) -> str:
        """Return a text that is different for each end user of each organization."""
        return f"{self.organization_id}/{self.end_user_id}"


class _TokenRow(NamedTuple):
    secret_hash: bytes
    id: str
    organization_id: str
    end_user_id: str
    policy: Mapping[str, Any]
    expires_at: datetime
    revoked_at: datetime | None
    agents: Mapping[str, Any] | None


class _KeyRow(NamedTuple):
    key_hash: bytes
    key_revoked_at: datetime | None
    key_id: str
    key_organization_id: str
    key_scopes: str
    agents: Mapping[str, Any] | None


_BY_TOKEN: Final = (
    select(*(tokens.c[name] for name in _TokenRow._fields[:-1]), organizations.c.agents)
    .select_from(tokens.join(organizations, organizations.c.id == tokens.c.organization_id))
    .where(tokens.c.secret_hash == bindparam("hash"), tokens.c.audience == "agent")
)
_BY_KEY: Final = (
    select(*KEY_COLUMNS, organizations.c.agents)
    .select_from(organizations.join(api_keys, organizations.c.id == api_keys.c.organization_id))
    .where(KEY_MATCHES)
)


_ACTIVE_TOKEN: Final = select(tokens.c.id).where(
    tokens.c.organization_id == bindparam("organization"),
    tokens.c.id == bindparam("token"),
    tokens.c.revoked_at.is_(None),
)


async def verify_token(tx: Transaction, token: PresentedKey, now: datetime) -> AgentCaller:
    """Return the caller of an end-user token. Raises: Unauthenticated if the token is unknown, expired or revoked."""
    row = await tx.one(_BY_TOKEN, _TokenRow, hash=token.hash)
    if (
        row is None
        or not secret_tokens.same(row.secret_hash, token.hash)
        or row.revoked_at is not None
        or row.expires_at <= now
    ):
        raise Unauthenticated(INVALID_TOKEN)
    token.confirm(row.id)
    actor = Actor(row.organization_id, "end_user_token", row.id, token.address)
    return _caller(actor, row.end_user_id, AgentPolicy.parse(row.policy), row.agents)


async def verify_key(tx: Transaction, key: PresentedKey, end_user_id: str) -> AgentCaller:
    """Return the caller of an API key that acts for an end user.

    Raises: Unauthenticated if the key is unknown or revoked; InsufficientScope if the key lacks the scope `use`.
    """
    row = await tx.one(_BY_KEY, _KeyRow, key_hash=key.hash)
    principal = key.verify(ApiKeyRow(*row[:-1]) if row is not None else None)
    principal.require(_SCOPE)
    assert row is not None  # noqa: S101 - `verify` refuses a missing row
    return _caller(principal.actor, end_user_id, UNLIMITED, row.agents)


async def require_active(tx: Transaction, caller: AgentCaller) -> None:
    """Check again, during a long request, that the token or the API key is not revoked. Raises: Unauthenticated."""
    if caller.api_key_id is not None:
        await require_active_key(tx, caller.organization_id, caller.api_key_id)
    token_id, organization_id = caller.end_user_token_id, caller.organization_id
    if token_id is not None and await tx.one(_ACTIVE_TOKEN, organization=organization_id, token=token_id) is None:
        raise Unauthenticated(INVALID_TOKEN)


def _caller(actor: Actor, end_user_id: str, policy: AgentPolicy, settings: Mapping[str, Any] | None) -> AgentCaller:
    agents = AgentSettings.parse(settings)
    return AgentCaller(actor.organization_id, end_user_id, actor, policy.narrowed(agents.policy), agents.connect_url)
