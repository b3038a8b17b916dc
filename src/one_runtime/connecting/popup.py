"""Load the data of the popup's pages, connect the end user's account, and cancel a session.

A session is the permission for one end user to connect one account. In the mode `embed`, the popup is a frame in the
app's page. In the modes `redirect` and `link`, the popup is a page in its own browser tab. In the mode `redirect`, the
popup ends with a code. The organization's backend redeems this code: the backend exchanges the code for the connection.
docs/security.md describes the rules for sessions (promises P4 and P6).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.auth_types import Auth, oauth2_of
from one_runtime.catalog.model import CustomIntegration, Integration
from one_runtime.catalog.popular import POPULARITY
from one_runtime.catalog.request import ConnectionValues, clean_values
from one_runtime.catalog.search import search
from one_runtime.connecting import authorization_attempts, redirect_mode, sessions
from one_runtime.connecting.redirect_mode import return_address
from one_runtime.connecting.sessions import ConnectSession, Mode, ended_error, unavailable_error
from one_runtime.connecting.verification import VerifiedAccount, verify_credentials
from one_runtime.connections import connections
from one_runtime.connections.connections import NewConnection, automatic_name
from one_runtime.connections.credentials import CheckFailed, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError, Unauthenticated
from one_runtime.explanations.stored_errors import error_note
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.availability import Availability
from one_runtime.tenancy import end_users, events, organizations
from one_runtime.tenancy.branding import DEFAULT_BRANDING, Branding
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.organizations import Organization

Presentation: TypeAlias = Literal["frame", "page"]
ShellState: TypeAlias = Literal["open", "unknown", "expired", "used", "failed", "cancelled", "no_origins"]

_UNRANKED: Final = 10_000
_SHELL_STATES: Final[Mapping[sessions.Status, ShellState]] = {
    "pending": "open",
    "connected": "used",
    "expired": "expired",
    "failed": "failed",
    "cancelled": "cancelled",
}


class IntegrationChanged(Conflict):
    """The organization changed the audience of a custom integration while the form was open (promise P7)."""

    code = "integration_changed"
    documentation = (
        (
            "In the popup: while the popup was open, your organization changed the custom integration. The integration "
            "now sends credentials to another place."
        ),
        "Open the popup again.",
    )


class WrongMode(Conflict):
    """The session's mode requires a frame, but the popup is a page in its own tab, or the reverse (promise P4)."""

    code = "wrong_mode"
    documentation = (
        "In the popup: the page does not fit the session's mode.",
        (
            "The mode `embed` works only in a frame on your page. The modes `redirect` and `link` work only in a "
            "browser tab."
        ),
    )


@dataclass(frozen=True, slots=True)
class PopupShell:
    """The state of a session, without its form.

    In the mode `embed`, the popup's first response contains only this data. The page's script then sends the session
    token and loads the form (`PopupView`). `return_to`: in the mode `redirect`, the URL of the app to which the browser
    returns.
    """

    state: ShellState
    session_id: str | None = None
    allowed_origins: tuple[str, ...] = ()
    organization_name: str | None = None
    mode: Mode = "embed"
    return_to: str | None = None
    branding: Branding = DEFAULT_BRANDING
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class IntegrationOption:
    """An integration in the list from which the end user picks.

    `rank`: the position among the integrations that the list shows first, or None. Connected integrations and custom
    integrations come before the popular ones.
    """

    integration: Integration
    connected: bool
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class PopupView:
    """An open session with the data of its page.

    The page shows `integration`. If `integration` is None, the page shows the list `options`. `reconnect`: True if the
    end user has a connection to the integration, which a new account can replace.
    """

    session: ConnectSession
    organization: Organization
    end_user: EndUser
    integration: Integration | None
    auths: tuple[Auth, ...] = ()
    reconnect: bool = False
    options: tuple[IntegrationOption, ...] = ()

    @property
    def can_go_back(self) -> bool:
        """Return True if the end user picked the integration from a list, and can return to the list."""
        return self.session.integration_slug is None and self.integration is not None


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A submitted form.

    `replace_account`: the question about replacing the present account (`AccountMismatch`), if the end user said yes.
    `connection`: the connection that the end user selected from several, `ADD`, or None.
    `integration_slug`: the integration that the end user picked, if the session names no integration.
    """

    auth_type: str
    params: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    name: str | None = None
    replace_account: str | None = None
    connection: str | None = None
    integration_slug: str | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The result of a session in which the end user connected an account.

    In the mode `redirect`, the URL `return_to` contains a code, and `connection_id` is None. The connection gets its id
    when the organization redeems the code.
    """

    connection_id: str | None
    integration_slug: str
    connection_name: str
    return_to: str | None = None


