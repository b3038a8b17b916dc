"""P1, P11: a fuzzed request crashes no route, and returns neither a secret nor data of another organization.

The routes, the parameters and the fields come from the application and its source, so new ones need no change here.
"""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import httpx2
import pytest
from starlette.routing import Route

import one_runtime
from one_runtime.dashboard.application import PAGES
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.tenancy.roles import ROLES
from tests.api.operations import Operation, operations, put, texts
from tests.api.test_isolation import Tenant, fitting, rows_of, tenant
from tests.application import ACME_KEYS, JSON, PUBLIC_URL, Application, RunningAcme, is_relayed, settings_for, started
from tests.dashboard.team import DASHBOARD_URL, FORM, Team
from tests.figures import Figures

pytestmark = [pytest.mark.promise("P1", "P11"), pytest.mark.slow]

REQUESTS: Final = 26_000
FRESH: Final = 2_000
"""Number of requests after which the caller gets a new organization, because requests delete its rows."""
FRESH_SESSIONS: Final = 200
"""Number of requests after which the members sign in again, because requests sign them out."""

TEXTS: Final = (
    "", " ", "\x00", "a\x00b", "\ud800", "a\udfffb", "../../etc/passwd", "..\\..", "%00", "%", "%zz", "+", ";", "&",
    "'", "' OR 1=1 --", '"', "`", "$(id)", "{{7*7}}", "${7*7}", "\"><script>alert(1)</script>", "javascript:alert(1)",
    "a" * 5_000, "\N{COLLISION SYMBOL}" * 300, "\u202e", "\ufeff", "\r\nset-cookie: a=b", "\x1b[31m", "\N{BULLET}",
    "0", "-0", "-1", "1.5", "1e400", "9" * 30, "2147483648", "9223372036854775808", "NaN", "Infinity", "\u0663",
    "true", "null", "[]", "{}", "*", "%%", "_", "\\", "/", "//evil.example", "https://evil.example/", "http://[::1",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
    "2026-12-02T00:00:00+23:59", "2026-12-02", "0000-00-00", "1969-12-31T23:59:59Z", "-1-1-1",
    "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "orc_\x00", "x" * 64, "acme",
)  # fmt: skip
VALUES: Final[tuple[object, ...]] = (
    *TEXTS, 0, -1, 1.5, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, True, False, None, [], {}, [[]], [None] * 500,
    {"a": {"b": {"c": [1, {"d": None}]}}}, {"\x00": 1}, {"": ""}, ["\ud800"],
)  # fmt: skip
BODIES: Final = (
    b"", b"{", b"[]", b"null", b"1e999", b"\xff\xfe{}", b"[" * 5_000, b'{"a":' * 2_000, b'{"a":1,"a":2}', b"\x00",
    b"--x\r\n", b"a: &a [*a]", b"&" * 5_000, b"a=%ED%A0%80&b=%00", b"{}" * 100,
)  # fmt: skip
HEADERS: Final = (
    "accept", "accept-encoding", "accept-language", "authorization", "content-encoding", "content-type", "cookie",
    "forwarded", "hx-request", "idempotency-key", "if-match", "if-none-match", "mcp-protocol-version", "mcp-session-id",
    "one-runtime-connection", "one-runtime-end-user", "origin", "range", "sec-fetch-dest", "sec-fetch-site",
    "traceparent", "x-forwarded-for", "x-forwarded-proto", "x-http-method-override",
)  # fmt: skip
HEADER_VALUES: Final = (
    b"", b"*", b"*/*;q=nan", b"\xff", b"a" * 2_000, b'W/"', b'"', b",,,", b"Bearer", b"Bearer oru_x_y", b"Basic Og==",
    b"gzip", b"text/html", b"application/json; charset=utf-16", b"multipart/form-data", b"bytes=-1", b"-1", b"1" * 40,
    b"00-0-0-0", b"null", b"cross-site", b"same-origin", b"document", b"true", b"127.0.0.1, ::1", b"or_session=%00;;=",
    b"2026-07-28", b"1999-01-01",
)  # fmt: skip

_SOURCE: Final = Path(one_runtime.__file__).parent
_READ: Final = re.compile(r"""(?:\.get|\.getlist|query|_field)\(\s*"([a-z_]+)\"""")
Values: TypeAlias = Mapping[str, str]


def read_names(*folders: str) -> Sequence[str]:
    """Return the names of query parameters, form fields and cookies that the code of an entry point reads."""
    sources = (path.read_text("utf-8") for folder in folders for path in sorted((_SOURCE / folder).rglob("*.py")))
    return sorted({name for source in sources for name in _READ.findall(source)})


@dataclass(frozen=True, slots=True)
class Target:
    """A route. `names`: of parameters and fields that it may read. `operation`: None outside the OpenAPI document."""

    method: str
    path: str
    names: Sequence[str]
    is_dashboard: bool = False
    operation: Operation | None = None

    @property
    def name(self) -> str:
        return f"{'dashboard ' if self.is_dashboard else ''}{self.method} {self.path}"


