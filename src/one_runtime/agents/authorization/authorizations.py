"""Store the requests of OAuth clients to act for an end user, and the answers of the organization's backend.

An authorization gives no permission by itself. The end user opens a page of the organization's product, and signs in
there. The organization's backend then approves the authorization for the end user who is signed in, or declines it.
The database stores only the hash of the authorization code (promise P2 of docs/security.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import bindparam, insert, select, update

from one_runtime.agents.authorization import redirect_uris
from one_runtime.agents.authorization.requests import AgentAuthorizationRequest
from one_runtime.agents.end_user_requests import LIFETIME, EndUserRequest, RequestKind
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import agent_authorizations as authorizations
from one_runtime.encryption import secret_tokens
from one_runtime.errors import Conflict, InvalidInput
from one_runtime.tenancy import end_users
from one_runtime.tenancy.agent_policy import ACCESSES, Access, AgentPolicy
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.organizations import AUTHORIZATION_PARAMETER

CODE_LIFETIME: Final = timedelta(seconds=60)
AuthorizationDecision: TypeAlias = Literal["approved", "declined"]
Status: TypeAlias = Literal["open", "approved", "declined", "expired"]


class AgentAuthorizationClosed(Conflict):
    """The authorization was approved or declined, or has expired."""

    code = "agent_authorization_closed"
    documentation = (
        "The request of an agent to act for an end user was answered before, or has expired.",
        "Let the end user add the address to the agent again. The agent then opens your sign-in page again.",
    )


@dataclass(frozen=True, slots=True)
class AgentAuthorization(EndUserRequest):
    """A request of an OAuth client to act for an end user, and its answer.

    `client_name`: the name that the client gives itself. `access`: the requested access. `end_user_id`, `policy`: None
    before the approval. `end_user_token_id`: the token that the client received for the code, or None.
    """

    client_id: str
    client_name: str | None
    redirect_uri: str
    code_challenge: str
    state: str | None = field(repr=False)
    access: Access
    declined_at: datetime | None
    approved_at: datetime | None
    end_user_id: str | None
    policy: Mapping[str, Any] | None
    code_hash: bytes | None = field(repr=False)
    code_expires_at: datetime | None
    end_user_token_id: str | None

    @property
    def decision(self) -> AuthorizationDecision | None:
        """Return `approved` or `declined`, or None."""
        return "approved" if self.approved_at is not None else "declined" if self.declined_at is not None else None


@dataclass(frozen=True, slots=True)
class Approval:
    """The end user who is signed in to the organization's product, and the limits of the agent."""

    end_user_id: str
    policy: AgentPolicy


REQUESTS: Final = RequestKind(
    "agent authorization",
    AUTHORIZATION_PARAMETER,
    AgentAuthorization,
    authorizations,
    AgentAuthorizationClosed,
    "Let the end user add the address to the agent again.",
    authorizations.c.approved_at.is_(None) & authorizations.c.declined_at.is_(None),
    is_kept=authorizations.c.approved_at.is_not(None),  # to recognize a second use of the code
)
_IS_ID = (authorizations.c.organization_id == bindparam("organization"), authorizations.c.id == bindparam("id"))
_INSERT = insert(authorizations)
_BY_CODE: Final = select(*(authorizations.c[name] for name in AgentAuthorization.__dataclass_fields__)).where(
    authorizations.c.code_hash == bindparam("hash")
)
_DECLINE = update(authorizations).where(*_IS_ID).values(declined_at=bindparam("now"))
_APPROVE = (
    update(authorizations)
    .where(*_IS_ID)
    .values(
        approved_at=bindparam("now"),
        end_user_id=bindparam("end_user"),
        policy=bindparam("policy"),
        code_hash=bindparam("code"),
        code_expires_at=bindparam("until"),
        state=None,
    )
)
_USE = update(authorizations).where(*_IS_ID).values(end_user_token_id=bindparam("token"))


async def create(tx: Transaction, request: AgentAuthorizationRequest, now: datetime) -> str:
    """Store a request of an OAuth client, and return its id."""
    authorization = AgentAuthorization(
        id=new_id(),
        organization_id=request.organization_id,
        client_id=request.client.client_id,
        client_name=request.client.name,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        state=request.state,
        access=request.access,
        created_at=now,
        expires_at=now + LIFETIME,
        declined_at=None,
        approved_at=None,
        end_user_id=None,
        policy=None,
        code_hash=None,
        code_expires_at=None,
        end_user_token_id=None,
    )
    await tx.execute(_INSERT, **REQUESTS.values(authorization))
    return authorization.id


