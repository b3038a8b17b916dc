"""Run the OAuth 2.0 authorization of a connect session, from the end user's click to the new connection.

A session is the permission for one end user to connect one account. An authorization attempt has four steps:

1. `prepare_authorization`: our page submits the form with the session token, and receives a one-time token (ticket).
2. `start_authorization`: the page opens a window, and the window sends the ticket. The window receives a cookie, and
   the URL of the provider's authorization page. The URL contains a state.
3. `handle_callback`: the provider redirects the browser to One Runtime with the state (this redirect is the callback).
   The browser also sends the cookie (promise P5 of docs/security.md). One Runtime requests tokens and makes the
   connection. If the end user has to decide first, `answer_question` makes the connection later.
4. `authorization_outcome.get_outcome`: our page asks the server for the outcome, because the page does not trust
   messages from the window.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from one_runtime.catalog.auth_types import oauth2_of
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import AuthorizationCode
from one_runtime.catalog.model import Integration
from one_runtime.catalog.response import UnexpectedValue
from one_runtime.connecting import account_selection, authorization_attempts, authorization_outcome, sessions
from one_runtime.connecting.account_lookup import AccountSelectionRequired
from one_runtime.connecting.account_selection import AccountSelection, AnsweredQuestion, Question, issued_tokens
from one_runtime.connecting.authorization_attempts import (
    AttemptDetails,
    AttemptSecret,
    AuthorizationAttempt,
    AuthorizationExpired,
    AuthorizationFailed,
    BrowserBinding,
    cookie_name,
    failure_code,
    provider_reason,
)
from one_runtime.connecting.popup import (
    Connected,
    PopupView,
    SubmittedForm,
    complete_session,
    new_connection,
    validate_request,
)
from one_runtime.connecting.redirect_mode import return_address
from one_runtime.connecting.sessions import (
    ConnectSession,
    TooManyAttempts,
    ended_error,
    unavailable_error,
)
from one_runtime.connecting.verification import (
    GrantedTokens,
    exchange_tokens,
    verify_tokens,
)
from one_runtime.connections.connections import AccountMismatch, SeveralConnections
from one_runtime.connections.credentials import CheckFailed, PermissionMissing
from one_runtime.connections.pending_revocations import RevocationCause, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import InvalidInput, NotFound, OneRuntimeError
from one_runtime.explanations.stored_errors import error_note
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url, expected_issuer
from one_runtime.oauth.callback import AuthorizationResponse, CallbackQuery, callback_url, parse_callback, read_callback
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import CallbackRefused, EndpointUnreachable, OAuthError
from one_runtime.oauth.pkce import code_challenge, new_code_verifier
from one_runtime.oauth.scopes import requested_scopes
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.organizations import Organization
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.revocation import revoke_all

MAX_ATTEMPTS: Final = 50

log = Logger()

ReadBinding: TypeAlias = Callable[[str], BrowserBinding | None]


@dataclass(frozen=True, slots=True)
class AuthorizationRedirect:
    """The URL of the provider's authorization page, and the cookie that binds the attempt to the browser."""

    url: str = field(repr=False)
    integration_name: str
    binding: BrowserBinding


@dataclass(frozen=True, slots=True)
class CallbackContext:
    """The data for the steps after a callback. `reserved`: True if the session has counted the attempt."""

    attempt: AuthorizationAttempt
    secret: AttemptSecret
    session: ConnectSession
    organization: Organization
    integration: Integration
    auth: OAuth2Auth
    client: OAuthClient | None
    binding: BrowserBinding
    actor: Actor
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class CallbackResult:
    """The result of a callback. Exactly one of `connected`, `selection` and `problem` is set.

    The other fields describe the attempt. Without a pending attempt of this browser, the other fields are None.
    """

    connected: Connected | None = None
    selection: AccountSelection | None = None
    problem: OneRuntimeError | None = None
    session: ConnectSession | None = None
    organization: Organization | None = None
    integration: Integration | None = None
    details: AttemptDetails | None = None
    binding: BrowserBinding | None = None

    @property
    def return_to(self) -> str | None:
        """Return the URL to which the browser returns in the mode `redirect`. In other modes, return None."""
        if self.connected is not None:
            return self.connected.return_to
        if self.session is None or self.problem is None:
            return None
        return return_address(self.session, "error", error=failure_code(self.problem))


