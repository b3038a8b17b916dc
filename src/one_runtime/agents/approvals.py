"""Let the end user approve the calls of an agent that change something, for agents with the access `ask`.

An approval request has the exact call. The end user opens a page of the organization's product, and signs in there. The
organization's backend then opens the page on which this end user answers. The agent never receives the address of this
page, so an agent cannot approve its own call.

An approval is valid for one call with the same method, base URL, path, query, headers, body, connection and account, or
for all calls of the agent with this connection for ten minutes, as long as it has the same account.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from sqlalchemy import bindparam, insert, or_, select, update

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.end_user_requests import LIFETIME, EndUserRequest, RequestKind, RequestLink
from one_runtime.catalog.model import Integration
from one_runtime.clock import rfc3339
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import approval_requests as requests
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.vault import SealContext, Sealed, Vault
from one_runtime.errors import Conflict, InvalidInput, NotAllowed
from one_runtime.tenancy import end_users, organizations
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record

MAX_BODY: Final = 64 * 1024
"""Size of the largest body that an end user can approve, in bytes."""
PARAMETER: Final = "approval_request_id"
"""Query parameter of the page of the organization."""

_VERSION: Final = 1
_PURPOSE: Final = b"approved call\x00"
_MAX_CANDIDATES: Final = 100

Answer: TypeAlias = Literal["approved", "refused"]
ApprovalStatus: TypeAlias = Literal["open", "approved", "refused", "expired"]


@dataclass(frozen=True, slots=True)
class ExactCall:
    """A call that the end user approves.

    - `account_id`: the account of the connection at the provider, which a reconnection can replace, or None.
    - `base_url`: the base URL of the connection. `path`: below the base URL.
    - `has_secret_path`: True if the path of the base URL contains a secret.
    - `path`, `query`: percent-encoded. `headers`: the headers that the agent has chosen, such as `content-type`.
    """

    integration: Integration
    connection_id: str
    account_id: str | None
    method: str
    base_url: str = field(repr=False)
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    has_secret_path: bool = False

    @property
    def host(self) -> str:
        """Return the host, and the port if the base URL names one."""
        return urlsplit(self.base_url).netloc

    @property
    def shown_base_path(self) -> str:
        """Return the path of the base URL for the end user. A path with a secret becomes `/…`."""
        return "/…" if self.has_secret_path else urlsplit(self.base_url).path

    @property
    def message(self) -> bytes:
        """Return bytes that are different for each call."""
        body = None if self.body is None else hashlib.sha256(self.body).hexdigest()
        headers = sorted((name.lower(), value) for name, value in self.headers)
        account = (self.integration.slug, self.connection_id, self.account_id)
        place = (self.method, self.base_url, self.path, self.query)
        return _PURPOSE + json.dumps([*account, *place, headers, body], separators=(",", ":")).encode()


class ApprovalRequired(Conflict):
    """The end user has to approve the call. `call`: the exact call."""

    code = "approval_required"
    documentation = (
        "The end user has to approve this call of [an agent](agents.md#approvals).",
        "The agent gives the link to the end user, and repeats the call after the approval.",
    )

    def __init__(self, detail: str, call: ExactCall) -> None:
        super().__init__(detail)
        self.call = call


class WriteRefused(Conflict):
    """The end user has refused the call a short time ago."""

    code = "write_refused"
    documentation = (
        "The end user has refused this call of [an agent](agents.md#approvals).",
        "The agent goes on without the call.",
    )


class ApprovalRequestClosed(Conflict):
    """The end user has answered, or the request has expired."""

    code = "approval_request_closed"
    documentation = (
        "The end user has answered [the approval request](agents.md#approvals), or the request has expired.",
        "Let the end user ask the agent again. The agent then sends a new link.",
    )


@dataclass(frozen=True, slots=True)
class ApprovalRequest(EndUserRequest):
    """A call that waits for the end user's answer, or has the answer. `approved_until`: see the table."""

    end_user_id: str
    end_user_token_id: str | None
    integration_slug: str
    connection_id: str
    method: str
    host: str
    path: str
    return_url: str | None
    answer: Answer | None
    answered_at: datetime | None
    approved_until: datetime | None

    @property
    def decision(self) -> Answer | None:
        """Return the answer, or None."""
        return self.answer


@dataclass(frozen=True, slots=True)
class SealedCall:
    """The parts of a call that are sealed.

    `account_id`: see `ExactCall`. `base_path`: see `ExactCall.shown_base_path`. `body`: text, or None.
    """

    account_id: str | None
    base_path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: str | None


class _Candidate(NamedTuple):
    id: str
    end_user_token_id: str | None
    connection_id: str
    call_hash: bytes
    answer: Answer | None
    approved_until: datetime | None
    used_at: datetime | None
    expires_at: datetime


class _Page(NamedTuple):
    id: str
    organization_id: str
    page_hash: bytes


class _SealedRow(NamedTuple):
    sealed: bytes
    key_id: str


