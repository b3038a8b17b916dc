"""P1, P2: each route answers only the kinds of callers for which it is declared, and everybody else learns nothing.

API routes declare a scope, pages of the dashboard a permission. `OTHERS` classifies all other routes, and a test
compares the table with the routes of the application.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi.routing import iter_route_contexts

from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.declarations import PUBLIC
from one_runtime.demo.acme import GLOBEX
from one_runtime.tenancy.api_keys import SCOPES
from one_runtime.tenancy.roles import ROLES
from tests.api.operations import SPECS
from tests.api.test_isolation import rows_of
from tests.application import JSON, PUBLIC_URL
from tests.dashboard.team import FORM, Team
from tests.dashboard.test_isolation import Workplace, everything_of, send, workplace
from tests.promises.test_fuzzed_requests import read_names

pytestmark = [pytest.mark.promise("P1", "P2"), pytest.mark.slow, pytest.mark.timeout(240)]

Kind: TypeAlias = Literal["anybody", "session token", "session page", "agent", "one-time secret"]
"""Callers of a route outside the API and the dashboard.

- `anybody`: the route shows only public data, such as a script or metadata.
- `session token`: the popup of a hosted connection session.
- `session page`: the browser of an end user, with the session token in a parameter or a field.
- `agent`: an end-user token, or an API key with the scope `use` that names an end user.
- `one-time secret`: the browser or the program that has a ticket, a state with its cookie, a code, a refresh token or
  an approval token. For everybody else, the route answers with a page or an error of its protocol.
