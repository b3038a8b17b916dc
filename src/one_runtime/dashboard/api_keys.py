"""Pages of the organization's API keys."""

from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.responses import Response

from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.suggestions import Suggestion, find_suggestions
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput
from one_runtime.reports import actor_names
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.api_keys import DEFAULT_SCOPES, PRIVILEGED_SCOPES, SCOPE_TEXTS, SCOPES

PAGE_SIZE: Final = 50

_PATH: Final = f"{ORGANIZATION}/api-keys"

pages = Pages({"revoked": "The API key is revoked. One Runtime refuses every request with this key from now on."})


class KeyForm(NamedTuple):
    """The values of the form that creates a key."""

    name: str = ""
    scopes: tuple[str, ...] = DEFAULT_SCOPES


@pages.get(_PATH, access="develop")
async def list_keys(visit: Visit) -> Response:
    """List the keys, newest first. After a new authentication, the form has the values from before."""
    scopes = visit.request.query_params.getlist("scopes")
    return await _list(visit, KeyForm(visit.query("name"), tuple(scopes) or DEFAULT_SCOPES))


def _has_privileged_scope(form: FormData) -> bool:
    """Return True for a key that can read credentials or administer the organization."""
    return not PRIVILEGED_SCOPES.isdisjoint(map(str, form.getlist("scopes")))


@pages.post(_PATH, access="develop", recent=_has_privileged_scope, kept=("name", "scopes"))
async def create_key(visit: Visit) -> Response:
    """Create a key. Only this response contains the key."""
    fields = await visit.form()
    form = KeyForm(str(fields.get("name", "")), tuple(map(str, fields.getlist("scopes"))))
    try:
        async with visit.installation.database.write() as tx:
            key, token = await api_keys.create(tx, visit.actor, form.name, form.scopes, visit.now)
    except InvalidInput as error:
        return await _list(visit, form, FormErrors.of(error, ["name", "scopes"]))
    end_user_id, integration = await _example(visit)
    query = urlencode({"end_user_id": end_user_id, "logo": "none", "slug": integration.value}, quote_via=quote)
    return visit.render(
        "api_key_created.html",
        title="New API key",
        key=key,
        secret=token.secret,
        scope_texts=SCOPE_TEXTS,
        end_user_id=end_user_id,
        integration=integration.text,
        path=f"/v1/integrations?{query}" if "read" in key.scopes else "/v1/me",
    )


@pages.post(f"{_PATH}/{{api_key_id}}/revoke", access="develop")
async def revoke_key(visit: Visit) -> Response:
    """Revoke a key."""
    async with visit.installation.database.write() as tx:
        await api_keys.revoke_own(tx, visit.actor, visit.parameter("api_key_id"), visit.now)
    return visit.redirect("api-keys", done="revoked")


async def _example(visit: Visit) -> tuple[str, Suggestion]:
    """Return an end user and an integration for the first request: those of the newest connection, if there is one."""
    suggestions = await find_suggestions(visit)
    acme = visit.installation.catalog.get("acme")  # the only usable integration of the demo
    named = Suggestion("hubspot", "HubSpot") if acme is None else Suggestion(acme.slug, acme.name)
    end_user_id = suggestions.end_users[0].value if suggestions.end_users else "user_123"
    return end_user_id, suggestions.connected[0] if suggestions.connected else named


async def _list(visit: Visit, form: KeyForm, errors: FormErrors | None = None) -> Response:
    before = visit.cursor
    async with visit.installation.database.read() as tx:
        keys = await api_keys.list_page(tx, visit.organization_id, limit=PAGE_SIZE + 1, before=before)
        makers = [("member", key.created_by) for key in keys]
        names = await actor_names.find_names(tx, visit.organization_id, makers)
    following = keys[PAGE_SIZE - 1].id if len(keys) > PAGE_SIZE else None
    is_admin = visit.may("admin")
    return visit.render(
        "api_keys.html",
        status=422 if errors else 200,
        title="API keys",
        keys=keys[:PAGE_SIZE],
        names=names,
        form=form,
        errors=errors,
        scopes=[scope for scope in SCOPES if is_admin or scope not in PRIVILEGED_SCOPES],
        scope_texts=SCOPE_TEXTS,
        privileged=PRIVILEGED_SCOPES,
        is_admin=is_admin,
        older=visit.path("api-keys", before=following) if following else None,
        first=visit.path("api-keys") if before else None,
    )