_OF_ORGANIZATION = requests.c.organization_id == bindparam("organization")
_OF_END_USER = (_OF_ORGANIZATION, requests.c.end_user_id == bindparam("end_user"))
_BY_PAGE = select(*(requests.c[name] for name in _Page._fields)).where(requests.c.page_hash == bindparam("hash"))
_SEALED = select(requests.c.sealed, requests.c.key_id).where(requests.c.id == bindparam("request"))
_CANDIDATES = (
    select(*(requests.c[name] for name in _Candidate._fields))
    .where(
        *_OF_END_USER,
        requests.c.integration_slug == bindparam("slug"),
        or_(requests.c.expires_at > bindparam("now"), requests.c.approved_until > bindparam("now")),
    )
    .order_by(requests.c.id.desc())
    .limit(_MAX_CANDIDATES)
)
_INSERT = insert(requests)
_USE = (
    update(requests)
    .where(requests.c.id == bindparam("request"), requests.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_OPEN_PAGE = (
    update(requests)
    .where(_OF_ORGANIZATION, requests.c.id == bindparam("request"))
    .values(page_hash=bindparam("hash"), return_url=bindparam("url"))
)
_ANSWER = (
    update(requests)
    .where(requests.c.id == bindparam("request"), requests.c.answer.is_(None), requests.c.expires_at > bindparam("now"))
    .values(answer=bindparam("new_answer"), answered_at=bindparam("now"), approved_until=bindparam("until"))
)
REQUESTS: Final = RequestKind(
    "approval request",
    PARAMETER,
    ApprovalRequest,
    requests,
    ApprovalRequestClosed,
    "Let the end user ask the agent again.",
    requests.c.answer.is_(None),
)


async def require_approval(tx: Transaction, installation: Installation, caller: AgentCaller, call: ExactCall) -> None:
    """Require an approval of the call, and use the approval up.

    `tx`: a transaction that is committed before the call is sent, so that no crash can send the call twice.

    Raises: ApprovalRequired; WriteRefused.
    """
    now, message = installation.clock(), call.message
    candidates = await _candidates(tx, caller, call.integration.slug, now)
    exact = [each for each in candidates if installation.vault.verify_mac(message, each.call_hash)]
    if any(each.answer == "refused" for each in exact):  # also during an approval of all calls
        raise WriteRefused("The user has refused this call. Do not repeat it, and go on without it.")
    for candidate in candidates:
        until = candidate.approved_until
        if candidate.connection_id == call.connection_id and until is not None and until > now:
            request = await REQUESTS.get(tx, caller.organization_id, candidate.id)
            if (await read_call(tx, installation.vault, request)).account_id == call.account_id:
                return
    for candidate in exact:
        is_approved = candidate.answer == "approved" and candidate.approved_until is None
        if candidate.used_at is None and is_approved and await tx.execute(_USE, request=candidate.id, now=now):
            return
    name = call.integration.name
    raise ApprovalRequired(f"The user has to approve this call: {call.method} {call.path} at {name}.", call)


async def ask(tx: Transaction, installation: Installation, caller: AgentCaller, call: ExactCall) -> RequestLink:
    """Return the address at which the end user answers. Reuse an open request for the same call.

    Raises: NotAllowed if no end user can approve the call; RateLimited.
    """
    if caller.connect_url is None:
        raise NotAllowed(
            "The user has to approve this call, but the organization has no page for approvals. The organization has "
            "to set agents.connect_url with PATCH /v1/organization."
        )
    if len(call.body or b"") > MAX_BODY:
        raise NotAllowed(f"The user has to approve this call, but its body has more than {MAX_BODY // 1024} kB.")
    now = installation.clock()
    await end_users.ensure(tx, caller.organization_id, EndUser(caller.end_user_id, None, None, now, now))
    for candidate in await _candidates(tx, caller, call.integration.slug, now):
        is_open = candidate.answer is None and candidate.expires_at > now
        if is_open and installation.vault.verify_mac(call.message, candidate.call_hash):
            request = await REQUESTS.get(tx, caller.organization_id, candidate.id)
            break
    else:
        await REQUESTS.require_quota(tx, caller, now)
        request = await _create(tx, installation, caller, call, now)
    return REQUESTS.link(caller.connect_url, request, call.integration.slug)


async def open_page(
    tx: Transaction, actor: Actor, request_id: str, end_user_id: str, return_url: str | None, now: datetime
) -> tuple[ApprovalRequest, secret_tokens.SecretToken]:
    """Return the token of the page on which the end user answers. An earlier token of the request becomes invalid.

    Raises: NotFound; EndUserMismatch if another end user is signed in; ApprovalRequestClosed; InvalidInput.
    """
    request = await REQUESTS.get(tx, actor.organization_id, request_id)
    REQUESTS.require_end_user(request.end_user_id, end_user_id)
    REQUESTS.require_open(request, now)
    url = organizations.clean_link("return_url", return_url)
    if url is not None and not (await organizations.get(tx, actor.organization_id)).returns_to(url):
        raise InvalidInput.of("return_url", "must be one of your organization's return_urls")
    token = secret_tokens.make(secret_tokens.APPROVAL)
    await tx.execute(_OPEN_PAGE, organization=actor.organization_id, request=request.id, hash=token.hash, url=url)
    return request, token


async def find_by_token(tx: Transaction, text: str) -> ApprovalRequest | None:
    """Return the request whose page has this token, or None."""
    if not secret_tokens.recognize(secret_tokens.APPROVAL, text):
        return None
    digest = secret_tokens.digest(text)
    page = await tx.one(_BY_PAGE, _Page, hash=digest)
    if page is None or not secret_tokens.same(page.page_hash, digest):
        return None
    return await REQUESTS.get(tx, page.organization_id, page.id)


async def read_call(tx: Transaction, vault: Vault, request: ApprovalRequest) -> SealedCall:
    """Return the sealed parts of the call. Raises: SealBroken."""
    row = await tx.one(_SEALED, _SealedRow, request=request.id)
    assert row is not None  # noqa: S101 - the caller has read the row in this transaction
    place = SealContext(requests.name, request.id, _VERSION)
    stored = json.loads(vault.open(request.organization_id, Sealed(row.key_id, row.sealed), place))
    headers = tuple((name, value) for name, value in stored["headers"])
    account_id, base_path = stored.get("account_id"), stored.get("base_path", "")  # absent before this version
    return SealedCall(account_id, base_path, stored["query"], headers, stored["body"])


async def answer(
    tx: Transaction, request: ApprovalRequest, actor: Actor, given: Answer, now: datetime, *, for_all: bool = False
) -> None:
    """Store the answer. `for_all`: approve all calls of the agent with this connection for ten minutes.

    Raises: ApprovalRequestClosed if the request has an answer or has expired.
    """
    until = now + LIFETIME if for_all and given == "approved" else None
    if not await tx.execute(_ANSWER, request=request.id, now=now, new_answer=given, until=until):
        raise ApprovalRequestClosed("The approval request has an answer already, or has expired.")
    if given == "refused":
        await record(tx, actor, EventType.AGENT_WRITE_REFUSED, now, _subject(request))
    else:
        ends = rfc3339(until) if until is not None else None
        await record(tx, actor, EventType.AGENT_WRITE_APPROVED, now, _subject(request, approved_until=ends))


async def refuse(
    tx: Transaction,
    actor: Actor,
    request_id: str,
    now: datetime,
    condition: Precondition[ApprovalRequest] | None = None,
) -> ApprovalRequest:
    """Refuse an open request for the end user. A second call changes nothing. Raises: NotFound; PreconditionFailed."""

    async def store(request: ApprovalRequest) -> None:
        await answer(tx, request, actor, "refused", now)

    return await REQUESTS.refuse(tx, actor, request_id, now, condition, store)


async def is_answered(tx: Transaction, caller: AgentCaller, request_id: str, now: datetime) -> bool:
    """Return True if a request of the end user has an answer or has expired."""
    request = await REQUESTS.get(tx, caller.organization_id, request_id)
    return request.end_user_id != caller.end_user_id or request.status(now) != "open"


async def _candidates(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> list[_Candidate]:
    """Return the requests of this agent that can decide about a call, the newest first."""
    owner = {"organization": caller.organization_id, "end_user": caller.end_user_id}
    rows = await tx.all(_CANDIDATES, _Candidate, **owner, slug=slug, now=now)
    return [row for row in rows if row.end_user_token_id == caller.end_user_token_id]


async def _create(
    tx: Transaction, installation: Installation, caller: AgentCaller, call: ExactCall, now: datetime
) -> ApprovalRequest:
    request = ApprovalRequest(
        id=new_id(),
        organization_id=caller.organization_id,
        end_user_id=caller.end_user_id,
        end_user_token_id=caller.end_user_token_id,
        integration_slug=call.integration.slug,
        connection_id=call.connection_id,
        method=call.method,
        host=call.host,
        path=call.path,
        return_url=None,
        answer=None,
        answered_at=None,
        approved_until=None,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    body = None if call.body is None else call.body.decode(errors="backslashreplace")
    parts = {"base_path": call.shown_base_path, "query": call.query, "headers": call.headers, "body": body}
    sealed_parts = {"account_id": call.account_id, **parts}
    place, vault = SealContext(requests.name, request.id, _VERSION), installation.vault
    sealed = await key_ring.seal(tx, vault, caller.organization_id, json.dumps(sealed_parts).encode(), place)
    secret = {"sealed": sealed.data, "key_id": sealed.key_id, "version": _VERSION, "call_hash": vault.mac(call.message)}
    await tx.execute(_INSERT, **REQUESTS.values(request), **secret, page_hash=None, used_at=None)
    await record(tx, caller.actor, EventType.AGENT_WRITE_REQUESTED, now, _subject(request))
    return request


def _subject(request: ApprovalRequest, **more: object) -> Subject:
    data = {
        "approval_request_id": request.id,
        "integration_slug": request.integration_slug,
        "method": request.method,
        "host": request.host,
        "path": request.path,
    }
    return Subject(request.end_user_id, request.connection_id, {**data, **more})