async def prepare_authorization(
    installation: Installation, view: PopupView, request: SubmittedForm
) -> tuple[str, SecretToken]:
    """Create an authorization attempt for a submitted form. Return the attempt's id, and the ticket to start it.

    If this function raises an error, the session stays open.

    Raises: InvalidInput, IntegrationChanged, TooManyAttempts, OAuthClientMissing or HostNotRegistered.
    """
    session, (integration, requested_auth, values) = view.session, validate_request(view, request)
    auth = oauth2_of(requested_auth)
    if auth is None:
        raise InvalidInput.of("auth_type", "must be oauth2: other auth types have no authorization page")
    vault, now, audience = installation.vault, installation.clock(), integration.audience("oauth2")
    secret = AttemptSecret(new_code_verifier() if auth.uses_pkce else None, values.credentials)
    async with installation.database.write() as tx:
        if await authorization_attempts.count(tx, session.id) >= MAX_ATTEMPTS:
            raise TooManyAttempts
        client = await oauth_clients.require(tx, vault, session.organization_id, integration, auth, values.params)
        scopes = session.scopes or (client.scopes if client is not None else None)
        attempt = AuthorizationAttempt(
            id=new_id(),
            session_id=session.id,
            organization_id=session.organization_id,
            integration_slug=integration.slug,
            oauth_client_id=client.id if client is not None else None,
            status=authorization_attempts.PREPARED,
            issuer=expected_issuer(auth, {**values.params, **_public_fields(auth, client)}),
            details=AttemptDetails(values.params, scopes, request.name, request.replace_account, audience),
            created_at=now,
            expires_at=now + authorization_attempts.TICKET_LIFE,
        )
        ticket = await authorization_attempts.create(tx, vault, attempt, secret)
    return attempt.id, ticket


async def start_authorization(installation: Installation, ticket: str) -> AuthorizationRedirect:
    """Exchange a ticket for the URL of the provider's authorization page. Each ticket works only once.

    Raises:
        AuthorizationExpired: the ticket was used or has expired.
        NotFound: the integration was changed or deleted.
        OAuthClientMissing: the OAuth client was deleted.
        IntegrationDisabled: the operator has disabled the integration.
        SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts: the session has ended.
    """
    now, vault = installation.clock(), installation.vault
    state, browser = secret_tokens.make(secret_tokens.STATE), secret_tokens.make(secret_tokens.BROWSER)
    async with installation.database.write() as tx:
        started = await authorization_attempts.start(tx, vault, ticket, state, browser, now)
        if started is None:
            raise AuthorizationExpired("This sign-in link has expired or was used. Start again from the app.")
        attempt, secret = started
        session = await sessions.get(tx, attempt.organization_id, attempt.session_id)
        ended = ended_error(session, now)
        if ended is not None:
            raise ended
        integration, auth = await _load_integration(tx, installation, attempt)
        installation.disabled.require_enabled_for_end_user(integration.slug, integration.name)
        client = await _load_client(tx, installation, attempt)
    request = AuthorizationRequest(
        redirect_uri=callback_url(installation.settings.public_url, integration.slug),
        state=state.secret,
        challenge=code_challenge(secret.verifier) if secret.verifier is not None else None,
        scopes=attempt.details.scopes,
    )
    known = {**attempt.details.params, **_public_fields(auth, client)}
    url = authorization_url(auth, _client_identity(client, secret).client_id, request, known)
    binding = BrowserBinding(cookie_name(state.secret), browser.secret)
    return AuthorizationRedirect(url, integration.name, binding)