async def load_shell(
    installation: Installation,
    *,
    token: str | None = None,
    token_digest: str | None = None,
    session_id: str | None = None,
) -> PopupShell:
    """Return the state of a session.

    `connect.js` sends `token_digest`, the token's hash in hexadecimal digits, because a URL in a customer's page is not
    secret. After a reload, the browser sends `session_id`.
    """
    async with installation.database.read() as tx:
        if token is not None:
            session = await sessions.find_by_token(tx, token)
        elif token_digest is not None:
            session = await sessions.find_by_digest(tx, token_digest)
        else:
            session = await sessions.find_by_id(tx, session_id) if session_id else None
        if session is None:
            return PopupShell("unknown")
        organization = await organizations.get(tx, session.organization_id)
    now = installation.clock()
    origins = (session.allowed_origins or organization.allowed_origins) if session.mode == "embed" else ()
    state = _shell_state(session, origins, now)
    return PopupShell(
        state=state,
        session_id=session.id,
        allowed_origins=origins,
        organization_name=organization.display_name,
        mode=session.mode,
        return_to=_shell_return_address(session, state, now),
        branding=organization.branding,
        locale=session.locale,
    )


def _shell_state(session: ConnectSession, origins: tuple[str, ...], now: datetime) -> ShellState:
    state = _SHELL_STATES[session.state(now)]
    if state == "open" and session.unredeemed:
        return "used"
    return "no_origins" if state == "open" and session.mode == "embed" and not origins else state


def _shell_return_address(session: ConnectSession, state: ShellState, now: datetime) -> str | None:
    if state in {"open", "cancelled"}:
        return return_address(session, "cancelled")
    error = ended_error(session, now)
    return return_address(session, "error", **({"error": error.code} if error else {}))


async def load_view(
    installation: Installation,
    token: str,
    *,
    presentation: Presentation | None = "frame",
    session_id: str | None = None,
    integration_slug: str | None = None,
    opening: bool = True,
) -> PopupView:
    """Load the data to show for a session: the list of integrations, or one integration.

    The first call with `opening` marks the session as opened. An opened session lasts one hour. A call without
    `opening` changes nothing. The first page of the mode `link` calls without `opening`, because programs that scan
    links in messages also load this page.

    `presentation`: None for the list alone, which is the same in a frame and in a page. `session_id`: the session for
    which the server has sent the page, or None.

    Raises:
        Unauthenticated: the token is unknown, or belongs to another session than the page.
        SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts: the session has ended.
        WrongMode: the session's mode does not fit `presentation`.
        NotFound: the integration was deleted or is not enabled.
        IntegrationDisabled: the operator has disabled the integration.
    """
    now, database = installation.clock(), installation.database
    async with database.write() if opening else database.read() as tx:
        session = await sessions.find_by_token(tx, token)
        if session is not None and session_id not in {None, session.id}:
            raise Unauthenticated("This window was opened for another session. Open the window again from the app.")
        session = _require_open(session, presentation, now)
        if opening:
            await sessions.mark_opened(tx, session, now)
        organization = await organizations.get(tx, session.organization_id)
        end_user = await end_users.find(tx, session.organization_id, session.end_user_id)
        if end_user is None:  # a concurrent request deleted the end user and the session
            raise Unauthenticated("The end user of this session was deleted. Open the window again from the app.")
        clients = await oauth_clients.list_slugs(tx, session.organization_id)
        availability = Availability.of(organization, installation.disabled.slugs, clients)
        slug = session.integration_slug or integration_slug
        if slug is None:
            connected = await connections.list_connected_slugs(tx, session.organization_id, session.end_user_id)
            catalog = await installation.catalogs.of(tx, session.organization_id)
            options = [
                _option(integration, connected=integration.slug in connected)
                for integration in catalog.integrations
                if availability.auth_types(integration)
            ]
            options.sort(key=lambda option: _UNRANKED if option.rank is None else option.rank)  # else by name
            return PopupView(session, organization, end_user, None, options=tuple(options))
        integration = await installation.catalogs.get(tx, session.organization_id, slug)
        if integration is None or (session.integration_slug is None and not availability.offers(slug)):
            raise NotFound("This integration is not available here.")
        installation.disabled.require_enabled_for_end_user(slug, integration.name)
        present = await connections.list_at_integration(tx, session.organization_id, session.end_user_id, slug)
    auth_types = availability.working(integration)
    auths = [auth for auth in integration.auth if auth.type in auth_types and session.auth_type in {None, auth.type}]
    auths.sort(key=lambda auth: oauth2_of(auth) is None)  # signing in needs no key, so the popup shows it first
    reconnect = bool(present) and not session.multiple
    return PopupView(session, organization, end_user, integration, tuple(auths), reconnect)


