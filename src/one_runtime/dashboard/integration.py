"""The page of one integration: its state, its OAuth client, and a test connection of the member."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import FormData
from starlette.responses import JSONResponse, Response

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.scopes import DescribedScope, describe_scopes
from one_runtime.connecting.new_session import NewSession, create_session
from one_runtime.connecting.sessions import Mode
from one_runtime.connections import connections
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import own_test_user
from one_runtime.dashboard.integration_states import describe_state
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.dashboard.wording import in_page, problem_of
from one_runtime.errors import InvalidInput, NotFound, OneRuntimeError
from one_runtime.explanations.stored_errors import explain_session_error
from one_runtime.integrations import client_registration, oauth_clients
from one_runtime.integrations.client_hosts import names_hosts
from one_runtime.integrations.oauth_clients import NewOAuthClient, OAuthClient
from one_runtime.integrations.team_catalog import load_team_catalog, needs_client
from one_runtime.lifecycle.recheck import RecheckResult, recheck
from one_runtime.oauth.callback import callback_url
from one_runtime.oauth.scopes import requested_scopes, scope_lists
from one_runtime.reports.integration_health import summarize_integration
from one_runtime.tenancy.end_users import EndUser

INTEGRATION: Final = f"{ORGANIZATION}/integrations/{{integration_slug}}"
_OPENER_POLICY: Final = "same-origin-allow-popups"
"""With `same-origin`, the browser blocks the popup's messages to the window of an OAuth authorization."""

_PRIVATE_JSON: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

pages = Pages(
    {
        "created": "The integration is created.",
        "enabled": "The integration is enabled.",
        "disabled": "The integration is disabled. Existing connections stay.",
        "client_saved": "The OAuth client is registered.",
        "client_deleted": "The OAuth client is deleted. Existing connections continue to use it.",
        "connected": "Your test account is connected.",
        "check_accepted": "The provider accepted the credential of your test connection.",
        "check_not_supported": "One Runtime has no request to check this credential. The connection is unchanged.",
    }
)


@dataclass(frozen=True, slots=True)
class ClientForm:
    """The form of an OAuth client. `client_id`, `scopes`, `hosts`: texts of the form, with one value per line.

    `extra`: the values of the client's other fields. A secret value never returns to the form.
    """

    client_id: str = ""
    scopes: str = ""
    hosts: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, client: OAuthClient | None, auth: OAuth2Auth) -> "ClientForm":
        """Return the form with the values of the registered client."""
        if client is None:
            return cls()
        scopes = "\n".join(client.scopes or ())
        hosts = "\n".join(client.hosts) if names_hosts(client.integration_slug, auth) else ""
        return cls(client.client.client_id, scopes, hosts, client.public_fields_of(auth))

    @classmethod
    def parse(cls, form: FormData, auth: OAuth2Auth) -> "ClientForm":
        """Return the submitted form."""
        texts = {name: str(form.get(name, "")).strip() for name in ("client_id", "scopes", "hosts")}
        return cls(**texts, extra={part.name: _extra(form, part.name) for part in auth.client.fields})

    def client(self, secret: str, auth: OAuth2Auth) -> NewOAuthClient:
        """Return the client to register. An empty text means that the value is missing."""
        scopes = self.scopes.replace(auth.scopes.separator, " ").split()
        return NewOAuthClient(
            client_id=self.client_id,
            client_secret=secret or None,
            scopes=tuple(dict.fromkeys(scopes)) or None,
            hosts=tuple(self.hosts.replace(",", " ").split()),
            fields={name: value for name, value in self.extra.items() if value},
        )


@dataclass(frozen=True, slots=True)
class Additions:
    """Parts of the page that an action adds. `link`: a new connect URL, which only this response contains."""

    client_form: ClientForm | None = None
    client_errors: FormErrors | None = None
    test_errors: FormErrors | None = None
    link: str | None = None


@pages.get(INTEGRATION, access="read")
async def show_integration(visit: Visit) -> Response:
    """Show an integration, also if no end user can connect it."""
    return await _render(visit, Additions())


@pages.post(f"{INTEGRATION}/oauth-client", access="admin")
async def save_client(visit: Visit) -> Response:
    """Register the organization's OAuth client, or replace it. An empty secret keeps the present secret."""
    slug, auth = await _oauth2(visit)
    form = await visit.form()
    submitted = ClientForm.parse(form, auth)
    try:
        new = submitted.client(str(form.get("client_secret", "")).strip(), auth)
        await client_registration.register(visit.installation, visit.actor, slug, new)
    except InvalidInput as error:
        errors = FormErrors.of(error, _client_names(slug, auth))
        return await _render(visit, Additions(client_form=submitted, client_errors=errors), status=422)
    return visit.redirect("integrations", slug, done="client_saved")


@pages.post(f"{INTEGRATION}/oauth-client/delete", access="admin")
async def delete_client(visit: Visit) -> Response:
    """Delete the organization's OAuth client."""
    slug = visit.parameter("integration_slug")
    await client_registration.unregister(visit.installation, visit.actor, slug)
    return visit.redirect("integrations", slug, done="client_deleted")


