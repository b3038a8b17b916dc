"""Sign in at the organization's OpenID provider."""

from typing import Final
from urllib.parse import quote, unquote

from starlette.responses import Response

from one_runtime.dashboard import session
from one_runtime.dashboard.declarations import PUBLIC, Pages
from one_runtime.dashboard.session import safe_path
from one_runtime.dashboard.visit import Visit
from one_runtime.errors import NotFound
from one_runtime.team.sign_in import openid
from one_runtime.team.sign_in.openid import CALLBACK_PATH, LIFETIME
from one_runtime.team.sign_in.openid_admission import admit
from one_runtime.team.sign_in.openid_provider import OpenIDClient

_COOKIE: Final = "or_oidc"
_NEXT: Final = "or_oidc_next"
"""Cookie with the page after the sign-in. The page of an invitation has a token, which the database must not store."""

_SECONDS: Final = int(LIFETIME.total_seconds())

pages = Pages()


@pages.post("/sign-in/oidc", access=PUBLIC)
async def begin_openid(visit: Visit) -> Response:
    """Send the browser to the provider. The field `next` is the page after the sign-in.

    For a member who has signed in, the provider has to authenticate the member again.

    The page sends the browser away by a meta refresh, because the Content-Security-Policy allows no form to redirect to
    another site.
    """
    form = await visit.form()
    next_path, again = safe_path(str(form.get("next", "/"))), visit.visitor is not None
    begun = await openid.begin(visit.installation, _client(visit), visit.address, again=again)
    response = visit.render("openid_leaving.html", title="Sign in", url=begun.url, host=_client(visit).host)
    visit.cookies.set(response, _COOKIE, begun.cookie, _SECONDS)
    visit.cookies.set(response, _NEXT, quote(next_path, safe="/"), _SECONDS)
    return response


@pages.get(CALLBACK_PATH, access=PUBLIC)
async def finish_openid(visit: Visit) -> Response:
    """Sign the member in with the provider's answer."""
    query, cookie = visit.request.scope["query_string"], visit.cookie(_COOKIE)
    account = await openid.finish(visit.installation, _client(visit), query, cookie)
    async with visit.installation.database.write() as tx:
        member = await admit(tx, visit.installation.settings, account, visit.now, visit.address)
        token = await session.start(visit, tx, member.id, "oidc", account.authenticated_at)
    response = session.signed_in(visit, token, member.id, safe_path(unquote(visit.cookie(_NEXT))))
    for name in (_COOKIE, _NEXT):
        visit.cookies.delete(response, name)
    return response


def _client(visit: Visit) -> OpenIDClient:
    if visit.services.openid is None:
        raise NotFound("This installation has no OpenID provider. Sign in with another method.")
    return visit.services.openid
