"""Call a provider for an agent, within the agent's policy, and return the response as data.

The calls use the proxy: its credentials, its limits and its request log.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import urlsplit

from one_runtime.agents.approvals import ExactCall, require_approval
from one_runtime.agents.caller import AgentCaller, require_active
from one_runtime.agents.hidden_writes import hides_write
from one_runtime.agents.response_bodies import MAX_RESPONSE
from one_runtime.agents.response_reading import Reading, ReceivedBody, read_response
from one_runtime.catalog.model import Integration
from one_runtime.catalog.operation import Access
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.catalog.request import inject
from one_runtime.connections.connections import Connection, SeveralConnections
from one_runtime.context import Installation
from one_runtime.egress.errors import UpstreamTooLarge
from one_runtime.egress.repeated_secrets import mask
from one_runtime.egress.response import StreamedResponse
from one_runtime.errors import InvalidInput, NotAllowed
from one_runtime.proxy import lookup
from one_runtime.proxy.concurrency import CallRecord, ProxyCalls
from one_runtime.proxy.lookup import ConnectRequired, EndUserConnection
from one_runtime.proxy.relay import ProxyRequest, call
from one_runtime.tenancy.agent_policy import READ_METHODS
from one_runtime.tokens.state import CredentialState

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

_MAX_CONNECTIONS: Final = 50
_RETURNED: Final = ("content-type", "etag", "last-modified", "link", "location", "retry-after")
_RETURNED_PREFIXES: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")
_HEADERS: Final = (("accept", "application/json"), ("accept-encoding", "gzip, deflate"))


class AccountRequired(ConnectRequired):
    """The end user has no usable connection to the integration. `integration`: the integration to connect."""

    def __init__(self, detail: str, integration: Integration) -> None:
        super().__init__(detail)
        self.integration = integration


@dataclass(frozen=True, slots=True)
class AgentCall:
    """A call of an agent. `connection`: the id or the label of a connection, or None if the end user has only one.

    - `path`, `query`: percent-encoded. The path is below the base URL of the integration, and begins with a slash.
    - `access`: what the listed function of the call does, or None for a call without a function.
    - `must_read`: True if the agent asked for a call that changes nothing.
    """

    integration_slug: str
    method: str
    path: str
    query: str = ""
    body: bytes | None = field(repr=False, default=None)
    headers: tuple[tuple[str, str], ...] = field(repr=False, default=())
    connection: str | None = None
    access: Access | None = None
    must_read: bool = False

    def can_write(self, integration: Integration | None) -> bool:
        """Return True if the call can change something at the provider. `integration`: None if it does not exist."""
        if self.access is not None:
            return self.access == "write"
        return self.method not in READ_METHODS or (integration is not None and integration.get_can_write is not None)


@dataclass(frozen=True, slots=True)
class AgentResponse:
    """The response of a provider. `body`: as the caller wanted to read it. `truncated`, `offset`: see `Shaped`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    connection: Connection
    truncated: str | None = None
    offset: int | None = None


