"""Store the requests of OAuth clients to act for an end user, and the answers of the organization's backend.

An authorization gives no permission by itself. The end user opens a page of the organization's product, and signs in
there. The organization's backend then approves the authorization for the end user who is signed in, or declines it.
The database stores only the hash of the authorization code (promise P2 of docs/security.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import bindparam, insert, or_, select, update

from one_runtime.agents.authorization import redirect_uris
from one_runtime.agents.authorization.requests import AgentAuthorizationRequest
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import agent_authorizations as authorizations
from one_runtime.encryption import secret_tokens
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.jobs.queue import batched_delete
from one_runtime.tenancy import end_users
from one_runtime.tenancy.agent_policy import ACCESSES, Access, AgentPolicy
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.organizations import AUTHORIZATION_PARAMETER

LIFETIME: Final = timedelta(minutes=10)
"""Time in which the end user has to sign in and answer."""

CODE_LIFETIME: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=1)
"""Time after the expiry for which the database keeps an approved authorization, to recognize a second use of the code.
"""

UNAPPROVED_KEPT: Final = timedelta(hours=1)
"""Time after the expiry for which the database keeps every other authorization. Strangers can create authorizations."""

Status: TypeAlias = Literal["open", "approved", "declined", "expired"]


class AgentAuthorizationClosed(Conflict):
    """The authorization was approved or declined, or has expired."""

    code = "agent_authorization_closed"
    documentation = (
        "The request of an agent to act for an end user was answered before, or has expired.",
        "Let the end user add the address to the agent again. The agent then opens your sign-in page again.",
    )


@dataclass(frozen=True, slots=True)
class AgentAuthorization:
    """A request of an OAuth client to act for an end user, and its answer.

    `client_name`: the name that the client gives itself. `access`: the requested access. `end_user_id`, `policy`: None
    before the approval. `end_user_token_id`: the token that the client received for the code, or None.
    """

    id: str
    organization_id: str
    client_id: str
    client_name: str | None
    redirect_uri: str
    code_challenge: str
    state: str | None = field(repr=False)
    access: Access
    created_at: datetime
    expires_at: datetime
    declined_at: datetime | None
    approved_at: datetime | None
    end_user_id: str | None
    policy: Mapping[str, Any] | None
    code_hash: bytes | None = field(repr=False)
    code_expires_at: datetime | None
    end_user_token_id: str | None

    def status(self, now: datetime) -> Status:
        """Return the state of the authorization."""
        if self.approved_at is not None:
            return "approved"
        if self.declined_at is not None:
            return "declined"
        return "expired" if self.expires_at <= now else "open"


@dataclass(frozen=True, slots=True)
class Approval:
    """The end user who is signed in to the organization's product, and the limits of the agent."""

    end_user_id: str
    policy: AgentPolicy


_COLUMNS = tuple(authorizations.c[name] for name in AgentAuthorization.__dataclass_fields__)
_IS_ID = (authorizations.c.organization_id == bindparam("organization"), authorizations.c.id == bindparam("id"))
_INSERT = insert(authorizations)
_BY_ID = select(*_COLUMNS).where(*_IS_ID)
_LIST = (
    select(*_COLUMNS)
    .where(
        authorizations.c.organization_id == bindparam("organization"),
        authorizations.c.end_user_id == bindparam("end_user"),
    )
    .order_by(authorizations.c.id.desc())
    .limit(bindparam("limit"))
)
_LOCKED = _BY_ID.with_for_update()
_BY_CODE: Final = select(*_COLUMNS).where(authorizations.c.code_hash == bindparam("hash"))
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
PURGE: Final = batched_delete(
    authorizations,
    authorizations.c.expires_at < bindparam("before_unapproved"),
    or_(authorizations.c.approved_at.is_(None), authorizations.c.expires_at < bindparam("before")),
)
"""Deletes the authorizations that expired before a time (`before`), and earlier if the end user did not approve."""


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
    await tx.execute(_INSERT, **{column.name: getattr(authorization, column.name) for column in _COLUMNS})
    return authorization.id


async def list_page(
    tx: Transaction, organization_id: str, end_user_id: str, *, limit: int, before: str | None = None
) -> list[AgentAuthorization]:
    """Return at most `limit` authorizations that an end user has approved, newest first.

    With `before`, return only authorizations before this id.
    """
    statement = _LIST if before is None else _LIST.where(authorizations.c.id < before)
    return await tx.all(statement, AgentAuthorization, organization=organization_id, end_user=end_user_id, limit=limit)


async def get(
    tx: Transaction, organization_id: str, authorization_id: str, *, lock: bool = False
) -> AgentAuthorization:
    """Return an authorization of this organization. Raises: NotFound."""
    row = None
    if is_id(authorization_id):
        statement = _LOCKED if lock else _BY_ID
        row = await tx.one(statement, AgentAuthorization, organization=organization_id, id=authorization_id)
    if row is None:
        raise NotFound(
            f"There is no agent authorization {authorization_id[:64]!r}. Its id is the parameter "
            f"{AUTHORIZATION_PARAMETER} of the address that the end user opened. One Runtime deletes an authorization "
            "an hour after its expiry if it was not approved."
        )
    return row


async def approve(
    tx: Transaction, actor: Actor, authorization_id: str, approval: Approval, issuer: str, now: datetime
) -> tuple[AgentAuthorization, str]:
    """Approve an open authorization. If the end user is new, create the end user.

    Return the authorization, and the address to which the browser has to go. The address contains the code.

    Raises: NotFound; AgentAuthorizationClosed; InvalidInput if the policy allows more than the client has requested.
    """
    present = await get(tx, actor.organization_id, authorization_id, lock=True)
    _require_open(present, now)
    end_user_id, policy = approval.end_user_id, approval.policy
    if ACCESSES.index(policy.access) > ACCESSES.index(present.access):
        raise InvalidInput.of("access", f"must not exceed the requested access, which is {present.access}")
    await end_users.ensure(tx, actor.organization_id, EndUser(end_user_id, None, None, now, now))
    code = secret_tokens.make(secret_tokens.AUTHORIZATION_CODE)
    key = {"organization": actor.organization_id, "id": present.id}
    values = {"end_user": end_user_id, "policy": policy.document, "code": code.hash, "until": now + CODE_LIFETIME}
    await tx.execute(_APPROVE, **key, **values, now=now)
    approved = await get(tx, actor.organization_id, authorization_id)
    subject = Subject(end_user_id, data=_details(approved, policy.access))
    await record(tx, actor, EventType.AGENT_AUTHORIZATION_APPROVED, now, subject)
    address = redirect_uris.with_parameters(present.redirect_uri, code=code.secret, state=present.state, iss=issuer)
    return approved, address


def _require_open(authorization: AgentAuthorization, now: datetime) -> None:
    """Raises: AgentAuthorizationClosed."""
    status = authorization.status(now)
    if status != "open":
        raise AgentAuthorizationClosed(
            f"The agent authorization is {status}. Let the end user add the address to the agent again."
        )


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
    present = await get(tx, actor.organization_id, authorization_id, lock=True)
    if condition is not None:
        await condition(tx, present)
    if present.status(now) == "open":
        await tx.execute(_DECLINE, organization=actor.organization_id, id=present.id, now=now)
        subject = Subject(data=_details(present, present.access))
        await record(tx, actor, EventType.AGENT_AUTHORIZATION_DECLINED, now, subject)
    return await get(tx, actor.organization_id, authorization_id)


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
    return await tx.one(_LOCKED, AgentAuthorization, organization=organization_id, id=authorization.id)


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