async def handle_callback(
    installation: Installation, slug: str, query_string: bytes, read_binding: ReadBinding, address: str | None
) -> CallbackResult:
    """Handle a callback. Accept the callback only if the state and the cookie belong to a pending attempt (P5)."""
    try:
        query = parse_callback(query_string)
    except CallbackRefused as error:
        return CallbackResult(problem=AuthorizationFailed(error.code, str(error)))
    state = query.state or ""
    if not secret_tokens.recognize(secret_tokens.STATE, state):
        return CallbackResult(problem=_expired())
    binding, now = read_binding(cookie_name(state)), installation.clock()
    async with installation.database.write() as tx:
        browser = binding.secret if binding is not None else ""
        consumed = await authorization_attempts.consume(tx, installation.vault, state, browser, slug, now)
        if binding is None or consumed is None:
            await authorization_outcome.note_browser_mismatch(tx, state, slug, now)
            return CallbackResult(problem=_expired())
        # Without the key, this server could not store the tokens. The error rolls back `consume`, so another server can
        # still handle the callback.
        await key_ring.require_active_key(tx, installation.vault)
        context = await _load_context(tx, installation, *consumed, binding, address)
        if isinstance(context, CallbackResult):
            return context
        try:
            installation.disabled.require_enabled_for_end_user(context.integration.slug, context.integration.name)
            callback = await _accept_callback(tx, context, query, now)
        except OneRuntimeError as error:
            return await _record_failure(tx, context, error, now)
    context = replace(context, reserved=True)
    endpoint = _token_endpoint(context, callback)
    try:
        granted = await _exchange_code(installation, context, endpoint, callback)
    except OneRuntimeError as error:
        async with installation.database.write() as tx:
            return await _record_failure(tx, context, error, installation.clock())
    try:
        granted = await _exchange_short_lived(installation, context, endpoint, granted)
    except OneRuntimeError as error:
        return await _fail(installation, context, granted, error, "authorization_failed", None)
    return await _connect(installation, context, granted)


async def answer_question(
    installation: Installation, authorization_id: str, number: int, binding: BrowserBinding | None, address: str | None
) -> CallbackResult:
    """Continue with the end user's answer: the position of the selected account or connection, `REPLACE` or `KEEP`.

    Accept the answer only from the browser that sent the callback.
    """
    if binding is None:
        return CallbackResult(problem=_expired())
    now, vault = installation.clock(), installation.vault
    async with installation.database.write() as tx:
        resumed = await authorization_attempts.resume(tx, vault, authorization_id, binding.secret, now)
        if resumed is None:
            return CallbackResult(problem=_expired())
        attempt, payload = resumed
        context = await _load_context(tx, installation, attempt, AttemptSecret(), binding, address)
    if isinstance(context, CallbackResult):
        return context
    answer = account_selection.read_answer(payload, number, context.client)
    if answer.keeps_account:
        declined = AuthorizationFailed("replacement_declined", "The connected account stays connected.")
        cause: RevocationCause = "replacement_not_confirmed"
        return await _fail(installation, context, answer.granted, declined, cause, answer.account_id)
    return await _connect(installation, context, answer.granted, answer)


async def _load_context(
    tx: Transaction,
    installation: Installation,
    attempt: AuthorizationAttempt,
    secret: AttemptSecret,
    binding: BrowserBinding,
    address: str | None,
) -> CallbackContext | CallbackResult:
    """Load the session, integration and client of an attempt.

    If the integration was deleted or changed, return a failed `CallbackResult` and raise no error. An error would roll
    back the transaction, so the state could be used again.
    """
    session = await sessions.get(tx, attempt.organization_id, attempt.session_id)
    organization = await organizations.get(tx, attempt.organization_id)
    try:
        integration, auth = await _load_integration(tx, installation, attempt)
    except NotFound as error:
        now, details = installation.clock(), attempt.details
        await authorization_attempts.end(tx, attempt.id, "failed")
        await sessions.note_error(tx, session.id, error_note(error.code, error.detail, now), now)
        return CallbackResult(
            problem=error, session=session, organization=organization, details=details, binding=binding
        )
    client = await _load_client(tx, installation, attempt)
    actor = Actor(session.organization_id, "end_user", session.end_user_id, address)
    return CallbackContext(attempt, secret, session, organization, integration, auth, client, binding, actor)


async def _accept_callback(
    tx: Transaction, context: CallbackContext, query: CallbackQuery, now: datetime
) -> AuthorizationResponse:
    """Check the callback, and count the attempt. Raises: OneRuntimeError.

    A session has a limit of attempts, to stop attackers who guess authorization codes. One Runtime counts the attempt
    before the token request, so that parallel callbacks cannot exceed the limit.
    """
    session, client = context.session, context.client
    ended = ended_error(session, now)
    if ended is not None:
        raise ended
    try:
        callback = read_callback(context.auth, query, _client_identity(client, context.secret), context.attempt.issuer)
    except OAuthError as error:
        raise AuthorizationFailed(error.code, str(error), error.reason) from error
    if client is not None:  # the token endpoint's host can contain a value of the callback (promise P7)
        oauth_clients.require_host(client, context.integration.name, context.auth, _known(context, callback))
    if not await sessions.reserve_check(tx, session.id, now):
        raise await unavailable_error(tx, session, now)
    return callback