@pages.post(f"{INTEGRATION}/try", access="develop")
async def try_integration(visit: Visit) -> Response:
    """Create a session for the member's test account.

    The page's script sends `mode=embed`, and gets the session's token as JSON. Without JavaScript, the page shows a
    link.
    """
    form = await visit.form()
    is_embedded = form.get("mode") == "embed"
    try:
        token = await _create_session(visit, "embed" if is_embedded else "link")
    except OneRuntimeError as error:
        if is_embedded:
            return JSONResponse({"error": in_page(problem_of(error))}, error.status, _PRIVATE_JSON)
        if not isinstance(error, InvalidInput):
            raise
        return await _render(visit, Additions(test_errors=FormErrors(general=problem_of(error))), status=422)
    if is_embedded:
        return JSONResponse({"session_token": token}, headers=_PRIVATE_JSON)
    public_url = visit.installation.settings.public_url
    return await _render(visit, Additions(link=f"{public_url}/connect?session_token={token}"))


@pages.post(f"{INTEGRATION}/check", access="develop")
async def check_test_connection(visit: Visit) -> Response:
    """Check the credential of the member's test connection at the provider."""
    slug = visit.parameter("integration_slug")
    async with visit.installation.database.read() as tx:
        present = await connections.list_at_integration(tx, visit.organization_id, own_test_user(visit), slug)
    if not present:
        raise NotFound("You have no test connection of this integration. Connect a test account first.")
    try:
        checked = await recheck(visit.installation, visit.actor, present[0].id)
    except OneRuntimeError as error:
        return await _render(visit, Additions(test_errors=FormErrors(general=problem_of(error))), status=error.status)
    if checked.outcome in {"accepted", "not_supported"}:
        return visit.redirect("integrations", slug, done=f"check_{checked.outcome}")
    return await _render(visit, Additions(test_errors=FormErrors(general=_refusal(checked))), status=422)


def _refusal(checked: RecheckResult) -> str:
    if checked.outcome == "permission_missing":
        name = f" {checked.missing_permission}" if checked.missing_permission else ""
        return f"The credential works, but it lacks the permission{name}. Connect again with more permissions."
    reason = f" The provider's reason: {checked.reason}" if checked.reason else ""
    return f"The provider refused the credential. Connect your test account again.{reason}"


async def _create_session(visit: Visit, mode: Mode) -> str:
    """Create a session for the member's test account, and return its token. Raises: OneRuntimeError."""
    member, settings = visit.member, visit.installation.settings
    new = NewSession(
        end_user=EndUser(own_test_user(visit), member.name, member.email, visit.now, visit.now),
        integration_slug=visit.parameter("integration_slug"),
        mode=mode,
        allowed_origins=(settings.dashboard_url,) if mode == "embed" else (),
    )
    async with visit.installation.database.write() as tx:
        _, token = await create_session(tx, visit.installation, visit.actor, new)
    return token.secret


async def _oauth2(visit: Visit) -> tuple[str, OAuth2Auth]:
    """Return the slug and the auth type `oauth2` of the integration. Raises: NotFound."""
    slug = visit.parameter("integration_slug")
    async with visit.installation.database.read() as tx:
        integration = await visit.installation.catalogs.get(tx, visit.organization_id, slug)
    auth = integration.oauth2 if integration is not None else None
    if auth is None:
        raise NotFound(f"There is no integration {slug[:64]!r} that uses OAuth.")
    return slug, auth


def _extra(form: FormData, name: str) -> str:
    return str(form.get(f"fields.{name}", "")).strip()


def _client_names(slug: str, auth: OAuth2Auth) -> tuple[str, ...]:
    hosts = ("hosts",) if names_hosts(slug, auth) else ()
    return ("client_id", "client_secret", "scopes", *hosts, *(f"fields.{part.name}" for part in auth.client.fields))


def _requested_scopes(slug: str, auth: OAuth2Auth, client: OAuthClient | None) -> list[DescribedScope]:
    """Return the scopes that One Runtime requests if the session names none."""
    lists = scope_lists(auth, client.scopes if client is not None else None)
    return describe_scopes(slug, auth, [scope for each in lists for scope in requested_scopes(*each, None)])


async def _render(visit: Visit, additions: Additions, *, status: int = 200) -> Response:
    slug, vault = visit.parameter("integration_slug"), visit.installation.vault
    client = None
    async with visit.installation.database.read() as tx:
        team = await load_team_catalog(tx, visit.installation, visit.organization_id)
        integration = team.get(slug)
        if slug in team.own_clients:
            client = await oauth_clients.find_own(tx, vault, visit.organization_id, slug)
        health = await summarize_integration(
            tx, visit.organization_id, slug, visit.now, test_end_user=own_test_user(visit)
        )
    auth = integration.oauth2
    error = health.last_error
    response = visit.render(
        "integration.html",
        status=status,
        title=integration.name,
        integration=integration,
        additions=additions,
        team=team,
        state=describe_state(team, integration),
        can_connect=bool(team.availability.auth_types(integration)),
        health=health,
        last_error=error,
        explanation=explain_session_error(error["code"]) if error is not None else None,
        oauth=auth if auth is not None and needs_client(integration) else None,
        client=client,
        client_form=additions.client_form or (ClientForm.of(client, auth) if auth is not None else None),
        scopes=_requested_scopes(slug, auth, client) if auth is not None else [],
        names_hosts=auth is not None and names_hosts(slug, auth),
        redirect_url=callback_url(visit.installation.settings.public_url, slug),
    )
    response.headers["Cross-Origin-Opener-Policy"] = _OPENER_POLICY
    return response