class AgentCalls:
    """Makes the calls of agents."""

    def __init__(self, installation: Installation, proxy_calls: ProxyCalls) -> None:
        self._installation, self._proxy_calls = installation, proxy_calls

    async def call(
        self,
        caller: AgentCaller,
        requested: AgentCall,
        reading: Reading,
        *,
        request_id: str,
        run_id: str | None = None,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> AgentResponse:
        """Call the provider and return its response, whatever its status.

        `before_write`: called before One Runtime sends a call that can change something.

        Raises: NotAllowed; InvalidInput; NotFound for an unknown integration; AccountRequired; SeveralConnections;
        Unauthenticated if the token or the API key was revoked during the program; the exceptions of `relay.call`.
        """
        installation = self._installation
        async with installation.database.read() as tx:
            slug, organization_id = requested.integration_slug, caller.organization_id
            if run_id is not None:  # a program runs for up to a minute
                await require_active(tx, caller)
            integration = await installation.catalogs.get(tx, organization_id, slug)
            require_allowed(caller, requested, integration)
            writes = requested.can_write(integration)
            found = await lookup.list_of_end_user(tx, organization_id, caller.end_user_id, slug, limit=_MAX_CONNECTIONS)
            if not found:
                if integration is None:
                    raise unknown(slug, await installation.catalogs.of(tx, organization_id))
                raise AccountRequired(f"The end user has not connected {integration.name}.", integration)
            state = await lookup.open_connection(tx, installation, _choose(found, requested.connection))
        hosts = caller.policy.hosts
        if writes and caller.policy.access == "ask":
            hosts = await self._require_approval(caller, state, requested)
        record = CallRecord(
            connection=state.connection,
            api_key_id=caller.api_key_id,
            end_user_token_id=caller.end_user_token_id,
            member_id=caller.member_id,
            method=requested.method,
            path=requested.path,
            request_id=request_id,
            run_id=run_id,
            request_bytes=len(requested.body or b""),
        )
        with self._proxy_calls.track(record):
            if writes and before_write is not None:
                await before_write()
            try:
                async with call(installation, state, _proxy_request(requested, hosts), record) as response:
                    body = await _read(response, record)
            except ConnectRequired as error:
                if state.integration is None:
                    raise
                raise AccountRequired(error.detail, state.integration) from error
        return await self._answer(response, body, state.connection, reading)

    async def _answer(
        self, response: StreamedResponse, body: bytes, connection: Connection, reading: Reading
    ) -> AgentResponse:
        """Return the response of the provider as the caller wants to read it."""
        headers = _headers(response)
        received = ReceivedBody(
            body, _header(response, "content-encoding").lower(), headers.get("content-type", ""), [*response.secrets]
        )
        read = await read_response(self._installation.computing, connection.organization_id, received, reading)
        return AgentResponse(response.status, headers, read.data, connection, read.truncated, read.offset)

    async def _require_approval(
        self, caller: AgentCaller, state: CredentialState, requested: AgentCall
    ) -> frozenset[str]:
        """Require the end user's approval of a call, and use it up. Return the host to which the call may go.

        Raises: AccountRequired; ConnectRequired; ApprovalRequired; WriteRefused; NotAllowed.
        """
        integration, auth = state.integration, state.auth
        if integration is None or auth is None:
            raise ConnectRequired("The integration of this connection no longer exists.")
        if state.connection.status != "active":  # an approval would be used up without a call
            raise AccountRequired(f"The end user has to connect {integration.name} again.", integration)
        base_url = inject(auth, state.usable.values).base_url
        name = urlsplit(base_url).hostname or ""
        if caller.policy.hosts is not None and name not in caller.policy.hosts:
            raise NotAllowed(f"This agent may not send requests to {name}.")
        exact = ExactCall(
            integration,
            state.connection.id,
            state.connection.account_id,
            requested.method,
            base_url,
            requested.path,
            requested.query,
            requested.headers,
            requested.body,
            has_secret_path=auth.has_secret_path,
        )
        async with self._installation.database.write() as tx:
            await require_approval(tx, self._installation, caller, exact)
        return frozenset({name})


def require_allowed(caller: AgentCaller, requested: AgentCall, integration: Integration | None) -> None:
    """Check the call against the policy of the agent, except the hosts. Raises: NotAllowed; InvalidInput."""
    policy, method = caller.policy, requested.method
    if method not in METHODS:
        raise InvalidInput.of("method", f"must be one of {', '.join(METHODS)}")
    if not policy.allows_integration(requested.integration_slug):
        allowed = ", ".join(sorted(policy.integrations or ())) or "none"
        raise NotAllowed(f"This agent may not use {requested.integration_slug}. It may use: {allowed}.")
    if not policy.allows_method(method):
        raise NotAllowed(f"This agent may not send {method}. It may send: {', '.join(sorted(policy.methods or ()))}.")
    if not requested.can_write(integration):
        if hides_write(requested.query, requested.headers, requested.body):
            raise NotAllowed(
                "A call that reads may not have a parameter or a header that replaces the method, and no mutation of "
                "GraphQL."
            )
    elif requested.must_read or not policy.can_write:
        raise NotAllowed(_refusal(requested, integration, can_write=policy.can_write))


def _refusal(requested: AgentCall, integration: Integration | None, *, can_write: bool) -> str:
    """Return the reason why an agent cannot send a call that can change something."""
    if requested.access is not None or requested.method not in READ_METHODS or integration is None:
        return "This agent may only read. It may not change anything at a provider."
    other = " Send other calls with call_write." if can_write else ""
    return (
        f"At {integration.name}, a GET can change something. So an agent reads only with listed functions, not with a "
        f"path. tool_search with integration {integration.slug!r} finds the functions that read.{other}"
    )


def _choose(found: Sequence[EndUserConnection], wanted: str | None) -> EndUserConnection:
    """Return the connection that the agent means. Raises: InvalidInput; SeveralConnections."""
    if wanted is not None:
        named = [one for one in found if wanted in {one.connection.id, label_of(one.connection)}]
        if len(named) == 1:
            return named[0]
        raise InvalidInput.of(
            "connection", f"must be the id or the label of one of these connections: {_listed(found)}"
        )
    if found[0].is_chosen:
        return found[0]
    active = [one for one in found if one.connection.status == "active"]
    if len(active) > 1:
        _refuse_choice(active)
    return active[0] if active else found[0]


def _refuse_choice(found: Sequence[EndUserConnection]) -> NoReturn:
    raise SeveralConnections(
        f"The end user has {len(found)} connections to this integration. Repeat the call with `connection`, the id of "
        f"one of these connections: {_listed(found)}. If the task does not say which one, ask the end user.",
        [one.connection for one in found],
    )


def _listed(found: Sequence[EndUserConnection]) -> str:
    return "; ".join(f"{one.connection.id} ({label_of(one.connection)})" for one in found)


def label_of(connection: Connection) -> str:
    """Return the text by which a person recognizes the account of a connection."""
    return connection.account_label or connection.name


def _proxy_request(requested: AgentCall, hosts: frozenset[str] | None) -> ProxyRequest:
    headers = [(name.encode(), value.encode()) for name, value in (*_HEADERS, *requested.headers)]
    return ProxyRequest(
        method=requested.method,
        path=requested.path,
        query=requested.query,
        headers=tuple(headers),
        body=requested.body,
        retry=requested.method in READ_METHODS,
        hosts=hosts,
    )


async def _read(response: StreamedResponse, record: CallRecord) -> bytes:
    """Raises: UpstreamTooLarge."""
    pieces = bytearray()
    async for piece in response.body:
        record.count_response(len(piece))
        pieces += piece
        if len(pieces) > MAX_RESPONSE:
            raise UpstreamTooLarge(
                f"The response has more than {MAX_RESPONSE // 1024 // 1024} MB. Request less data, for example a "
                "smaller page."
            )
    return bytes(pieces)


def _header(response: StreamedResponse, wanted: str) -> str:
    return ",".join(value.decode("latin-1") for name, value in response.headers if name.lower() == wanted.encode())


def _headers(response: StreamedResponse) -> dict[str, str]:
    """Return the headers that an agent can need. A provider can repeat a secret in a name too."""
    names = dict.fromkeys(name.decode("latin-1").lower() for name, _ in response.headers)
    returned = [name for name in names if name in _RETURNED or name.startswith(_RETURNED_PREFIXES)]
    return {_masked(name, response): _masked(_header(response, name), response) for name in returned}


def _masked(text: str, response: StreamedResponse) -> str:
    return mask(text.encode(), response.secrets).decode()