async def approve(
    tx: Transaction, actor: Actor, authorization_id: str, approval: Approval, issuer: str, now: datetime
) -> tuple[AgentAuthorization, str]:
    """Approve an open authorization. If the end user is new, create the end user.

    Return the authorization, and the address to which the browser has to go. The address contains the code.

    Raises: NotFound; AgentAuthorizationClosed; InvalidInput if the policy allows more than the client has requested.
    """
    present = await REQUESTS.get(tx, actor.organization_id, authorization_id, lock=True)
    REQUESTS.require_open(present, now)
    end_user_id, policy = approval.end_user_id, approval.policy
    if ACCESSES.index(policy.access) > ACCESSES.index(present.access):
        raise InvalidInput.of("access", f"must not exceed the requested access, which is {present.access}")
    await end_users.ensure(tx, actor.organization_id, EndUser(end_user_id, None, None, now, now))
    code = secret_tokens.make(secret_tokens.AUTHORIZATION_CODE)
    key = {"organization": actor.organization_id, "id": present.id}
    values = {"end_user": end_user_id, "policy": policy.document, "code": code.hash, "until": now + CODE_LIFETIME}
    await tx.execute(_APPROVE, **key, **values, now=now)
    approved = await REQUESTS.get(tx, actor.organization_id, authorization_id)
    subject = Subject(end_user_id, data=_details(approved, policy.access))
    await record(tx, actor, EventType.AGENT_AUTHORIZATION_APPROVED, now, subject)
    address = redirect_uris.with_parameters(present.redirect_uri, code=code.secret, state=present.state, iss=issuer)
    return approved, address


async def decline(
    tx: Transaction,
    actor: Actor,
    authorization_id: str,
    now: datetime,
    condition: Precondition[AgentAuthorization] | None = None,
) -> AgentAuthorization:
    """Decline an open authorization, because the end user does not want the agent. A second call changes nothing.

    Raises: NotFound; PreconditionFailed.
    """

    async def store(authorization: AgentAuthorization) -> None:
        await tx.execute(_DECLINE, organization=actor.organization_id, id=authorization.id, now=now)
        subject = Subject(data=_details(authorization, authorization.access))
        await record(tx, actor, EventType.AGENT_AUTHORIZATION_DECLINED, now, subject)

    return await REQUESTS.refuse(tx, actor, authorization_id, now, condition, store)


def declined_address(authorization: AgentAuthorization, issuer: str) -> str | None:
    """Return the address that brings the refusal to the client. Return None if the authorization was not declined."""
    if authorization.declined_at is None:
        return None
    return redirect_uris.with_parameters(
        authorization.redirect_uri,
        error="access_denied",
        error_description="The end user declined.",
        state=authorization.state,
        iss=issuer,
    )


async def find_by_code(tx: Transaction, code: str) -> AgentAuthorization | None:
    """Return the authorization of a code, which can be used or expired. Return None for an unknown code."""
    if not secret_tokens.recognize(secret_tokens.AUTHORIZATION_CODE, code):
        return None
    row = await tx.one(_BY_CODE, AgentAuthorization, hash=secret_tokens.digest(code))
    if row is None or row.code_hash is None or not secret_tokens.same(row.code_hash, secret_tokens.digest(code)):
        return None
    return row


async def lock(tx: Transaction, authorization: AgentAuthorization) -> AgentAuthorization | None:
    """Lock an approved authorization until `tx` ends, and return it. Return None if its end user was deleted.

    Lock the row of the end user first, as the deletion of an end user does.
    """
    organization_id, end_user_id = authorization.organization_id, authorization.end_user_id
    if end_user_id is None or not await end_users.lock(tx, organization_id, end_user_id):
        return None
    return await REQUESTS.find(tx, organization_id, authorization.id, lock=True)


async def use_code(tx: Transaction, authorization: AgentAuthorization, end_user_token_id: str) -> None:
    """Mark the code of a locked authorization as used. `end_user_token_id`: the token that the client receives."""
    await tx.execute(_USE, organization=authorization.organization_id, id=authorization.id, token=end_user_token_id)


def _details(authorization: AgentAuthorization, access: Access) -> dict[str, object]:
    return {
        "agent_authorization_id": authorization.id,
        "client_id": authorization.client_id,
        "name": authorization.client_name,
        "access": access,
    }