"""

OTHERS: Final[Mapping[str, Kind]] = {
    "GET /": "anybody",
    "GET /healthz": "anybody",
    "GET /readyz": "anybody",
    "GET /self-check": "anybody",
    "GET /openapi.json": "anybody",
    "GET /docs": "anybody",
    "GET /docs/errors": "anybody",
    "GET /docs/assets/{name}": "anybody",
    "GET /logos/{digest}/{slug}.svg": "anybody",
    "GET /connect.js": "anybody",
    "GET /connect.d.ts": "anybody",
    "GET /connect/assets/{version}/{name}": "anybody",
    "GET /connect/authorization": "anybody",
    "OPTIONS /v1/catalog/categories": "anybody",
    "OPTIONS /v1/catalog/integrations": "anybody",
    "OPTIONS /v1/catalog/integrations/{slug}": "anybody",
    "GET /.well-known/oauth-protected-resource/v1/mcp": "anybody",
    "GET /.well-known/oauth-protected-resource/v1/mcp/{organization_id}": "anybody",
    "GET /.well-known/oauth-authorization-server": "anybody",
    "GET /.well-known/oauth-authorization-server/v1/mcp": "anybody",
    "GET /.well-known/oauth-authorization-server/v1/mcp/{organization_id}": "anybody",
    "POST /v1/mcp": "agent",
    "POST /v1/mcp/{organization_id}": "agent",
    "POST /connect/session": "session token",
    "POST /connect/session/search": "session token",
    "POST /connect/session/connect": "session token",
    "POST /connect/session/cancel": "session token",
    "POST /connect/session/authorization": "session token",
    "POST /connect/session/outcome": "session token",
    "GET /connect": "session page",
    "POST /connect": "session page",
    "POST /connect/authorization/start": "one-time secret",
    "POST /connect/authorization/opener-policy": "one-time secret",
    "POST /connect/authorization/account": "one-time secret",
    "GET /connect/callback/{slug}": "one-time secret",
    "GET /connect/approval": "one-time secret",
    "POST /connect/approval": "one-time secret",
    "GET /oauth/authorize": "one-time secret",
    "POST /oauth/token": "one-time secret",
    "POST /oauth/revoke": "one-time secret",
    "POST /token": "one-time secret",
}
_FORM: Final = {"auth_type": "api_key", "credentials": {"api_key": "x"}}
BODIES: Final[Mapping[str, Mapping[str, object]]] = {
    "POST /connect/session/search": {"query": "crm"},
    "POST /connect/session/connect": _FORM,
    "POST /connect/session/authorization": _FORM,
    "POST /connect/session/outcome": {"authorization_id": "01a238ad-0123-715a-8c2a-3ef4a6bf9770"},
}
"""Valid bodies of routes that read the body before the token."""
NAMES: Final = read_names("connect", "mcp")
"""Names of parameters and fields in which routes outside the API look for a secret."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential of the victim's organization.

    `scopes`, `end_user_id`: of an API key, which can act for an end user. `cookie`: True for the dashboard's cookie.
    """

    kind: str
    secret: str | None
    scopes: tuple[str, ...] = ()
    end_user_id: str = ""
    cookie: bool = False

    def headers(self) -> dict[str, str]:
        if self.secret is None:
            return {}
        if self.cookie:
            return {"cookie": f"or_session={self.secret}"}
        end_user = {"one-runtime-end-user": self.end_user_id} if self.scopes else {}
        return {"authorization": f"Bearer {self.secret}", **end_user}

    def suits(self, kind: Kind) -> bool:
        """Return True if a route of this kind accepts the credential."""
        if kind == "agent":
            return self.kind == "agent" or "use" in self.scopes
        return self.kind == ("session token" if kind == "session page" else kind)


async def credentials_of(team: Team, victim: Workplace) -> list[Credential]:
    """Return a credential of every kind. All of them are valid somewhere, except the first two."""
    application, tenant = team.application, victim.tenant
    token = await tenant.client.post("/v1/end-user-tokens", {"end_user_id": tenant.own_user})
    keys = [
        Credential(f"API key {scope}", await application.key(tenant.organization, scope), (scope,), tenant.own_user)
        for scope in SCOPES
    ]
    members = Team(application, tenant.organization, tenant.client)
    cookies = [
        Credential(f"member {role}", (await members.browser(role)).http.cookies["or_session"], cookie=True)
        for role in ROLES
    ]
    return [
        Credential("nobody", None),
        Credential("junk", "oru_junk"),
        Credential("session token", tenant.session["session_token"]),
        Credential("agent", token.json()["end_user_token"]),
        *keys,
        *cookies,
    ]


def public_routes(team: Team) -> set[str]:
    """Return the routes of the public listener, also those that the OpenAPI document omits."""
    routes = [context.original_route for context in iter_route_contexts(team.application.app.app.routes)]
    return {
        f"{method} {getattr(route, 'path_format', None) or getattr(route, 'path', route)}"
        for route in routes
        for method in getattr(route, "methods", None) or ("any method",)
        if method != "HEAD"
    }


async def test_every_route_is_classified(team: Team) -> None:
    assert public_routes(team) == {*SPECS, *OTHERS}
    dashboard = team.application.app.listeners[8003]
    mounted = {spec.name for spec in PAGES} | {"GET /assets/{hash}/{name}"}
    router = dashboard._app.app  # type: ignore[attr-defined]
    assert {f"{method} {route.path}" for route in router.routes for method in route.methods - {"HEAD"}} == mounted


async def ask(
    http: httpx2.AsyncClient,
    route: str,
    values: Mapping[str, str],
    credential: Credential,
    fields: Mapping[str, Any],
) -> httpx2.Response:
    """Send a request with the credential. `fields`: further parameters, or fields of a form or of JSON."""
    method, _, path = route.partition(" ")
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
    is_json = "/v1/" in path or "/session" in path or path.endswith(("/start", "/opener-policy"))
    content = None if method in {"GET", "DELETE"} else json.dumps(fields) if is_json else urlencode(fields)
    headers = {**(JSON if is_json else FORM), "origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}
    parameters = {**fields} if method == "GET" and not path.startswith("/v1/") else None
    http.cookies.clear()
    return await http.request(
        method, path, params=parameters, content=content, headers={**headers, **credential.headers()}
    )


@dataclass(frozen=True, slots=True)
class Walk:
    """The victim's organization with its credentials. `http`: a client of the public listener without credentials."""

    team: Team
    victim: Workplace
    credentials: list[Credential]
    http: httpx2.AsyncClient

    @property
    def values(self) -> dict[str, str]:
        """Return the victim's ids by the names of path parameters."""
        ids = {**self.victim.tenant.ids, **self.victim.values, "slug": "acme", "path": "v1/me", "name": "popup.js"}
        return {**ids, "integration_slug": "acme", "hash": "x", "digest": "x"}

    def check(self, route: str, credential: Credential, answer: httpx2.Response, statuses: set[int]) -> None:
        """Fail if the answer has another status, or contains something of the victim."""
        where = f"{route} for {credential.kind}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code in statuses, where
        shown = f"{answer.text} {answer.headers.get('location', '')}"
        sent = {*self.values.values(), credential.secret}
        assert not {mark for mark in self.victim.marks - sent if mark in shown}, where


