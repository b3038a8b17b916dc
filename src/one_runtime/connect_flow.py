"""From a hosted connection session to a connection: what the popup's pages ask for, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from one_runtime import connect_sessions, connections, credentials, end_users, events, organizations
from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.request import Values, clean_values
from one_runtime.connect_sessions import ConnectSession, error_note
from one_runtime.connections import Connection, NewConnection
from one_runtime.credentials import Account, CredentialsRefused, ProviderUnavailable
from one_runtime.db.engine import Transaction
from one_runtime.end_users import EndUser
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError, Unauthenticated
from one_runtime.events import Actor, Subject
from one_runtime.ids import new_id
from one_runtime.installation import Installation
from one_runtime.integrations import working_auth_types
from one_runtime.organizations import Organization
from one_runtime.tokens import Token

ShellState: TypeAlias = Literal["open", "unknown", "expired", "used", "failed", "cancelled", "no_origins"]


class SessionUsed(Conflict):
    """The session has made its connection."""

    code = "session_used"


class SessionCancelled(Conflict):
    """The session was cancelled."""

    code = "session_cancelled"


class SessionExpired(OneRuntimeError):
    """The session's time is over."""

    code, status, title = "session_expired", 410, "This session has expired"


class TooManyAttempts(OneRuntimeError):
    """The session's failed checks are used up."""

    code, status, title = "too_many_attempts", 429, "Too many attempts in this session"


@dataclass(frozen=True, slots=True)
class Shell:
    """What the page needs before it may show anything."""

    state: ShellState
    session_id: str | None = None
    allowed_origins: tuple[str, ...] = ()
    organization_name: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows."""

    session: ConnectSession
    organization: Organization
    end_user: EndUser
    integration: Integration
    auths: tuple[Auth, ...]
    reconnect: bool


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What the end user typed. `replace_account`: they agreed that another account takes the present one's place."""

    auth_type: str
    params: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    name: str | None = None
    replace_account: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection that was made."""

    connection_id: str
    integration_slug: str
    connection_name: str


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a customer's backend asks for; None leaves it to the organization's settings."""

    end_user: EndUser
    integration_slug: str
    expires_in: int = connect_sessions.DEFAULT_EXPIRES_IN
    auth_type: str | None = None
    target_connection_id: str | None = None
    multiple: bool = False
    suggested_connection_name: str | None = None
    allowed_origins: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


async def start(installation: Installation, actor: Actor, new: NewSession) -> tuple[ConnectSession, Token]:
    """Make a session and its token, which is shown once.

    Raises: NotFound for an unknown integration or connection; InvalidInput where it cannot be connected, saying what
    to do.
    """
    now = installation.clock()
    session = ConnectSession(
        id=new_id(),
        organization_id=actor.organization_id,
        end_user_id=new.end_user.end_user_id,
        integration_slug=new.integration_slug,
        mode="embed",
        status="pending",
        auth_type=new.auth_type,
        scopes=(),
        target_connection_id=new.target_connection_id,
        multiple=new.multiple,
        suggested_connection_name=new.suggested_connection_name,
        allowed_origins=organizations.clean_origins(new.allowed_origins),
        metadata=new.metadata,
        failed_checks=0,
        last_error=None,
        connection_id=None,
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(seconds=new.expires_in),
        opened_at=None,
    )
    async with installation.database.write() as tx:
        organization = await organizations.get(tx, actor.organization_id)
        _require_connectable(installation, organization, new)
        if new.target_connection_id is not None:
            await _require_target(tx, actor, new)
        await end_users.ensure(tx, actor.organization_id, new.end_user)
        token = await connect_sessions.create(tx, session)
        data = {"session_id": session.id, "integration_slug": new.integration_slug}
        subject = Subject(session.end_user_id, new.target_connection_id, data)
        await events.record(tx, actor, "hosted_connection_session.created", now, subject)
    return session, token


def _require_connectable(installation: Installation, organization: Organization, new: NewSession) -> None:
    integration = installation.catalog.get(new.integration_slug)
    if integration is None:
        raise NotFound(f"There is no integration {new.integration_slug!r}. /v1/catalog/integrations lists them.")
    if not organization.offers(integration.slug):
        raise InvalidInput.of(
            "integration_slug",
            f"{integration.name} is not enabled for your organization. Enable it with PUT /v1/organization.",
        )
    kinds = working_auth_types(integration)
    if new.auth_type is not None and new.auth_type not in kinds:
        raise InvalidInput.of("auth_type", f"{integration.name} can be connected by: {', '.join(kinds)}")
    if not (new.allowed_origins or organization.allowed_origins):
        raise InvalidInput.of(
            "allowed_origins",
            "name the origin of the page that opens the popup, here or once for all with PUT /v1/organization",
        )


async def _require_target(tx: Transaction, actor: Actor, new: NewSession) -> None:
    target = await connections.get(tx, actor.organization_id, new.target_connection_id or "")
    if (target.end_user_id, target.integration_slug) != (new.end_user.end_user_id, new.integration_slug):
        raise InvalidInput.of("connection_id", "is a connection of another end user or another integration")