async def search_list(installation: Installation, token: str, session_id: str | None, text: str) -> list[str]:
    """Return the slugs of the integrations in the list that match a text, the best match first.

    If the session names an integration, there is no list. Raises: see `load_view`.
    """
    view = await load_view(installation, token, presentation=None, session_id=session_id, opening=False)
    return [integration.slug for integration in search([option.integration for option in view.options], text)]


def _option(integration: Integration, *, connected: bool) -> IntegrationOption:
    first = connected or isinstance(integration, CustomIntegration)
    return IntegrationOption(integration, connected, 0 if first else POPULARITY.get(integration.slug))


def _require_open(session: ConnectSession | None, presentation: Presentation | None, now: datetime) -> ConnectSession:
    if session is None:
        raise Unauthenticated("This session is not known. Open the window again from the app.")
    if presentation not in {None, "frame" if session.mode == "embed" else "page"}:
        raise WrongMode(f"This page cannot show a session of the mode {session.mode}.")
    ended = ended_error(session, now)
    if ended is not None:
        raise ended
    return session


def validate_request(view: PopupView, request: SubmittedForm) -> tuple[Integration, Auth, ConnectionValues]:
    """Check a submitted form. Return the integration, the auth type and the values. Do not verify the credential.

    Raises: InvalidInput; IntegrationChanged.
    """
    session, integration = view.session, view.integration
    if request.integration_slug is not None and session.integration_slug not in {None, request.integration_slug}:
        raise InvalidInput.of("integration_slug", "must be the integration of this session, or must be left out")
    if integration is None:
        raise InvalidInput.of("integration_slug", "is required: send the integration that the end user picked")
    shown_at = session.opened_at or session.created_at
    if isinstance(integration, CustomIntegration) and integration.moved_at > shown_at:
        raise IntegrationChanged(
            f"{integration.name} was changed while this window was open. Open the window again from the app."
        )
    auth = next((auth for auth in view.auths if auth.type == request.auth_type), None)
    if auth is None:
        raise InvalidInput.of("auth_type", f"is not available for {integration.name}")
    return integration, auth, clean_values(auth, request.params, request.credentials)


async def connect(
    installation: Installation, view: PopupView, request: SubmittedForm, address: str | None
) -> Connected:
    """Verify the credential that the end user entered, store the connection, and end the session.

    After an error, the end user can try again. Only the tenth refused credential ends the session.
    """
    session, (integration, auth, values) = view.session, validate_request(view, request)
    if oauth2_of(auth) is not None:
        raise InvalidInput.of("auth_type", "must not be oauth2: oauth2 needs the provider's authorization page")
    actor, now = Actor(session.organization_id, "end_user", session.end_user_id, address), installation.clock()
    async with installation.database.write() as tx:  # count first: parallel checks then cannot exceed the limit
        if not await sessions.reserve_check(tx, session.id, now):
            raise await unavailable_error(tx, session, now)
    try:
        verified = await verify_credentials(installation, session.organization_id, integration, auth, values)
        connection = new_connection(session, verified, request.name)
        connection = replace(connection, agreed_to=request.replace_account, answer=request.connection)
        return await complete_session(installation, session, actor, connection)
    except OneRuntimeError as error:
        async with installation.database.write() as tx:
            await _record_failure(tx, session, actor, integration.slug, error, now)
        raise


