"""A pytest plugin: the dashboard on real ports, with data that look like those of a product in use.

The fixture `served_team` runs one server for all browser tests of a session, on SQLite, in a thread of its own.
`scripts/dashboard_screenshots.py` uses the same server.
"""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext
from pydantic import SecretStr
from sqlalchemy import insert

from one_runtime.clock import system_clock
from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.declarations import ORGANIZATION, PageSpec
from one_runtime.db.ids import new_id
from one_runtime.db.migrations import migrate
from one_runtime.db.schema import passkeys
from one_runtime.demo.acme import GLOBEX, INITECH, Acme
from one_runtime.proxy import request_log, usage
from one_runtime.proxy.request_log import RequestFilter
from one_runtime.team import dashboard_sessions, invitations
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.roles import ROLES
from tests.application import ACME_KEYS, PUBLIC_URL, Application, Client, RunningAcme, running, settings_for, started
from tests.billing import ENTRY, OAUTH, register
from tests.dashboard.team import Team
from tests.mcp.conftest import Agents, use_own_page
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, running_provider
from tests.ports import free_port

R = TypeVar("R")

END_USERS: Final = (
    ("user_1042", "Ada Lovelace", "ada@lovelace.example"),
    ("user_1043", "Grace Hopper", "grace@hopper.example"),
    ("user_1044", None, "katherine@johnson.example"),
    ("org/7?x=ü", "Zoë Ünïcode", None),
)

PROGRAM: Final = """
from one_runtime import call

for path in ("/v1/me", "/v1/contacts", "/v1/contacts/missing"):
    await call("acme", "GET", path)
"""

ACME_APP, ACME_SECRET = "northwind-app", "northwind-secret-0123456789"
"""The organization's OAuth client at Acme. A test registers it at One Runtime."""

Sample = Callable[[Client], Awaitable[str]]
_PARAMETER: Final = re.compile(r"\{(\w+)[^}]*\}")


async def _webhook_endpoint(client: Client) -> str:
    answer = (await client.get("/v1/webhook-endpoints")).json()
    endpoint_id: str = answer["webhook_endpoints"][0]["id"]
    return endpoint_id


async def _delivery(client: Client) -> str:
    path = f"/v1/webhook-endpoints/{await _webhook_endpoint(client)}/deliveries"
    event_id: str = (await client.get(path)).json()["webhook_deliveries"][0]["event_id"]
    return event_id


async def _logged_request(client: Client) -> str:
    identifier: str = (await client.get("/v1/proxy-requests")).json()["proxy_requests"][0]["id"]
    return identifier


async def _custom_slug(client: Client) -> str:
    answer = await client.get("/v1/custom-integrations")
    slug: str = answer.json()["custom_integrations"][0]["slug"]
    return slug


async def _acme(_: Client) -> str:
    return "acme"


async def _broken_connection(client: Client) -> str:
    answer = await client.get("/v1/connections", status="needs_reauth")
    connection_id: str = answer.json()["connections"][0]["id"]
    return connection_id


async def _end_user(_: Client) -> str:
    return "user_1043"


async def _run(client: Client) -> str:
    calls = (await client.get("/v1/proxy-requests")).json()["proxy_requests"]
    return next(str(call["run_id"]) for call in calls if call["run_id"])


SAMPLES: Final[Mapping[str, Sample]] = {
    "webhook_endpoint_id": _webhook_endpoint,
    "event_id": _delivery,
    "logged_request_id": _logged_request,
    "run_id": _run,
    "integration_slug": _acme,
    "custom_slug": _custom_slug,
    "connection_id": _broken_connection,
    "end_user_id": _end_user,
}
"""Functions that find an existing value of each parameter in the paths of pages, besides `organization_id`.

Add the parameters of new pages here.
"""


@dataclass(frozen=True, slots=True)
class ServedTeam:
    """The server. `tokens`: the token of a session, by role. `paths`: the path of each page that can be opened."""

    url: str
    organization_id: str
    tokens: Mapping[str, str]
    paths: Mapping[str, str]
    team: Team
    loop: asyncio.AbstractEventLoop

    async def sign_in(self, context: BrowserContext, role: str = "owner") -> None:
        """Give the session of a member to a browser."""
        await context.add_cookies([{"name": "or_session", "value": self.tokens[role], "url": self.url}])

    async def invite(self, email: str) -> str:
        """Invite a new member. Return the URL of the link."""

        async def create() -> str:
            application, actor = self.team.application, Actor(self.organization_id, "system")
            async with application.installation.database.write() as tx:
                _, token = await invitations.create(tx, actor, email, "developer", application.clock())
            return f"{self.url}/invitation?token={token.secret}"

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(create(), self.loop))

    async def empty(self) -> "ServedTeam":
        """Return a new organization that has only its owner. `paths` has the pages that need no further rows."""

        async def create() -> ServedTeam:
            application = self.team.application
            organization_id = await application.organization("Southwind Traders", origins=())
            owner_id = await self.team.member("owner", organization_id)
            values = {"organization_id": organization_id, "member_id": owner_id, "integration_slug": "acme"}
            specs = [spec for spec in PAGES if spec.path.startswith(ORGANIZATION) and _parameters(spec) <= set(values)]
            return replace(
                self,
                organization_id=organization_id,
                tokens={"owner": await _session(application, owner_id)},
                paths={spec.name: _path(spec, values) for spec in specs},
            )

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(create(), self.loop))