class ConnectFlow:
    """The steps of one installation's popup."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def shell(self, *, token: str | None = None, session_id: str | None = None) -> Shell:
        """What may be shown for a token, or for a session's id (a reload); changes nothing."""
        async with self._installation.database.read() as tx:
            if token is not None:
                session = await connect_sessions.find_by_token(tx, token)
            else:
                session = await connect_sessions.find_by_id(tx, session_id) if session_id else None
            if session is None:
                return Shell("unknown")
            organization = await organizations.get(tx, session.organization_id)
        origins = session.allowed_origins or organization.allowed_origins
        return Shell(self._state(session, origins), session.id, origins, organization.display_name)

    def _state(self, session: ConnectSession, origins: tuple[str, ...]) -> ShellState:
        states: dict[str, ShellState] = {
            "pending": "open",
            "connected": "used",
            "expired": "expired",
            "failed": "failed",
            "cancelled": "cancelled",
        }
        state = states[session.state(self._installation.clock())]
        return "no_origins" if state == "open" and not origins else state

    async def view(self, token: str) -> View:
        """Everything that the page shows; the first call opens the session.

        Raises: Unauthenticated, SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts; NotFound where the
        integration has gone.
        """
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            session = await self._pending(await connect_sessions.find_by_token(tx, token), now)
            await connect_sessions.mark_opened(tx, session, now)
            organization = await organizations.get(tx, session.organization_id)
            end_user = await end_users.find(tx, session.organization_id, session.end_user_id)
            integration = self.integration(session)
            present = await connections.list_present(tx, session.organization_id, session.end_user_id, integration.slug)
        if end_user is None:  # the session would be gone with them
            raise Unauthenticated("This session's end user was deleted.")
        reconnect = bool(present) and not session.multiple
        return View(session, organization, end_user, integration, self.auths(integration, session), reconnect)

    async def _pending(self, session: ConnectSession | None, now: datetime) -> ConnectSession:
        if session is None:
            raise Unauthenticated("This session is not known. Open the window again from the app.")
        state = session.state(now)
        if state == "connected":
            raise SessionUsed("This session has made its connection. Open the window again to make another.")
        if state == "cancelled":
            raise SessionCancelled("This session was cancelled. Open the window again from the app.")
        if state == "failed":
            raise TooManyAttempts("Too many attempts failed in this session. Open the window again from the app.")
        if state == "expired":
            raise SessionExpired("This session has expired. Open the window again from the app.")
        return session

    def integration(self, session: ConnectSession) -> Integration:
        """The integration that a session is for. Raises: NotFound."""
        found = self._installation.catalog.get(session.integration_slug or "")
        if found is None:
            raise NotFound("This integration is not in the catalog any more.")
        return found

    def auths(self, integration: Integration, session: ConnectSession) -> tuple[Auth, ...]:
        """The ways to connect that this session offers."""
        return tuple(auth for auth in integration.auth if session.auth_type in {None, auth.type})

    async def connect(self, token: str, request: ConnectRequest, address: str | None = None) -> Connected:
        """Check what was typed with the provider and make the connection; the session is used up with it.

        Raises: as `view`; InvalidInput for fields, CredentialsRefused, ProviderUnavailable, AccountMismatch: after
        these the session goes on.
        """
        now = self._installation.clock()
        async with self._installation.database.read() as tx:
            session = await self._pending(await connect_sessions.find_by_token(tx, token), now)
        integration = self.integration(session)
        auth = next((one for one in self.auths(integration, session) if one.type == request.auth_type), None)
        if auth is None:
            raise InvalidInput.of("auth_type", f"{integration.name} is not connected this way here")
        values = clean_values(auth, request.params, request.credentials)
        actor = Actor(session.organization_id, "end_user", session.end_user_id, address)
        account = await self._check(session, actor, integration, auth, values)
        new = NewConnection(
            end_user_id=session.end_user_id,
            integration_slug=integration.slug,
            auth_type=auth.type,
            name=request.name or session.suggested_connection_name or account.label or integration.name,
            params=values.params,
            secrets=values.credentials,
            account=account,
            metadata=session.metadata,
            target=session.target_connection_id,
            multiple=session.multiple,
            agreed=request.replace_account,
        )
        connection = await self._finish(session, actor, new)
        return Connected(connection.id, connection.integration_slug, connection.name)

    async def _check(
        self, session: ConnectSession, actor: Actor, integration: Integration, auth: Auth, values: Values
    ) -> Account:
        """Run the provider's check, counted before it starts and given back where it told nothing."""
        database, now = self._installation.database, self._installation.clock()
        async with database.write() as tx:
            if not await connect_sessions.reserve_check(tx, session.id, now):
                raise TooManyAttempts("Too many attempts failed in this session. Open the window again from the app.")
        try:
            account = await credentials.check(self._installation.egress, integration, auth, values)
        except CredentialsRefused as refusal:
            note = error_note(refusal.code, refusal.provider_reason or refusal.detail, now)
            async with database.write() as tx:
                if await connect_sessions.note_refusal(tx, session.id, note, now):
                    data = {"session_id": session.id, "integration_slug": integration.slug}
                    subject = Subject(session.end_user_id, None, data)
                    await events.record(tx, actor, "hosted_connection_session.failed", now, subject)
            raise
        except ProviderUnavailable as outage:
            async with database.write() as tx:
                await connect_sessions.refund_check(tx, session.id, error_note(outage.code, outage.detail, now), now)
            raise
        async with database.write() as tx:
            await connect_sessions.refund_check(tx, session.id, None, now)
        return account

    async def _finish(self, session: ConnectSession, actor: Actor, new: NewConnection) -> Connection:
        """The connection, its sealed credentials, its event and the session's end: one transaction."""
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            connection, _ = await connections.connect(tx, self._installation.vault, actor, new, now)
            if not await connect_sessions.complete(tx, session.id, connection.id, now):
                current = await connect_sessions.get(tx, session.organization_id, session.id)
                await self._pending(current, now)
                raise SessionUsed("This session is over. Open the window again from the app.")
        return connection

    async def cancel(self, token: str) -> None:
        """End the session; a session that is over stays as it is. Raises: Unauthenticated for an unknown token."""
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            session = await connect_sessions.find_by_token(tx, token)
            if session is None:
                raise Unauthenticated("This session is not known.")
            await connect_sessions.cancel(tx, session.id, now)