def _known(context: CallbackContext, callback: AuthorizationResponse) -> dict[str, str]:
    """Return the values that the integration's token request can contain, such as a subdomain."""
    client_fields = context.client.fields_of(context.auth) if context.client is not None else {}
    return {**context.attempt.details.params, **client_fields, **callback.received}


def _token_endpoint(context: CallbackContext, callback: AuthorizationResponse) -> TokenEndpoint:
    client = _client_identity(context.client, context.secret)
    return TokenEndpoint(context.integration, context.auth, client, _known(context, callback))


async def _exchange_code(
    installation: Installation, context: CallbackContext, endpoint: TokenEndpoint, callback: AuthorizationResponse
) -> GrantedTokens:
    """Exchange the authorization code for tokens (RFC 6749, 4.1.3). Raises: OneRuntimeError."""
    details = context.attempt.details
    redirect_uri = callback_url(installation.settings.public_url, context.integration.slug)
    grant = AuthorizationCode(callback.code, redirect_uri, context.secret.verifier)
    egress = installation.egress.for_tenant(context.attempt.organization_id)
    try:
        tokens = await endpoint.ask(egress, installation.clock, grant)
    except OAuthError as error:
        raise _exchange_failure(context.integration, error) from error
    # Scopes can contain these values. The API shows a connection's scopes, so secret fields are excluded.
    public = {**details.params, **_public_fields(context.auth, context.client)}
    scopes = requested_scopes(context.auth.scopes, details.scopes, public)
    params = {**details.params, **callback.received}
    return GrantedTokens(tokens, params, context.secret.credentials, context.client, scopes)


async def _exchange_short_lived(
    installation: Installation, context: CallbackContext, endpoint: TokenEndpoint, granted: GrantedTokens
) -> GrantedTokens:
    """Exchange a short-lived token for a long-lived one, if the integration defines it. Raises: OneRuntimeError."""
    egress = installation.egress.for_tenant(context.attempt.organization_id)
    try:
        tokens = await exchange_tokens(egress, installation.clock, endpoint, granted.tokens)
    except OAuthError as error:
        raise _exchange_failure(context.integration, error) from error
    return replace(granted, tokens=tokens)


def _exchange_failure(integration: Integration, error: OAuthError) -> AuthorizationFailed:
    """Return the error of a failed token exchange, and log the cause for the operator."""
    unreachable = isinstance(error, EndpointUnreachable)
    log.warning(
        "token_exchange_failed",
        integration=integration.slug,
        code=error.code,
        cause=error.cause if isinstance(error, EndpointUnreachable) else str(error),
        status=error.response.status,
        error=error.response.error,
    )
    code = "provider_unreachable" if unreachable else error.code
    message = str(error) if error.may_pass else f"{integration.name} did not grant access."
    return AuthorizationFailed(code, message, error.reason, counts=not error.may_pass)


async def _connect(
    installation: Installation,
    context: CallbackContext,
    granted: GrantedTokens,
    answered: AnsweredQuestion | None = None,
) -> CallbackResult:
    """Verify the tokens and make the connection. If the end user has to decide first, store the tokens.

    After a failure, revoke the tokens.
    """
    session, attempt, account_id = context.session, context.attempt, None
    integration, organization_id = context.integration, session.organization_id
    try:
        installation.disabled.require_enabled_for_end_user(integration.slug, integration.name)
        verified = await verify_tokens(installation, organization_id, integration, context.auth, granted)
        account_id = verified.account.id
        details = attempt.details
        connection = new_connection(session, verified, details.name)
        connection = replace(connection, agreed_to=details.replace_account)
        if answered is not None:
            agreed_to = answered.agreed_to or details.replace_account
            connection = replace(connection, agreed_to=agreed_to, answer=answered.connection)
        connected = await complete_session(installation, session, context.actor, connection, attempt.id)
        return replace(_result(context), connected=connected)
    except UnexpectedValue as unexpected:
        message = f"{integration.name} returned a value that One Runtime does not allow: {unexpected}."
        error: OneRuntimeError = AuthorizationFailed("unexpected_value", message)
    except (AccountSelectionRequired, AccountMismatch, SeveralConnections) as undecided:
        try:
            return await _pause(installation, context, granted, Question.of(undecided, account_id))
        except OneRuntimeError as deleted:
            error = deleted
    except OneRuntimeError as failure:
        error = failure
    return await _fail(installation, context, granted, error, "authorization_failed", account_id)