@contextmanager
def running_team(folder: Path) -> Iterator[ServedTeam]:
    """Run the server in a thread until the block ends."""
    ready, stop = threading.Event(), asyncio.Event()
    served: list[ServedTeam] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with _served(folder) as team:
            served.append(team)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="dashboard")
    thread.start()
    ready.wait()
    assert served, "the server did not start: the traceback is above"
    try:
        yield served[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[ServedTeam]:
    database_url, port = f"sqlite:///{folder}/team.db", free_port(2)
    migrate(database_url)
    async with AsyncExitStack() as stack:
        acme = Acme(ACME_KEYS)
        acme_port = await stack.enter_async_context(running(acme.app))
        provider = RunningAcme(f"http://127.0.0.1:{acme_port}", acme_port, acme)
        openid = await stack.enter_async_context(running_provider(system_clock))
        settings = settings_for(
            database_url,
            provider,
            public_url=f"http://127.0.0.1:{port}",
            listen=f"127.0.0.1:{port}",
            dashboard_listen=f"127.0.0.1:{port + 1}",
            dashboard_url=f"http://localhost:{port + 1}",  # at an IP address, browsers offer no passkeys
            egress_allow=frozenset({("127.0.0.1", acme_port), ("127.0.0.1", urlsplit(openid.url).port)}),
            oidc_issuer=openid.url,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=SecretStr(CLIENT_SECRET),
            oidc_allowed_domains=frozenset({"acme.example"}),
        )
        application = await stack.enter_async_context(started(settings, provider, worker=False))
        for each in (port, port + 1):
            await stack.enter_async_context(running(application.app, each, lifespan="off"))
        acme.register_client(
            f"http://127.0.0.1:{port}/connect/callback/acme",
            name="Northwind",
            client_id=ACME_APP,
            client_secret=ACME_SECRET,
        )
        origin = settings.dashboard_url
        organization_id = await application.organization("Northwind Traders", origins=(origin,))
        client = application.client(await application.key(organization_id))
        team = Team(application, organization_id, client)
        await fill(application, client)
        members: dict[str, str] = {role: await team.member(role) for role in ROLES}
        tokens: dict[str, str] = {role: await _session(application, members[role]) for role in ROLES}
        await _add_passkeys(application, members.values())
        async with application.installation.database.write() as tx:
            owner = Actor(organization_id, "member", members["owner"])
            await invitations.create(tx, owner, "mary@example.com", "support", application.clock())
            operator = Actor(organization_id, "system")
            _, token = await invitations.create(tx, operator, "alan@example.com", "developer", application.clock())
        paths = await sample_paths(client, organization_id, members["support"], token.secret)
        yield ServedTeam(origin, organization_id, tokens, paths, team, asyncio.get_running_loop())


async def sample_paths(client: Client, organization_id: str, member_id: str, token: str = "unknown") -> dict[str, str]:
    """Return an existing path of each page, by the name of its declaration. The paths of actions can be incomplete.

    `token`: the token of an invitation.
    """
    known = {"organization_id": organization_id, "member_id": member_id}
    values = known | {name: await find(client) for name, find in SAMPLES.items()}
    paths = {spec.name: _path(spec, values) for spec in PAGES}
    return {**paths, "GET /invitation": f"/invitation?token={token}"}


async def _session(application: Application, member_id: str) -> str:
    async with application.installation.database.write() as tx:
        _, token = await dashboard_sessions.create(
            tx, member_id, "passkey", application.clock(), address="203.0.113.7", user_agent="Mozilla/5.0 Firefox/149"
        )
    return token.secret


async def _add_passkeys(application: Application, member_ids: Iterable[str]) -> None:
    """Give each member a passkey that only pages show. Without a passkey, each page has a note about the sign-in."""
    now = application.clock()
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "member_id": member_id,
            "credential_id": member_id.encode(),
            "public_key": b"",
            "sign_count": 1,
            "transports": [],
            "name": "Laptop",
            "last_used_at": None,
            "created_at": now,
        }
        for member_id in member_ids
    ]
    async with application.installation.database.write() as tx:
        await tx.execute_many(insert(passkeys), rows)