def targets(application: Application, document: Mapping[str, Any]) -> list[Target]:
    """Return all routes of both listeners."""
    listed = list[Target]()
    for operation in operations(document):
        names = list(operation.parameters_in("query"))
        listed.append(Target(operation.method, operation.path, names, operation=operation))
    documented = {(target.method, target.path) for target in listed}
    of_pages = read_names("connect", "mcp")
    for route in application.app.app.routes:
        if isinstance(route, Route):
            more = {(method, route.path_format) for method in route.methods or ()} - documented
            listed += [Target(method, path, of_pages) for method, path in sorted(more) if method != "HEAD"]
    of_dashboard = read_names("dashboard")
    return listed + [Target(spec.method, spec.path, of_dashboard, is_dashboard=True) for spec in PAGES]


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of the attacking organization. `tokens`: for the API. `sessions`: of members of the dashboard."""

    organization: Tenant
    tokens: Sequence[str]
    team: Team
    sessions: list[str]
    http: httpx2.AsyncClient
    dashboard: httpx2.AsyncClient


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """Makes and sends requests. `chance`: with the seed of a failed run, it makes the same requests again."""

    chance: random.Random
    victim: Values
    victims_marks: frozenset[str]
    secrets: frozenset[str]
    statuses: Counter[int] = field(default_factory=Counter)
    reached: set[str] = field(default_factory=set)

    def value(self, name: str, own: Values) -> str:
        """Return a value of the caller's organization, a value of the victim, or a hostile text."""
        kind = self.chance.random()
        if kind < 0.6:
            return own.get(name) or self.chance.choice(list(own.values()))
        if kind < 0.75:
            return self.victim.get(name) or self.chance.choice(list(self.victim.values()))
        return self.chance.choice(TEXTS)

    def request(self, target: Target, caller: Caller) -> httpx2.Request:
        """Return a request of the route with random values and, sometimes, with random headers."""
        own = values_of(caller.organization)
        path = re.sub(
            r"\{(\w+)[^}]*\}",
            lambda match: quote(self.value(match[1], own), safe="/", errors="surrogatepass"),
            target.path,
        )
        names = self.chance.sample(target.names, self.chance.randint(0, min(3, len(target.names))))
        query = [(name, self.value(name, own)) for name in names if target.method == "GET" or target.operation]
        if self.chance.random() < 0.1:
            query.append((self.chance.choice(TEXTS), self.chance.choice(TEXTS)))
        headers, content = self.body(target, own)
        http = caller.dashboard if target.is_dashboard else caller.http
        if target.is_dashboard and self.chance.random() < 0.9:
            headers["cookie"] = f"or_session={self.chance.choice(caller.sessions)}".encode()
        elif not target.is_dashboard and self.chance.random() < 0.95:
            token = caller.tokens[0] if self.chance.random() < 0.8 else self.chance.choice(caller.tokens)
            headers["authorization"] = f"Bearer {token}".encode()
        if self.chance.random() < 0.3:
            headers[self.chance.choice(HEADERS)] = self.chance.choice(HEADER_VALUES)
        address = f"{path}?{urlencode(query, errors='surrogatepass')}" if query else path
        url = f"{DASHBOARD_URL if target.is_dashboard else PUBLIC_URL}{address}"
        return http.build_request(
            target.method, url, headers=[(name.encode(), value) for name, value in headers.items()], content=content
        )

    def body(self, target: Target, own: Values) -> tuple[dict[str, bytes], bytes | None]:
        """Return the headers and the content of a request."""
        if target.method in {"GET", "DELETE"} and target.operation is None:
            return {}, None
        if self.chance.random() < 0.1:
            kinds = (b"application/json", b"application/x-www-form-urlencoded", b"application/yaml", b"text/plain")
            headers = {"content-type": self.chance.choice(kinds), "sec-fetch-site": b"same-origin"}
            return headers, self.chance.choice(BODIES)
        if target.operation is not None or "/session" in target.path or "mcp" in target.path:
            return {name: value.encode() for name, value in JSON.items()}, self.json(target, own)
        names = self.chance.sample(target.names, self.chance.randint(0, 8))
        fields = urlencode([(name, self.value(name, own)) for name in names], errors="surrogatepass")
        return {name: value.encode() for name, value in FORM.items()}, fields.encode()

    def json(self, target: Target, own: Values) -> bytes | None:
        """Return the valid body of an operation with up to three hostile values, or an object of random fields."""
        operation = target.operation
        if operation is None:
            names = self.chance.sample(target.names, self.chance.randint(0, 5))
            document: Any = {name: self.chance.choice([self.value(name, own), *VALUES]) for name in names}
        elif operation.body is None:
            return None
        else:
            document = fitting(operation, dict(own))
            places = list(texts(operation.body))
            for place in self.chance.sample(places, min(len(places), self.chance.randint(0, 3))):
                document = put(document, place, self.chance.choice(VALUES))
        return json.dumps(document).encode()

    def faults(self, target: Target, answer: httpx2.Response) -> Iterator[str]:
        """Yield what is wrong with an answer."""
        self.statuses[answer.status_code] += 1
        if answer.status_code < 400 and not answer.headers.get("location", "").startswith("/sign-in"):
            self.reached.add(target.name)
        if answer.status_code >= 500 and not is_relayed(answer) and answer.status_code not in {502, 503, 504}:
            yield f"the status is {answer.status_code}"
        shown = f"{answer.text}\n{answer.headers}"
        yield from (f"the answer contains {mark!r}" for mark in self.victims_marks if mark in shown)
        if not target.path.endswith("/credentials"):
            yield from (f"the answer contains {secret!r}" for secret in self.secrets if secret in shown)


