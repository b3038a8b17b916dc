"""From a hosted connection session to a connection: what the popup's pages ask for, step by step."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Auth, CustomIntegration, Integration
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.catalog.request import Values, clean_values
from one_runtime.connecting import redirect_mode, sessions
from one_runtime.connecting.sessions import (
    ConnectSession,
    Mode,
    TooManyAttempts,
    ended_error,
)
from one_runtime.connecting.verification import ConnectionTarget, VerifiedAccount, verify_credentials
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, NewConnection
from one_runtime.connections.credentials import CredentialsRefused, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.encryption import secret_tokens
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError, Unauthenticated, error_note
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.availability import available_auth_types
from one_runtime.tenancy import end_users, events, organizations
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.organizations import Organization

Presentation: TypeAlias = Literal["frame", "page"]
"""Where the popup is shown: framed by the app (mode embed), or at top level (redirect and link)."""
ShellState: TypeAlias = Literal["open", "unknown", "expired", "used", "failed", "cancelled", "no_origins"]


class IntegrationChanged(Conflict):
    """The organization has changed where its integration sends credentials since the end user was shown it (P7)."""

    code = "integration_changed"


class WrongMode(Conflict):
    """The session is for another door: a frame inside the app, or a page of its own (P4)."""

    code = "wrong_mode"


@dataclass(frozen=True, slots=True)
class PopupShell:
    """What the page needs before it may show anything. `return_to`: where the browser goes back to, where the mode is
    redirect."""

    state: ShellState
    session_id: str | None = None
    allowed_origins: tuple[str, ...] = ()
    organization_name: str | None = None
    mode: Mode = "embed"
    return_to: str | None = None


@dataclass(frozen=True, slots=True)
class IntegrationOption:
    """An integration that the end user may pick."""

    integration: Integration
    connected: bool


@dataclass(frozen=True, slots=True)
class PopupView:
    """What the page shows. Without an integration there are choices."""

    session: ConnectSession
    organization: Organization
    end_user: EndUser
    integration: Integration | None
    auths: tuple[Auth, ...] = ()
    reconnect: bool = False
    choices: tuple[IntegrationOption, ...] = ()

    @property
    def can_go_back(self) -> bool:
        """Whether the end user picked the integration, and may pick another."""
        return self.session.integration_slug is None and self.integration is not None


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What the end user typed. `replace_account`: they agreed that another account takes the present one's place.
    `integration_slug`: what they picked, where the session names none."""

    auth_type: str
    params: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    name: str | None = None
    replace_account: bool = False
    integration_slug: str | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection that was made. In the mode redirect it has no id yet: it counts once the organization redeems the
    code in `return_to`, where the browser goes."""

    connection_id: str | None
    integration_slug: str
    connection_name: str
    return_to: str | None = None


@dataclass(frozen=True, slots=True)
class ValidatedRequest:
    """What the end user wants to connect, and who they are. `replaces`: another account may take the present one's
    place."""

    session: ConnectSession
    actor: Actor
    integration: Integration
    auth: Auth
    values: Values
    name: str | None
    replaces: bool = False

    def new_connection(self, verified: VerifiedAccount) -> NewConnection:
        """Return the connection to store for this request."""
        name = self.name or self.session.suggested_connection_name or verified.account.label or self.integration.name
        return verified.as_connection(
            ConnectionTarget(
                end_user_id=self.session.end_user_id,
                name=name,
                metadata=self.session.metadata,
                connection_id=self.session.target_connection_id,
                multiple=self.session.multiple,
                replace_account=self.replaces,
            )
        )


class PopupFlow:
    """The steps of one installation's popup."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def shell(self, *, token: str | None = None, session_id: str | None = None) -> PopupShell:
        """What may be shown for a token, or for a session's id (a reload); changes nothing."""
        async with self._installation.database.read() as tx:
            if token is not None:
                session = await sessions.find_by_token(tx, token)
            else:
                session = await sessions.find_by_id(tx, session_id) if session_id else None
            if session is None:
                return PopupShell("unknown")
            organization = await organizations.get(tx, session.organization_id)
        origins = (session.allowed_origins or organization.allowed_origins) if session.mode == "embed" else ()
        state = self._state(session, origins)
        return PopupShell(
            state=state,
            session_id=session.id,
            allowed_origins=origins,
            organization_name=organization.display_name,
            mode=session.mode,
            return_to=self._way_back(session, state),
        )

    def _way_back(self, session: ConnectSession, state: ShellState) -> str | None:
        if state in {"open", "cancelled"}:
            return address_back(session, "cancelled")
        error = ended_error(session, self._installation.clock())
        return address_back(session, "error", **({"error": error.code} if error else {}))

    def _state(self, session: ConnectSession, origins: tuple[str, ...]) -> ShellState:
        states: dict[str, ShellState] = {
            "pending": "open",
            "connected": "used",
            "expired": "expired",
            "failed": "failed",
            "cancelled": "cancelled",
        }
        state = states[session.state(self._installation.clock())]
        if state == "open" and session.unredeemed:
            return "used"
        return "no_origins" if state == "open" and session.mode == "embed" and not origins else state

    async def view(
        self, token: str, *, door: Presentation = "frame", integration_slug: str | None = None, opening: bool = True
    ) -> PopupView:
        """Everything that the page shows: the choices, or one integration. The first call opens the session, unless
        it is not `opening`: a page that must not live on because a scanner of links looked at it.

        Raises: Unauthenticated, SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts, WrongMode; NotFound
        where the integration has gone or is not offered.
        """
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            session = self._pending(await sessions.find_by_token(tx, token), door, now)
            if opening:
                await sessions.mark_opened(tx, session, now)
            organization = await organizations.get(tx, session.organization_id)
            end_user = await end_users.find(tx, session.organization_id, session.end_user_id)
            if end_user is None:  # the session would be gone with them
                raise Unauthenticated("This session's end user was deleted.")
            clients = await oauth_clients.list_slugs(tx, session.organization_id)
            slug = session.integration_slug or integration_slug
            if slug is None:
                connected = await connections.list_connected_slugs(tx, session.organization_id, session.end_user_id)
                catalog = await self._installation.catalogs.of(tx, session.organization_id)
                choices = _choices(catalog, organization, connected, clients)
                return PopupView(session, organization, end_user, None, choices=choices)
            integration = await self._integration(tx, session, organization, slug)
            present = await connections.list_at_integration(tx, session.organization_id, session.end_user_id, slug)
        reconnect = bool(present) and not session.multiple
        return PopupView(session, organization, end_user, integration, _auths(integration, session, clients), reconnect)

    def _pending(self, session: ConnectSession | None, door: Presentation, now: datetime) -> ConnectSession:
        if session is None:
            raise Unauthenticated("This session is not known. Open the window again from the app.")
        if door != ("frame" if session.mode == "embed" else "page"):
            raise WrongMode(f"A session of the mode {session.mode} cannot be used this way.")
        ended = ended_error(session, now)
        if ended is not None:
            raise ended
        return session

    async def _integration(
        self, tx: Transaction, session: ConnectSession, organization: Organization, slug: str
    ) -> Integration:
        """The integration that the session names, or one that the end user may pick."""
        found = await self._installation.catalogs.get(tx, session.organization_id, slug)
        if found is None or (session.integration_slug is None and not organization.offers(slug)):
            raise NotFound("This integration is not offered here.")
        return found

    async def connect(
        self, token: str, request: ConnectRequest, *, door: Presentation = "frame", address: str | None = None
    ) -> Connected:
        """Check what was typed with the provider and make the connection; the session is used up with it.

        Raises: as `view`; InvalidInput for fields, CredentialsRefused, ProviderUnavailable, AccountMismatch: after
        these the session goes on.
        """
        chosen = await self.choose(token, request, door=door, address=address)
        if isinstance(chosen.auth, OAuth2Auth):
            raise InvalidInput.of("auth_type", "oauth2 goes through the provider's own consent page")
        proof = await self._prove(chosen)
        return await self.complete(chosen.session, chosen.actor, chosen.new_connection(proof))

    async def choose(
        self, token: str, request: ConnectRequest, *, door: Presentation, address: str | None = None
    ) -> ValidatedRequest:
        """What the end user wants to connect, and how, after everything about it was looked at but the credential.

        Raises: as `view`; InvalidInput for fields.
        """
        now = self._installation.clock()
        async with self._installation.database.read() as tx:
            session = self._pending(await sessions.find_by_token(tx, token), door, now)
            organization = await organizations.get(tx, session.organization_id)
            clients = await oauth_clients.list_slugs(tx, session.organization_id)
            integration = await self._integration(tx, session, organization, _picked(session, request))
        shown_at = session.opened_at or session.created_at
        if isinstance(integration, CustomIntegration) and integration.moved_at > shown_at:
            raise IntegrationChanged(
                f"{integration.name} was changed while this window was open. Open the window again from the app."
            )
        auth = next((one for one in _auths(integration, session, clients) if one.type == request.auth_type), None)
        if auth is None:
            raise InvalidInput.of("auth_type", f"{integration.name} is not connected this way here")
        values = clean_values(auth, request.params, request.credentials)
        actor = Actor(session.organization_id, "end_user", session.end_user_id, address)
        return ValidatedRequest(
            session, actor, integration, auth, values, request.name, replaces=request.replace_account
        )

    async def complete(self, session: ConnectSession, actor: Actor, new: NewConnection) -> Connected:
        """Make the connection, or in the mode redirect keep it until the organization redeems the code.

        Raises: AccountMismatch, after which the session goes on; whatever has ended it meanwhile.
        """
        if session.mode == "redirect":
            return await self._hold(session, new)
        connection = await self._finish(session, actor, new)
        return Connected(connection.id, connection.integration_slug, connection.name)

    async def _prove(self, chosen: ValidatedRequest) -> VerifiedAccount:
        """Run the provider's check, counted before it starts and given back where it told nothing."""
        database, now, session = self._installation.database, self._installation.clock(), chosen.session
        async with database.write() as tx:
            if not await sessions.reserve_check(tx, session.id, now):
                raise await over_error(tx, session, now)
        try:
            proof = await verify_credentials(self._installation, chosen.integration, chosen.auth, chosen.values)
        except CredentialsRefused as refusal:
            note = error_note(refusal.code, refusal.provider_reason or refusal.detail, now)
            async with database.write() as tx:
                if await sessions.note_refusal(tx, session.id, note, now):
                    data = {"session_id": session.id, "integration_slug": chosen.integration.slug}
                    subject = Subject(session.end_user_id, None, data)
                    await events.record(tx, chosen.actor, "hosted_connection_session.failed", now, subject)
            raise
        except ProviderUnavailable as outage:
            async with database.write() as tx:
                await sessions.refund_check(tx, session.id, error_note(outage.code, outage.detail, now), now)
            raise
        async with database.write() as tx:
            await sessions.refund_check(tx, session.id, None, now)
        return proof

    async def _finish(self, session: ConnectSession, actor: Actor, new: NewConnection) -> Connection:
        """The connection, its sealed credentials, its event and the session's end: one transaction."""
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            vault, catalogs = self._installation.vault, self._installation.catalogs
            connection, _ = await connections.create_or_replace(tx, vault, catalogs, actor, new, now)
            if not await sessions.complete(tx, session.id, connection.id, now):
                raise await over_error(tx, session, now)
        return connection

    async def _hold(self, session: ConnectSession, new: NewConnection) -> Connected:
        """What was connected, sealed and kept apart until the organization redeems the code (P6)."""
        now, code = self._installation.clock(), secret_tokens.make(secret_tokens.CODE)
        async with self._installation.database.write() as tx:
            await connections.require_replaceable(tx, session.organization_id, new)
            if not await sessions.hold(tx, session.id, code, now):
                raise await over_error(tx, session, now)
            due_at = now + sessions.TIME_TO_REDEEM
            await redirect_mode.store_unredeemed(tx, self._installation.vault, session, new, due_at)
        back = address_back(session, "connected", code=code.secret)
        return Connected(None, new.integration_slug, new.name or new.integration_slug, back)

    async def cancel(self, token: str) -> str | None:
        """End the session; a session that is over stays as it is. Where the browser goes back to, in the mode redirect.

        Raises: Unauthenticated for an unknown token.
        """
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            session = await sessions.find_by_token(tx, token)
            if session is None:
                raise Unauthenticated("This session is not known.")
            await sessions.cancel(tx, session.id, now)
        return address_back(session, "cancelled")


