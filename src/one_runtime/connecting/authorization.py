"""From the click to the provider's consent page and back: an OAuth 2.0 authorization, step by step (P5, P6).

1. `prepare`: our own page says what to connect, with its session token, and gets a ticket.
2. `leave`: a window swaps the ticket for the provider's address, a state in it and a secret for its cookie.
3. `come_back`: the callback brings the state, the cookie proves the browser; then the connection is made.
4. `outcome`: our own page asks how it went. It is never told by the window.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias

from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.catalog.received import UnexpectedValue
from one_runtime.catalog.request import Values
from one_runtime.connecting import account_selection, authorization_attempts, sessions
from one_runtime.connecting.account_selection import PausedAuthorization, issued_tokens
from one_runtime.connecting.authorization_attempts import (
    AttemptDetails,
    AttemptSecret,
    AuthorizationAttempt,
    NewAuthorizationAttempt,
    StartedAttempt,
)
from one_runtime.connecting.authorization_steps import (
    AccountSelection,
    AuthorizationExpired,
    AuthorizationFailed,
    AuthorizationOutcome,
    AuthorizationRedirect,
    CallbackResult,
    PreparedAuthorization,
    SelectedAccount,
    cookie_name,
    failure_code,
    reason_of,
)
from one_runtime.connecting.popup import (
    Connected,
    ConnectRequest,
    PopupFlow,
    Presentation,
    ValidatedRequest,
    address_back,
    over_error,
)
from one_runtime.connecting.sessions import ConnectSession, SessionExpired, TooManyAttempts, ended_error
from one_runtime.connecting.verification import (
    AccountSelectionRequired,
    GrantedTokens,
    VerifiedAccount,
    exchange_tokens,
    verify_tokens,
)
from one_runtime.connections import connections
from one_runtime.connections.connections import AccountMismatch
from one_runtime.connections.credentials import ProviderAccount
from one_runtime.connections.pending_revocations import RevocationCause, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.encryption import secret_tokens
from one_runtime.errors import InvalidInput, NotFound, OneRuntimeError, Unauthenticated, Unavailable, error_note
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import OAuthClient, OAuthClientMissing
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url, expected_issuer
from one_runtime.oauth.callback import AuthorizationResponse, CallbackQuery, callback_url, parse_callback, read_callback
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import CallbackRefused, OAuthError
from one_runtime.oauth.grants import AuthorizationCode
from one_runtime.oauth.pkce import code_challenge, new_code_verifier, uses_pkce
from one_runtime.oauth.scopes import requested_scopes
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.organizations import Organization
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.revocation import revoke_all

MAX_TRIPS: Final = 50
"""Consents of one session that may lead nowhere."""

ReadCookie: TypeAlias = Callable[[str], str | None]


class AuthorizationFlow:
    """The steps of one installation's consents."""

    def __init__(self, installation: Installation, flow: PopupFlow) -> None:
        self._installation = installation
        self._flow = flow

    async def prepare(
        self, token: str, request: ConnectRequest, *, door: Presentation, address: str | None = None
    ) -> PreparedAuthorization:
        """Everything about the consent but the provider's page. The session goes on, whatever comes of it.

        Raises: as `ConnectFlow.choose`; OAuthClientMissing; HostNotRegistered; InvalidInput.
        """
        chosen = await self._flow.choose(token, request, door=door, address=address)
        integration, auth, session = chosen.integration, chosen.auth, chosen.session
        if not isinstance(auth, OAuth2Auth):
            raise InvalidInput.of("auth_type", "only oauth2 has a consent page")
        now, vault = self._installation.clock(), self._installation.vault
        async with self._installation.database.write() as tx:
            if await authorization_attempts.count(tx, session.id) >= MAX_TRIPS:
                raise TooManyAttempts("Too many attempts failed in this session. Open the window again from the app.")
            client = await self._registered(tx, chosen, auth)
            if client is not None:
                oauth_clients.require_host(client, integration.name, auth, chosen.values.params)
            scopes = session.scopes or (client.scopes if client is not None else None)
            known = {**chosen.values.params, **({} if client is None else _open_fields(auth, client))}
            new = NewAuthorizationAttempt(
                session=session,
                integration_slug=integration.slug,
                oauth_client_id=client.id if client is not None else None,
                issuer=expected_issuer(auth, known),
                details=AttemptDetails(
                    chosen.values.params, scopes, request.name, request.replace_account, integration.audience("oauth2")
                ),
                secret=AttemptSecret(new_code_verifier() if uses_pkce(auth) else None, chosen.values.credentials),
            )
            consent, ticket = await authorization_attempts.create(tx, vault, new, now)
        return PreparedAuthorization(consent.id, ticket.secret)

    async def _registered(self, tx: Transaction, chosen: ValidatedRequest, auth: OAuth2Auth) -> OAuthClient | None:
        """The client that serves the organization; None where it is the customer's own. Raises: OAuthClientMissing."""
        if auth.client.owner == "customer":
            return None
        vault, slug = self._installation.vault, chosen.integration.slug
        client = await oauth_clients.find_for(tx, vault, chosen.session.organization_id, slug)
        if client is None:
            raise OAuthClientMissing(f"No OAuth client is configured for {chosen.integration.name}.")
        return client

    async def leave(self, ticket: str) -> AuthorizationRedirect:
        """Swap a ticket for the way to the provider, once. Raises: ConsentLost; whatever has ended the session."""
        now, installation = self._installation.clock(), self._installation
        async with installation.database.write() as tx:
            leaving = await authorization_attempts.start(tx, installation.vault, ticket, now)
            if leaving is None:
                raise AuthorizationExpired(
                    "This window was opened by nobody, or too long ago. Start again from the app."
                )
            session = await sessions.get(tx, leaving.consent.organization_id, leaving.consent.session_id)
            ended = ended_error(session, now)
            if ended is not None:
                raise ended
            integration, auth = await self._entry(tx, leaving.consent)
            client = await self._client_of(tx, leaving.consent)
        own = _client(client, leaving.secret)
        url = authorization_url(auth, own.client_id, self._request(leaving), _known(auth, leaving.consent, client))
        return AuthorizationRedirect(
            url=url,
            integration_name=integration.name,
            cookie=cookie_name(leaving.state.hash),
            secret=leaving.browser.secret,
        )

    def _request(self, leaving: StartedAttempt) -> AuthorizationRequest:
        verifier = leaving.secret.verifier
        return AuthorizationRequest(
            redirect_uri=self.callback_url(leaving.consent.integration_slug),
            state=leaving.state.secret,
            challenge=code_challenge(verifier) if verifier is not None else None,
            scopes=leaving.consent.details.scopes,
        )

    def callback_url(self, slug: str) -> str:
        """The redirect address to register with the provider: one for each integration."""
        return callback_url(self._installation.settings.public_url, slug)

    async def come_back(self, slug: str, query: bytes, cookie: ReadCookie, address: str | None) -> CallbackResult:
        """Take a callback, whoever brings it: nothing is believed before its state and its browser are known."""
        try:
            said = parse_callback(query)
        except CallbackRefused as error:
            return CallbackResult(problem=AuthorizationFailed(error.code, str(error)))
        taken = await self._take(slug, said, cookie)
        if isinstance(taken, CallbackResult):
            return taken
        arrived, cookie_of = taken
        session, details = arrived.session, arrived.consent.details
        actor = Actor(session.organization_id, "end_user", session.end_user_id, address)
        arrival = CallbackResult(
            session,
            arrived.integration,
            arrived.organization,
            cookie=cookie_of,
            params=details.params,
            name=details.name,
        )
        browser = cookie(cookie_of) or ""
        return await self._ended(arrived, arrival, actor, self._finish(arrived, said, actor, browser))

    async def _ended(
        self,
        arrived: "_Arrived",
        arrival: CallbackResult,
        actor: Actor,
        finish: "Awaitable[Connected | AccountSelection]",
    ) -> CallbackResult:
        """How it went; what went wrong is noted."""
        try:
            end = await finish
        except OneRuntimeError as error:
            await self._failed(arrived, actor, error)
            back = address_back(arrived.session, "error", error=failure_code(error))
            return replace(arrival, problem=error, return_to=back)
        if isinstance(end, AccountSelection):
            return replace(arrival, choosing=end, cookie=None)  # the browser still needs it
        return replace(arrival, connected=end)

    async def choose(self, choice: SelectedAccount, browser: str, address: str | None) -> CallbackResult:
        """Go on with one of several accounts, in the browser that came back."""
        now, installation = self._installation.clock(), self._installation
        async with installation.database.write() as tx:
            taken = await authorization_attempts.resume(tx, installation.vault, choice.consent_id, browser, now)
            if taken is None:
                return CallbackResult(problem=_lost())
            consent, kept = taken
            paused = account_selection.parse(kept)
            session = await sessions.get(tx, consent.organization_id, consent.session_id)
            organization = await organizations.get(tx, consent.organization_id)
            try:
                integration, auth = await self._entry(tx, consent)
            except NotFound as error:
                await authorization_attempts.end(tx, consent.id, "failed")
                return CallbackResult(session, None, organization, problem=error)
            client = await self._client_of(tx, consent)
        secret = AttemptSecret(credentials=paused.own)
        arrived = _Arrived(consent, secret, session, organization, integration, auth, client, choice.cookie)
        actor = Actor(session.organization_id, "end_user", session.end_user_id, address)
        chosen = paused.accounts[choice.number].params if choice.number < len(paused.accounts) else None
        granted = GrantedTokens(paused.tokens, paused.params, paused.own, client, paused.asked, chosen)
        arrival = CallbackResult(session, integration, organization, cookie=choice.cookie)
        return await self._ended(arrived, arrival, actor, self._connect(arrived, granted, actor, browser))

    async def _take(
        self, slug: str, said: CallbackQuery, cookie: ReadCookie
    ) -> "tuple[_Arrived, str] | CallbackResult":
        state, now, installation = said.state or "", self._installation.clock(), self._installation
        name = cookie_name(secret_tokens.digest(state))
        browser = cookie(name)
        lost = _lost()
        async with installation.database.write() as tx:
            found = await authorization_attempts.find_by_state(tx, state)
            if found is None or browser is None or found.integration_slug != slug:
                return CallbackResult(problem=lost)
            taken = await authorization_attempts.consume(tx, installation.vault, state, browser, now)
            if taken is None:
                return CallbackResult(problem=lost)
            consent, secret = taken
            session = await sessions.get(tx, consent.organization_id, consent.session_id)
            organization = await organizations.get(tx, consent.organization_id)
            try:
                integration, auth = await self._entry(tx, consent)
            except NotFound as error:  # the state is used up all the same
                await authorization_attempts.end(tx, consent.id, "failed")
                await sessions.note_error(tx, session.id, error_note(error.code, error.detail, now), now)
                return CallbackResult(session, None, organization, problem=error)
            client = await self._client_of(tx, consent)
        return _Arrived(consent, secret, session, organization, integration, auth, client, name), name

    async def _finish(
        self, arrived: "_Arrived", said: CallbackQuery, actor: Actor, browser: str
    ) -> Connected | AccountSelection:
        """Raises: OneRuntimeError, of which AuthorizationFailed for what the provider said."""
        now = self._installation.clock()
        ended = ended_error(arrived.session, now)
        if ended is not None:
            raise ended
        callback = self._read(arrived, said)
        return await self._connect(arrived, await self._granted(arrived, callback), actor, browser)

    async def _connect(
        self, arrived: "_Arrived", granted: GrantedTokens, actor: Actor, browser: str
    ) -> Connected | AccountSelection:
        """Raises: OneRuntimeError, after which what was granted is let go of."""
        account = ProviderAccount()
        try:
            await self._give_back(arrived.session)
            try:
                proof = await self._proof(arrived, granted)
            except AccountSelectionRequired as several:
                return await self._pause(arrived, granted, several, browser)
            account, chosen = proof.account, _chosen(arrived, actor)
            connected = await self._flow.complete(arrived.session, actor, chosen.new_connection(proof))
        except OneRuntimeError as error:
            await self._let_go(arrived, granted, account, error)
            raise
        with suppress(Unavailable):  # it is connected, whether this is noted or not
            async with self._installation.database.write() as tx:
                await authorization_attempts.end(tx, arrived.consent.id, "connected")
        return connected

    async def _pause(
        self, arrived: "_Arrived", granted: GrantedTokens, several: AccountSelectionRequired, browser: str
    ) -> AccountSelection:
        paused = PausedAuthorization(granted.tokens, granted.params, granted.own, granted.asked, several.accounts)
        kept, now = account_selection.dump(paused), self._installation.clock()
        async with self._installation.database.write() as tx:
            await authorization_attempts.pause(tx, self._installation.vault, arrived.consent, browser, kept, now)
        labels = tuple(account.label for account in several.accounts)
        return AccountSelection(arrived.consent.id, labels, arrived.cookie)

    def _read(self, arrived: "_Arrived", said: CallbackQuery) -> AuthorizationResponse:
        try:
            return read_callback(arrived.auth, said, arrived.own, arrived.consent.issuer)
        except OAuthError as error:
            raise AuthorizationFailed(error.code, str(error), error.reason) from error

    async def _granted(self, arrived: "_Arrived", callback: AuthorizationResponse) -> GrantedTokens:
        """The tokens for the code (RFC 6749, 4.1.3)."""
        known = _known(arrived.auth, arrived.consent, arrived.client, secret=True) | callback.received
        endpoint = TokenEndpoint(arrived.integration, arrived.auth, arrived.own, known)
        if arrived.client is not None:  # a value of the callback may have put another host there (P7)
            oauth_clients.require_host(arrived.client, arrived.integration.name, arrived.auth, known)
        redirect_uri = self.callback_url(arrived.integration.slug)
        grant = AuthorizationCode(callback.code, redirect_uri, arrived.secret.verifier)
        await self._count(arrived.session)
        try:
            given = await endpoint.ask(self._installation.egress, self._installation.clock, grant)
            given = await exchange_tokens(self._installation, endpoint, given)
        except OAuthError as error:
            if error.may_pass:
                await self._give_back(arrived.session)
            message = f"{arrived.integration.name} gave no access."
            raise AuthorizationFailed(error.code, message, error.reason, counts=not error.may_pass) from error
        asked = requested_scopes(arrived.auth.scopes, arrived.consent.details.scopes, known)
        params = {**arrived.consent.details.params, **callback.received}
        return GrantedTokens(given, params, arrived.secret.credentials, arrived.client, asked)

    async def _count(self, session: ConnectSession) -> None:
        """A code that is refused counts as a failed attempt: nobody tries codes at a provider without end."""
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            if not await sessions.reserve_check(tx, session.id, now):
                raise await over_error(tx, session, now)

    async def _give_back(self, session: ConnectSession) -> None:
        now = self._installation.clock()
        async with self._installation.database.write() as tx:
            await sessions.refund_check(tx, session.id, None, now)

    async def _proof(self, arrived: "_Arrived", granted: GrantedTokens) -> VerifiedAccount:
        try:
            return await verify_tokens(self._installation, arrived.integration, arrived.auth, granted)
        except UnexpectedValue as error:
            message = f"{arrived.integration.name} said something that does not fit: {error}."
            raise AuthorizationFailed("unexpected_value", message) from error

    async def _failed(self, arrived: "_Arrived", actor: Actor, error: OneRuntimeError) -> None:
        """Note it for the backend and for our page; the session goes on."""
        now, session = self._installation.clock(), arrived.session
        reason = reason_of(error)
        note = error_note(failure_code(error), reason or error.detail, now, reason)
        data = {"session_id": session.id, "integration_slug": arrived.integration.slug, "reason": failure_code(error)}
        subject = Subject(session.end_user_id, None, data)
        async with self._installation.database.write() as tx:
            await authorization_attempts.end(tx, arrived.consent.id, "failed")
            if await sessions.find_by_id(tx, session.id) is None:  # the end user was forgotten meanwhile
                return
            if isinstance(error, AuthorizationFailed) and error.counts:
                await sessions.note_refusal(tx, session.id, note, now)
            else:
                await sessions.note_error(tx, session.id, note, now)
            await events.record(tx, actor, "hosted_connection_session.failed", now, subject)

    async def _let_go(
        self, arrived: "_Arrived", granted: GrantedTokens, account: ProviderAccount, error: OneRuntimeError
    ) -> None:
        """Revoke tokens that were issued and are not connected (RFC 7009)."""
        installation, end_user_id = self._installation, arrived.session.end_user_id
        tokens = issued_tokens(arrived.consent, end_user_id, granted.params, granted.secrets, account.id)
        unconfirmed = isinstance(error, AccountMismatch)
        cause: RevocationCause = "replacement_not_confirmed" if unconfirmed else "authorization_failed"
        vault, catalogs, now = installation.vault, installation.catalogs, installation.clock()
        async with installation.database.write() as tx:
            pending = await queue_revocation(tx, vault, catalogs, tokens, cause, now)
        if pending is not None:
            await revoke_all(installation, [pending])

    async def outcome(self, token: str, consent_id: str) -> AuthorizationOutcome:
        """How a consent went, for the page that prepared it. Raises: Unauthenticated; NotFound."""
        now = self._installation.clock()
        async with self._installation.database.read() as tx:
            session = await sessions.find_by_token(tx, token)
            if session is None:
                raise Unauthenticated("This session is not known. Open the window again from the app.")
            organization = await organizations.get(tx, session.organization_id)
            consent = await authorization_attempts.find(tx, session.id, consent_id)
            slug = consent.integration_slug if consent is not None else ""
            integration = await self._installation.catalogs.get(tx, session.organization_id, slug)
            connection = None
            if session.state(now) == "connected" and session.connection_id is not None:
                connection = await connections.get(tx, session.organization_id, session.connection_id)
        if connection is not None:
            return AuthorizationOutcome(
                "connected", Connected(connection.id, connection.integration_slug, connection.name)
            )
        if consent is None:
            raise NotFound("There is no such consent. Start again.")
        ended = ended_error(session, now)
        if ended is not None:
            raise ended
        told = _outcome(consent, session, now)
        name = integration.name if integration is not None else slug
        return replace(told, integration_name=name, organization_name=organization.display_name)

    async def _entry(self, tx: Transaction, consent: AuthorizationAttempt) -> tuple[Integration, OAuth2Auth]:
        """The entry that the consent was begun with. Raises: NotFound, also where it sends tokens elsewhere by now."""
        integration = await self._installation.catalogs.get(tx, consent.organization_id, consent.integration_slug)
        auth = integration.auth_of("oauth2") if integration is not None else None
        if integration is None or not isinstance(auth, OAuth2Auth):
            raise NotFound("This integration is not offered here.")
        if integration.audience("oauth2") != consent.details.audience:
            raise NotFound("This integration was changed meanwhile. Start again from the app.")
        return integration, auth

    async def _client_of(self, tx: Transaction, consent: AuthorizationAttempt) -> OAuthClient | None:
        if consent.oauth_client_id is None:
            return None
        vault = self._installation.vault
        return await oauth_clients.get(tx, vault, consent.organization_id, consent.oauth_client_id)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A callback whose state and browser are those of a consent."""

    consent: AuthorizationAttempt
    secret: AttemptSecret
    session: ConnectSession
    organization: Organization
    integration: Integration
    auth: OAuth2Auth
    client: OAuthClient | None
    cookie: str

    @property
    def own(self) -> ClientIdentity:
        """The client as the protocol knows it."""
        return _client(self.client, self.secret)


def _lost() -> AuthorizationExpired:
    return AuthorizationExpired(
        "This page belongs to no authorization that this browser has under way: it was finished before, it took too "
        "long, or it was begun somewhere else. Start again from the app."
    )


def _client(registered: OAuthClient | None, secret: AttemptSecret) -> ClientIdentity:
    if registered is not None:
        return registered.client
    return ClientIdentity(secret.credentials.get("client_id", ""), secret.credentials.get("client_secret"))


def _open_fields(auth: OAuth2Auth, client: OAuthClient) -> dict[str, str]:
    """What of a client may stand in an address that passes through a browser."""
    secret = {part.name for part in auth.client.fields if part.secret}
    return {name: value for name, value in client.fields_of(auth).items() if name not in secret}


def _known(
    auth: OAuth2Auth, consent: AuthorizationAttempt, client: OAuthClient | None, *, secret: bool = False
) -> dict[str, str]:
    fields = {} if client is None else client.fields_of(auth) if secret else _open_fields(auth, client)
    return {**consent.details.params, **fields}


def _chosen(arrived: _Arrived, actor: Actor) -> ValidatedRequest:
    details = arrived.consent.details
    values = Values(dict(details.params), {})
    integration, auth, name = arrived.integration, arrived.auth, details.name
    return ValidatedRequest(arrived.session, actor, integration, auth, values, name, replaces=details.replace_account)


def _outcome(consent: AuthorizationAttempt, session: ConnectSession, now: datetime) -> AuthorizationOutcome:
    if consent.status in {"prepared", "left", "arrived", "choosing"} and now >= consent.expires_at:
        return AuthorizationOutcome(
            "failed", code=SessionExpired.code, message="Nobody came back from the provider in time."
        )
    if consent.status != "failed":
        return AuthorizationOutcome("waiting")
    error = session.last_error or {}
    return AuthorizationOutcome(
        "failed",
        code=error.get("code", "consent_lost"),
        message=error.get("message", ""),
        provider_reason=error.get("provider_reason"),
    )