async def _record_failure(
    tx: Transaction, session: ConnectSession, actor: Actor, slug: str, error: OneRuntimeError, now: datetime
) -> None:
    """Record a failed attempt. Only a CheckFailed counts towards the session's limit of ten attempts.

    The subclass PermissionMissing counts too, because an attacker could otherwise test any number of guessed keys. For
    all other errors, undo the count. The session's `last_error` shows only CheckFailed, ProviderUnavailable and
    TargetRefused. Other errors set `last_error` to None.
    """
    if isinstance(error, ProviderUnavailable | TargetRefused):
        await sessions.refund_check(tx, session.id, error_note(error.code, error.detail, now), now)
    elif not isinstance(error, CheckFailed):
        await sessions.refund_check(tx, session.id, None, now)
    else:
        note = error_note(error.code, error.summary, now)
        if await sessions.note_refusal(tx, session.id, note, now):
            subject = Subject(session.end_user_id, None, {"session_id": session.id, "integration_slug": slug})
            await events.record(tx, actor, EventType.HOSTED_CONNECTION_SESSION_FAILED, now, subject)


def new_connection(session: ConnectSession, verified: VerifiedAccount, name: str | None) -> NewConnection:
    """Return the connection to store for a verified account. `name`: the name that the end user entered, or None."""
    name = name or session.suggested_connection_name
    connection = verified.as_connection(session.end_user_id, name, session.metadata)
    target, multiple = session.target_connection_id, session.multiple
    return replace(connection, target=target, multiple=multiple)


async def complete_session(
    installation: Installation,
    session: ConnectSession,
    actor: Actor,
    connection: NewConnection,
    attempt_id: str | None = None,
) -> Connected:
    """Store the connection.

    In the modes `embed` and `link`, end the session in the same transaction. In the mode `redirect`, store the
    connection separately until the organization redeems the session's code (P6). `attempt_id`: the OAuth authorization
    attempt to end, or None.

    Raises:
        NotFound, AccountMismatch, AnswerOutdated, SeveralConnections: see `connections.create_or_replace`.
        SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts: the session has already ended.
    """
    now, vault, catalogs = installation.clock(), installation.vault, installation.catalogs
    if attempt_id is not None:
        vault = vault.for_issued_tokens()
    async with installation.database.write() as tx:
        if session.mode == "redirect":
            code = await redirect_mode.hold_connection(tx, vault, session, connection, now)
            return_to = return_address(session, "connected", code=code.secret)
            slug = connection.integration_slug
            integration_name = await catalogs.name_of(tx, session.organization_id, slug)
            name = connection.name or automatic_name(connection.account.label, integration_name)
            connected = Connected(None, slug, name, return_to)
        else:
            stored, _ = await connections.create_or_replace(tx, vault, catalogs, actor, connection, now)
            if not await sessions.complete(tx, session.id, stored.id, now):
                raise await unavailable_error(tx, session, now)
            connected = Connected(stored.id, stored.integration_slug, stored.name)
        if attempt_id is not None:
            await authorization_attempts.end(tx, attempt_id, "connected")
    return connected


async def cancel(installation: Installation, token: str) -> str | None:
    """Cancel a pending session. Return the URL to which the browser returns, or None in the modes `embed` and `link`.

    Raises: Unauthenticated for an unknown token.
    """
    async with installation.database.write() as tx:
        session = await sessions.find_by_token(tx, token)
        if session is None:
            raise Unauthenticated("This session is not known.")
        await sessions.cancel(tx, session.id, installation.clock())
    return return_address(session, "cancelled")