def _choices(
    catalog: Catalog, organization: Organization, connected: Collection[str], clients: Collection[str]
) -> tuple[IntegrationOption, ...]:
    return tuple(
        IntegrationOption(one, one.slug in connected)
        for one in catalog.integrations
        if organization.offers(one.slug) and available_auth_types(one, clients)
    )


def _picked(session: ConnectSession, request: ConnectRequest) -> str:
    """The slug that the session names, or what the end user picked. Raises: InvalidInput."""
    if request.integration_slug not in {None, session.integration_slug} and session.integration_slug is not None:
        raise InvalidInput.of("integration_slug", "is not the one that this session is for")
    slug = session.integration_slug or request.integration_slug
    if slug is None:
        raise InvalidInput.of("integration_slug", "is required: what the end user picked")
    return slug


def _auths(integration: Integration, session: ConnectSession, clients: Collection[str]) -> tuple[Auth, ...]:
    kinds = available_auth_types(integration, clients)
    return tuple(one for one in integration.auth if one.type in kinds and session.auth_type in {None, one.type})


async def over_error(tx: Transaction, session: ConnectSession, now: datetime) -> OneRuntimeError:
    """Why the session takes no connection: another request was faster, or as many as may be are under way."""
    current = await sessions.get(tx, session.organization_id, session.id)
    return ended_error(current, now) or TooManyAttempts(
        "Too many attempts failed in this session. Open the window again from the app."
    )


def address_back(
    session: ConnectSession, status: Literal["connected", "cancelled", "error"], **more: str
) -> str | None:
    """The session's return URL with how it ended; whatever the app keeps in the query itself stays."""
    if session.return_url is None:
        return None
    told = {"session_id": session.id, "status": status, **more}
    address, _, query = session.return_url.partition("?")
    ours = {*told, "code", "error"}
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in ours]
    return f"{address}?{urlencode([*kept, *told.items()])}"