async def fill(application: Application, client: Client) -> None:
    """Create a value of each parameter of the pages: connections (some are broken), calls, an endpoint, and more."""
    for end_user_id, name, email in END_USERS:
        person = {"end_user_name": name, "end_user_email": email}
        await client.session(end_user_id, **{key: value for key, value in person.items() if value})
    healthy = await client.connect("user_1042")
    broken = await client.connect("user_1043", ACME_KEYS[INITECH])
    await client.connect("org/7?x=ü")
    for path in ("v1/contacts", "v1/contacts", "v1/me", "v1/contacts/missing"):
        await client.http.get(f"/v1/proxy/acme/{path}", headers={"one-runtime-connection": healthy["id"]})
    await _sign_in_to_acme(application, client)
    application.acme.acme.revoke(ACME_KEYS[INITECH])
    await client.post(f"/v1/connections/{broken['id']}/check")
    await client.http.get("/v1/proxy/acme/v1/contacts", headers={"one-runtime-connection": broken["id"]})
    endpoint = {"url": "https://hooks.northwind.example/one-runtime", "event_types": ["connection.*"]}
    await client.post("/v1/webhook-endpoints", endpoint)
    await client.connect("user_1044")  # the endpoint receives an event
    await register(client, ENTRY + OAUTH)
    await use_own_page(client)
    write = {"integration": "acme", "method": "POST", "path": "/v1/contacts", "body": {"name": "Ada"}}
    async with Agents(application, client).connect(end_user_id="user_1042", name="Assistant", access="ask") as agent:
        await agent.call("call_write", **write)
        await agent.call("run_python", code=PROGRAM)
    await client.post("/v1/api-keys", {"name": "Backend", "scopes": ["read", "connect", "use"]})
    await application.app.services.request_log.flush()
    await _add_usage(application)


async def _add_usage(application: Application) -> None:
    """Count calls in the last 30 days, with more in the working hours."""
    async with application.installation.database.write() as tx:
        (logged, *_), _ = await request_log.list_newest(tx, None, RequestFilter(status=200), limit=1, before=None)
        calls = []
        for hours in range(1, 30 * 24):
            at = logged.at - timedelta(hours=hours)
            number = 4 + 18 * (7 < at.hour < 19) + hours * 7 % 5
            slow = 40 + hours * 13 % 60
            calls += [
                replace(logged, at=at, duration_ms=slow + each, status=502 if each == 0 and hours % 9 == 0 else 200)
                for each in range(number)
            ]
        await usage.add(tx, calls)


async def _sign_in_to_acme(application: Application, client: Client) -> None:
    """Create two connections with tokens. Acme cannot refresh the tokens of the second connection."""
    acme = application.acme.acme
    client_id, client_secret = acme.register_client(f"{PUBLIC_URL}/connect/callback/acme")
    await client.send(
        "PUT", "/v1/integrations/acme/oauth-client", {"client_id": client_id, "client_secret": client_secret}
    )
    ids = []
    for account, scopes in ((GLOBEX, "account:read contacts:read"), (INITECH, "account:read")):
        tokens = acme.grants.start(account, client_id, tuple(scopes.split()))
        credentials = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "scope": scopes}
        imported: dict[str, Any] = {"auth_type": "oauth2", "multiple": True, "metadata": {"team": "sales"}}
        ids.append((await client.connect("user_1045", **imported, credentials=credentials))["id"])
    acme.faults.token_status = 503
    await client.post(f"/v1/connections/{ids[-1]}/refresh")
    acme.faults.token_status = None


def _parameters(spec: PageSpec) -> set[str]:
    return {match[1] for match in _PARAMETER.finditer(spec.path)}


def _path(spec: PageSpec, values: Mapping[str, str]) -> str:
    """Return a path of the page. Raises: AssertionError for a parameter without a sample."""
    missing = _parameters(spec) - set(values) if spec.method == "GET" else set()
    assert not missing, f"{spec.name}: add {missing} to SAMPLES in tests/dashboard/served.py"
    return _PARAMETER.sub(lambda match: values.get(match[1], "-"), spec.path)


@pytest.fixture(scope="session")
def served_team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedTeam]:
    """The server for all browser tests of the session."""
    with running_team(tmp_path_factory.mktemp("team")) as team:
        yield team