async def _fail(
    installation: Installation,
    context: CallbackContext,
    granted: GrantedTokens,
    error: OneRuntimeError,
    cause: RevocationCause,
    account_id: str | None,
) -> CallbackResult:
    """Record the failure, and revoke the tokens."""
    end_user_id = context.session.end_user_id
    tokens = issued_tokens(context.attempt, end_user_id, granted.params, granted.secrets, account_id)
    vault, catalogs, now = installation.vault.for_issued_tokens(), installation.catalogs, installation.clock()
    async with installation.database.write() as tx:
        pending = await queue_revocation(tx, vault, catalogs, tokens, cause, now)
        result = await _record_failure(tx, context, error, now)
    if pending is not None:
        await revoke_all(installation, [pending])
    return result


async def _pause(
    installation: Installation, context: CallbackContext, granted: GrantedTokens, question: Question
) -> CallbackResult:
    attempt, browser = context.attempt, context.binding.secret
    async with installation.database.write() as tx:
        selection = await account_selection.pause(tx, installation, attempt, browser, granted, question)
        if context.reserved:
            await sessions.refund_check(tx, context.session.id, None, installation.clock())
    return replace(_result(context), selection=selection)


def _result(context: CallbackContext) -> CallbackResult:
    return CallbackResult(
        session=context.session,
        organization=context.organization,
        integration=context.integration,
        details=context.attempt.details,
        binding=context.binding,
    )


async def _record_failure(
    tx: Transaction, context: CallbackContext, error: OneRuntimeError, now: datetime
) -> CallbackResult:
    """Record the failure for the organization's backend and our page. The provider's tenth refusal ends the session."""
    session, code, reason = context.session, failure_code(error), provider_reason(error)
    message = error.summary if isinstance(error, CheckFailed) else reason or error.detail
    permission = error.permission if isinstance(error, PermissionMissing) else None
    note = error_note(code, message, now, provider_reason=reason, permission=permission)
    if await authorization_attempts.end(tx, context.attempt.id, "failed"):  # False if the end user was deleted
        if not context.reserved:
            await sessions.note_error(tx, session.id, note, now)
        elif isinstance(error, AuthorizationFailed) and error.counts:
            await sessions.note_refusal(tx, session.id, note, now)
        else:
            await sessions.refund_check(tx, session.id, note, now)
        data = {"session_id": session.id, "integration_slug": context.integration.slug, "reason": code}
        subject = Subject(session.end_user_id, None, data)
        await events.record(tx, context.actor, EventType.HOSTED_CONNECTION_SESSION_FAILED, now, subject)
    return replace(_result(context), problem=error)


async def _load_integration(
    tx: Transaction, installation: Installation, attempt: AuthorizationAttempt
) -> tuple[Integration, OAuth2Auth]:
    """Raises: NotFound if the integration was deleted, or now sends tokens to other hosts (promise P7)."""
    integration = await installation.catalogs.get(tx, attempt.organization_id, attempt.integration_slug)
    auth = integration.oauth2 if integration is not None else None
    if integration is None or auth is None:
        raise NotFound("This integration is not available here.")
    if integration.audience("oauth2") != attempt.details.audience:
        raise NotFound("This integration was changed during the authorization. Start again from the app.")
    return integration, auth


async def _load_client(
    tx: Transaction, installation: Installation, attempt: AuthorizationAttempt
) -> OAuthClient | None:
    if attempt.oauth_client_id is None:
        return None
    return await oauth_clients.get(tx, installation.vault, attempt.organization_id, attempt.oauth_client_id)


def _expired() -> AuthorizationExpired:
    return AuthorizationExpired(
        "This browser has no such pending authorization. The authorization has ended, has expired, or was started in "
        "another browser. Start again from the app."
    )


def _client_identity(client: OAuthClient | None, secret: AttemptSecret) -> ClientIdentity:
    return client.client if client is not None else ClientIdentity.entered(secret.credentials)


def _public_fields(auth: OAuth2Auth, client: OAuthClient | None) -> dict[str, str]:
    return client.public_fields_of(auth) if client is not None else {}