@pytest.fixture
async def walk(team: Team) -> Walk:
    victim = await workplace(team, "one", GLOBEX)
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(team.application.app), base_url=PUBLIC_URL)
    return Walk(team, victim, await credentials_of(team, victim), http)


async def test_routes_of_the_api_refuse_every_other_kind_of_caller(walk: Walk) -> None:
    before = await rows_of(walk.team.application, walk.victim.tenant.organization)
    asked = 0
    for route, spec in SPECS.items():
        for credential in walk.credentials:
            if spec.scope is None or spec.scope in credential.scopes or (spec.scope == "any" and credential.scopes):
                continue
            answer = await ask(walk.http, route, walk.values, credential, {})
            walk.check(route, credential, answer, {403} if credential.scopes else {401})
            asked += 1
    assert asked > 500
    assert await rows_of(walk.team.application, walk.victim.tenant.organization) == before


REFUSED: Final[Mapping[Kind, set[int]]] = {
    "session token": {401, 404, 410},
    "agent": {401, 403},
    "session page": {400, 404},
    "one-time secret": {303, 400, 403, 404, 409, 410, 422},
}
"""Statuses for other kinds of callers."""
SILENT: Final[Mapping[str, set[int]]] = {
    "POST /oauth/revoke": {200, 400},
    "POST /connect/authorization/opener-policy": {204, 422},
}
"""Statuses of routes that do not say if they know a secret: RFC 7009 section 2.2, and a note of our own window."""


async def test_other_routes_refuse_every_other_kind_of_caller(walk: Walk) -> None:
    before = await rows_of(walk.team.application, walk.victim.tenant.organization)
    for route, kind in OTHERS.items():
        for credential in walk.credentials:
            if credential.suits(kind):
                continue
            everywhere = dict.fromkeys(NAMES, credential.secret or "")
            # The popup refuses unknown fields.
            for fields in (BODIES.get(route, {}),) if kind == "session token" else ({}, everywhere):
                answer = await ask(walk.http, route, walk.values, credential, fields)
                walk.check(route, credential, answer, SILENT.get(route, REFUSED.get(kind, {200, 204, 307, 404, 405})))
    assert await rows_of(walk.team.application, walk.victim.tenant.organization) == before


async def test_the_same_requests_of_the_declared_callers_are_not_refused(walk: Walk) -> None:
    """Otherwise, the tests above could pass because their requests are wrong."""
    for route, kind in OTHERS.items():
        for credential in walk.credentials:
            if kind in REFUSED and credential.suits(kind):
                answer = await ask(walk.http, route, walk.values, credential, BODIES.get(route, {}))
                assert answer.status_code not in {401, 403}, f"{route} for {credential.kind}: {answer.text[:200]}"


async def test_pages_of_the_dashboard_refuse_every_other_kind_of_caller(walk: Walk) -> None:
    before = await everything_of(walk.team, walk.victim)
    browser = await walk.team.browser(None)
    for spec in PAGES:
        if spec.access is PUBLIC:
            continue
        for credential in walk.credentials:
            if not credential.cookie:
                for headers in (credential.headers(), {"cookie": f"or_session={credential.secret}"}):
                    browser.http.headers.update(headers)
                    answer = await send(browser, spec.method, walk.victim.path(spec), {})
                    for name in headers:
                        del browser.http.headers[name]
                    walk.check(spec.name, credential, answer, {303})
                    assert answer.headers["location"].startswith("/sign-in"), spec.name
    assert await everything_of(walk.team, walk.victim) == before