def values_of(organization: Tenant) -> Values:
    """Return the ids of an organization, by the names of parameters and fields."""
    return {
        **organization.ids,
        "organization_id": organization.organization,
        "event_id": organization.events[0],
        "slug": "acme",
        "integration_slug": "acme",
        "custom_slug": organization.custom["slug"],
    }


async def caller_of(application: Application, number: int) -> Caller:
    """Create an organization with members, and return its callers."""
    organization = await tenant(application, f"other{number}", INITECH)
    key = organization.client.http.headers["authorization"].removeprefix("Bearer ")
    team = Team(application, organization.organization, organization.client)
    token = await organization.client.post("/v1/end-user-tokens", {"end_user_id": organization.own_user})
    transport = httpx2.ASGITransport(application.app, raise_app_exceptions=True)
    return Caller(
        organization,
        (key, organization.session["session_token"], token.json()["end_user_token"], "junk"),
        team,
        await sessions_of(team),
        httpx2.AsyncClient(transport=transport),
        httpx2.AsyncClient(transport=transport),
    )


async def sessions_of(team: Team) -> list[str]:
    """Return the tokens of the sessions of new members, one in each role and a second owner."""
    return [(await team.browser(role)).http.cookies["or_session"] for role in (*ROLES, "owner")]


async def fuzz(application: Application, seed: int, count: int) -> str:
    """Send random requests to all routes in turn. Return the figures."""
    begun = time.monotonic()
    victim = await tenant(application, "one", GLOBEX)
    before = await rows_of(application, victim.organization)
    document = (await victim.client.get("/openapi.json")).json()
    routes = targets(application, document)
    sent_marks = frozenset(values_of(victim).values())
    fuzzer = Fuzzer(
        random.Random(seed),
        values_of(victim),
        frozenset(victim.marks) - sent_marks,
        frozenset({*ACME_KEYS.values(), *client_secrets(), *encryption_keys(application)}),
    )
    caller, faults = await caller_of(application, 0), list[str]()
    for number in range(count):
        if number and number % FRESH == 0:
            caller = await caller_of(application, number)
        elif number % FRESH_SESSIONS == 0:
            caller.sessions[:] = await sessions_of(caller.team)
        target = routes[number % len(routes)]
        request = fuzzer.request(target, caller)
        http = caller.dashboard if target.is_dashboard else caller.http
        http.cookies.clear()
        answer = await http.send(request)
        faults += [f"{fault}: {described(request)}" for fault in fuzzer.faults(target, answer)]
    unreached = sorted({target.name for target in routes} - fuzzer.reached)
    assert not faults, f"{len(faults)} faults with the seed {seed}:\n" + "\n".join(faults[:20])
    assert await rows_of(application, victim.organization) == before
    assert len(fuzzer.reached) > len(routes) / 4, f"the requests do not reach {unreached}"
    statuses = ", ".join(f"{status}: {number:,}" for status, number in sorted(fuzzer.statuses.items()))
    return (
        f"{count:,} requests to {len(routes)} routes in {time.monotonic() - begun:.0f} s (seed {seed}), "
        f"{len(fuzzer.reached)} routes with a success, no fault. Statuses: {statuses}"
    )


def client_secrets() -> Iterator[str]:
    yield "secret of the client of one"


def encryption_keys(application: Application) -> Iterator[str]:
    yield application.installation.settings.encryption_keys.get_secret_value().rpartition(":")[2]


def described(request: httpx2.Request) -> str:
    """Return a request for a message."""
    return f"{request.method} {str(request.url)[:400]} {dict(request.headers)} {request.content[:400]!r}"


async def run(database_url: str, acme: RunningAcme, count: int) -> str:
    settings = settings_for(database_url, acme, dashboard_listen="127.0.0.1:8003")
    async with started(settings, acme, worker=False) as application:
        return await fuzz(application, random.randrange(2**32), count)


@pytest.mark.timeout(180)
async def test_fuzzed_requests_crash_nothing_and_return_nothing_of_others(
    database_url: str, acme: RunningAcme, figures: Figures
) -> None:
    figures(await run(database_url, acme, 1_500))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.only_database("postgresql")
async def test_many_fuzzed_requests_crash_nothing_and_return_nothing_of_others(
    database_url: str, acme: RunningAcme, figures: Figures
) -> None:
    figures(await run(database_url, acme, REQUESTS))
