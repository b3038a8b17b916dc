"""P17: no route and no tool occupies the event loop for long with the largest input that it accepts.

The walk measures the processor time of each step of the loop, so other work on the machine changes nothing. The drill
measures what another organization notices.
"""

import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from one_runtime.agents.approvals import MAX_BODY as MAX_APPROVED
from one_runtime.agents.requests import MAX_FORM, MAX_QUERY
from one_runtime.agents.shaping import MAX_BYTES
from one_runtime.api.middleware import MAX_BODY_BYTES
from one_runtime.demo.acme import GLOBEX, Acme
from one_runtime.serving.http_protocol import MAX_HEAD
from one_runtime.validation.json_values import MAX_VALUES, MAX_WITHOUT_TEXTS
from tests.api.operations import example
from tests.api.test_isolation import Tenant, tenant
from tests.application import ACME_KEYS, JSON, PUBLIC_URL, Application, RunningAcme, running, settings_for, started
from tests.dashboard.team import DASHBOARD_URL, FORM, Team
from tests.figures import Figures
from tests.mcp.conftest import Agents, message, use_own_page
from tests.promises.serving import Serving, make_key, serving
from tests.promises.test_fuzzed_requests import Target, targets, values_of

pytestmark = [pytest.mark.promise("P17"), pytest.mark.slow, pytest.mark.timeout(180)]

LONGEST_STEP: Final = 0.05
"""Processor time in seconds. The longest measured step takes 10 ms, and without the limits 150 ms."""
LARGEST_P99: Final = 0.1
"""Seconds for the list of another organization."""
SIZE: Final = MAX_BODY_BYTES - 4_000
MANY: Final = MAX_VALUES - 1_000
DIGITS: Final = 4_000
"""Digits of a long integer. Python reads at most 4,300."""
HEAD: Final = MAX_HEAD - 4_000
SMALL: Final = 16_000
"""Size of a response that the event loop reads, and no process."""
SECONDS: Final = 20.0
PAUSE: Final = 0.001
"""Seconds between two looks at the clock of the loop."""
PARTS: Final = 6
"""Number of tests that share the routes, because all of them together take minutes on a busy machine."""

Shape: TypeAlias = tuple[str, str]


def large_values(size: int = SIZE, many: int = MANY) -> Iterator[Shape]:
    """Yield JSON values with at most `size` bytes: accepted numbers of values, and long texts and numbers."""
    many, digits = min(many, size // 12), min(size, MAX_WITHOUT_TEXTS)
    yield "names", "{" + ",".join(f'"a{number}":1' for number in range(many)) + "}"
    yield "objects", "[" + ",".join(["{}"] * (many // 2)) + "]"
    yield "lists", "[" + ",".join(["[]"] * (many // 2)) + "]"
    yield "texts", "[" + ",".join(['"' + "a" * (size // many - 3) + '"'] * many) + "]"
    yield "floats", "[" + ",".join(["1." + "3" * (digits // many - 4)] * many) + "]"
    yield "integers", "[" + ",".join(["1" * DIGITS] * (digits // DIGITS - 2)) + "]"
    yield "text", '"' + "a" * (size - 2) + '"'
    yield "escapes", '"' + r"\ud83d\ude00" * (size // 12 - 1) + '"'
    yield "separators", '"' + ",[{" * (size // 3 - 1) + '"'
    yield "quotation marks", '"' + r"\"" * (size // 2 - 1) + '"'
    yield "nested", "[" * 900 + "]" * 900
    yield "marks", '"' + "\u0316\u0300" * (size // 4 - 1) + '"'
    yield "method of marks", '{"method":"' + "\u0316\u0300" * (size // 4 - 8) + '"}'
    yield "nests", "[" + ",".join(["[" * 90 + "]" * 90] * (many // 91)) + "]"


def too_many_values(size: int = SIZE) -> Iterator[Shape]:
    """Yield JSON that fits into a body, and has more values than a body may have."""
    yield "too many numbers", "[" + ",".join(["1"] * (size // 2)) + "]"
    yield "too many names", "{" + ",".join(f'"{number}":1' for number in range(size // 10)) + "}"
    yield "too many objects", "[" + ",".join(["{}"] * (size // 3)) + "]"
    yield "too many nests", "[" + ",".join(["[" * 90 + "]" * 90] * (size // 181)) + "]"
    yield "too many integers", "[" + ",".join(["1" * DIGITS] * (size // DIGITS - 1)) + "]"


LARGE_VALUES: Final = tuple(large_values())
ALL_VALUES: Final = (*LARGE_VALUES, *too_many_values())


class LoopMeter:
    """Measures steps of the event loop. `longest`: the processor time of the longest step, in seconds.

    Short steps within a millisecond count together. Measuring each one alone would keep a processor busy, and the
    processes to which the server gives large inputs would wait for it.
    """

    longest = 0.0
    _begun = 0.0
    _timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measure until the block ends. A server collects no garbage of its start, so this process does not either."""
        gc.disable()
        self._begun = time.thread_time()
        self.longest = 0.0
        self._look()
        try:
            yield
        finally:
            gc.enable()
            self._look()  # the last step ends with the block
            if self._timer is not None:
                self._timer.cancel()

    def _look(self) -> None:
        """Note the processor time since the last look, and look again after the next step."""
        if self._timer is not None:
            self._timer.cancel()
        now = time.thread_time()
        self.longest, self._begun = max(self.longest, now - self._begun), now
        self._timer = asyncio.get_running_loop().call_later(PAUSE, self._look)


class Walk:
    """Sends large requests, and collects what took how long."""

    def __init__(self, application: Application, organization: Tenant, team: Team, session: str) -> None:
        self.own = values_of(organization)
        self.key = organization.client.http.headers["authorization"]
        self.team, self.session = team, session
        transport = httpx2.ASGITransport(application.app, raise_app_exceptions=True)
        self.http = httpx2.AsyncClient(transport=transport)
        self.meter, self.headers = LoopMeter(), cycle(long_headers())
        self.measured: list[tuple[float, str]] = []
        self.statuses: set[int] = set()

    async def send(self, name: str, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Send a request, and a slow one up to three times: on a busy machine, one measurement can be wrong."""
        times, status = list[float](), 0
        while len(times) < 3 and (not times or times[-1] > LONGEST_STEP):
            request = self.http.build_request(method, url, headers=dict(headers), content=body)
            self.http.cookies.clear()
            async with self.meter.measured():
                status = (await self.http.send(request)).status_code
            times.append(self.meter.longest)
        self.statuses.add(status)
        self.measured.append((min(times), f"{name} {status}"))

    async def visit(self, target: Target) -> None:
        """Send the large requests of one route."""
        path = target.path
        for parameter, value in self.own.items():
            path = path.replace("{" + parameter + "}", value).replace("{" + parameter + ":path}", value)
        url = f"{DASHBOARD_URL if target.is_dashboard else PUBLIC_URL}{path}"
        who = {"cookie": f"or_session={self.session}"} if target.is_dashboard else {"authorization": self.key}
        for kind, query in long_queries(target):
            await self.send(f"{target.name} {kind}", target.method, f"{url}?{query}", who, None)
        kind, headers = next(self.headers)
        await self.send(f"{target.name} {kind}", target.method, url, {**who, **headers}, None)
        if target.method in {"GET", "HEAD"}:
            return
        for kind, form, body in large_bodies(target):
            await self.send(f"{target.name} {kind}", target.method, url, {**form, **who}, body)

    def slow(self) -> list[str]:
        """Return the slowest requests above the limit."""
        return [f"{took * 1000:.0f} ms: {name}" for took, name in sorted(self.measured)[::-1] if took > LONGEST_STEP]

    def figures(self) -> str:
        took, name = max(self.measured)
        return f"{len(self.measured):,} large requests, longest step of the event loop {took * 1000:.1f} ms ({name})"


def long_queries(target: Target) -> Iterator[tuple[str, str]]:
    """Yield queries as long as a head can be."""
    yield "unknown parameters", "&".join(f"a{number}=1" for number in range(HEAD // 8))
    for number, name in enumerate(target.names[:6]):
        match number % 3:
            case 0:
                yield f"commas in {name}", f"{name}=" + "a," * (HEAD // 2)
            case 1:
                yield f"many {name}", "&".join([f"{name}=a"] * (HEAD // (len(name) + 3)))
            case _:
                yield f"long {name}", f"{name}=" + "%41" * (HEAD // 3 - len(name))


def long_headers() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield headers as long as a head can be, in the shapes that this server reads."""
    yield "entity tags", {"if-none-match": '"a",' * (HEAD // 4)}
    yield "encodings", {"accept-encoding": "gzip;q=0.1," * (HEAD // 11)}
    yield "media types", {"accept": "text/html;q=0.1," * (HEAD // 16)}
    yield "languages", {"accept-language": "de;q=0.1," * (HEAD // 9)}
    yield "cookies", {"cookie": "a=b;" * (HEAD // 4)}
    yield "proxies", {"x-forwarded-for": "127.0.0.1," * (HEAD // 10), "traceparent": "0" * 100}


def large_bodies(target: Target) -> Iterator[tuple[str, Mapping[str, str], bytes]]:
    """Yield bodies as large as the server accepts, and larger ones."""
    for kind, value in ALL_VALUES:
        yield kind, JSON, value.encode()
    yield "form", FORM, b"&".join(b"a%d=1" % number for number in range(SIZE // 9))
    yield "form of one field", FORM, b"a=" + b"%41" * (SIZE // 3)
    yield "YAML", {"content-type": "application/yaml"}, b"a: [" + b"[1]," * (SIZE // 4) + b"]"
    properties = (target.operation.body or {}).get("properties", {}) if target.operation else {}
    for name, (kind, value) in zip(properties, cycle(LARGE_VALUES), strict=False):
        yield f"{name} {kind}", JSON, f'{{"{name}":{value}}}'.encode()


async def test_every_step_is_measured() -> None:
    meter, step = LoopMeter(), 0.02

    def work() -> None:
        end = time.thread_time() + step
        while time.thread_time() < end:
            pass

    for before, after in ((0, 0), (1, 0), (0, 1), (2, 2)):
        async with meter.measured():
            for _ in range(before):
                await asyncio.sleep(0)
            work()
            for _ in range(after):
                await asyncio.sleep(0)
        assert step <= meter.longest < 2 * step, (before, after)


@asynccontextmanager
async def walking(database_url: str, acme: RunningAcme) -> AsyncIterator[tuple[Application, Tenant, Walk]]:
    settings = settings_for(database_url, acme, dashboard_listen="127.0.0.1:8003")
    async with started(settings, acme) as application:
        organization = await tenant(application, "one", GLOBEX)
        team = Team(application, organization.organization, organization.client)
        session = (await team.browser("admin")).http.cookies["or_session"]
        yield application, organization, Walk(application, organization, team, session)


@pytest.mark.soak_on("postgresql")
@pytest.mark.parametrize("part", range(PARTS))
async def test_no_route_occupies_the_event_loop_with_its_largest_input(
    database_url: str, acme: RunningAcme, figures: Figures, part: int
) -> None:
    async with walking(database_url, acme) as (application, organization, walk):
        document = (await organization.client.get("/openapi.json")).json()
        for target in list(targets(application, document))[part::PARTS]:
            await walk.visit(target)
    figures(walk.figures())
    assert not walk.slow(), "\n".join(walk.slow()[:40])
    assert walk.statuses >= {200, 413, 422}


@pytest.mark.soak_on("postgresql")
async def test_no_tool_occupies_the_event_loop_with_its_largest_arguments(
    database_url: str, acme: RunningAcme, figures: Figures
) -> None:
    async with walking(database_url, acme) as (application, organization, walk):
        agents = Agents(application, organization.client)
        token = await agents.token(organization.own_user)
        async with agents.connect(end_user_id=organization.own_user) as agent:
            tools = (await agent.client.list_tools()).tools
        for name, body, headers in large_calls({tool.name: tool.input_schema for tool in tools}):
            authorization = {"authorization": f"Bearer {token['end_user_token']}"}
            await walk.send(name, "POST", f"{PUBLIC_URL}/v1/mcp", {**headers, **authorization}, body)
    figures(walk.figures())
    assert not walk.slow(), "\n".join(walk.slow()[:40])
    assert walk.statuses >= {200, 400, 413}


def deep_bodies() -> Iterator[Shape]:
    """Yield lists at several depths, whose indented form has up to 16 MB."""
    for depth in (10, 100, 190, 900):
        items = "[" + ",".join(["1"] * (MANY - depth)) + "]"
        yield f"{depth} lists", "[" * depth + items + "]" * depth


@pytest.mark.soak_on("postgresql")
async def test_no_page_of_an_approval_occupies_the_event_loop(
    database_url: str, acme: RunningAcme, figures: Figures
) -> None:
    async with walking(database_url, acme) as (application, organization, walk):
        await use_own_page(organization.client)
        token = await Agents(application, organization.client).token(organization.own_user, access="ask")
        arguments = {"integration": "acme", "method": "POST", "path": "/v1/contacts", "body": "MARK"}
        content, headers = message("tools/call", name="call_write", arguments=arguments)
        headers["authorization"] = f"Bearer {token['end_user_token']}"
        shapes = [*deep_bodies(), *large_values(MAX_APPROVED - 1_000)]
        for kind, value in shapes:
            body = content.replace(b'"MARK"', value.encode())
            answer = (await walk.http.post(f"{PUBLIC_URL}/v1/mcp", headers=headers, content=body)).json()
            if "approval_url" not in answer.get("result", {}).get("structuredContent", {}):
                continue  # the server refuses the call, for example because its encoded body is too large
            link = urlsplit(answer["result"]["structuredContent"]["approval_url"])
            request = parse_qs(link.query)["approval_request_id"][0]
            opened = await organization.client.post(
                f"/v1/approval-requests/{request}/open", {"end_user_id": organization.own_user}
            )
            await walk.send(f"page of {kind}", "GET", opened.json()["approval_url"], {}, None)
    figures(walk.figures())
    assert not walk.slow(), "\n".join(walk.slow()[:40])
    assert walk.statuses == {200}
    assert len(walk.measured) > len(shapes) // 2


@pytest.mark.soak_on("postgresql")
@pytest.mark.parametrize("calls, code", [(100, "connect_required"), (200, "program_limit")])
async def test_no_program_that_waits_with_many_calls_occupies_the_event_loop(
    database_url: str, acme: RunningAcme, figures: Figures, calls: int, code: str
) -> None:
    program = (
        "import asyncio\nfrom one_runtime import call\nbody = [[]] * 2_450\n"
        f"await asyncio.gather(*[call('hubspot', 'POST', '/x', body=body) for _ in range({calls})])"
    )
    async with walking(database_url, acme) as (application, organization, walk):
        token = await Agents(application, organization.client).token(organization.own_user)
        authorization = {"authorization": f"Bearer {token['end_user_token']}"}
        arguments: dict[str, Any] = {"code": program}
        for step in ("start", "continuation"):
            content, headers = message("tools/call", name="run_python", arguments=arguments)
            headers |= authorization
            await walk.send(f"{step} with {calls} calls", "POST", f"{PUBLIC_URL}/v1/mcp", headers, content)
            answer = (await walk.http.post(f"{PUBLIC_URL}/v1/mcp", headers=headers, content=content)).json()
            data = answer["result"]["structuredContent"]
            assert data["code"] == code, data
            arguments = {"run_id": data["run_id"]} if code == "connect_required" else arguments
    figures(walk.figures())
    assert not walk.slow(), "\n".join(walk.slow()[:40])


def wide_document(url: str) -> dict[str, Any]:
    """Return an OpenAPI document with 100 functions of 100 parameters each."""
    methods = ("get", "post", "put", "patch", "delete")
    parameters = [{"name": f"a{number}", "in": "query"} for number in range(100)]
    paths = {
        f"/{number}": {each: {"operationId": f"{each}{number}", "parameters": parameters} for each in methods}
        for number in range(20)
    }
    info = {"title": "Wide", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "servers": [{"url": url}], "security": [{}], "paths": paths}


@pytest.mark.soak_on("postgresql")
async def test_no_program_that_imports_many_functions_occupies_the_event_loop(
    database_url: str, acme: RunningAcme, figures: Figures
) -> None:
    async with walking(database_url, acme) as (application, organization, walk):
        wide = [f"x-wide-{number}" for number in range(6)]
        for slug in wide:
            document = wide_document(application.acme.url)
            added = await organization.client.send("PUT", f"/v1/custom-integrations/{slug}", document)
            assert added.status_code == 201, added.text
        token = await Agents(application, organization.client).token(organization.own_user)
        modules = [slug.replace("-", "_") for slug in wide]
        names, codes = [f"{module}.get{number}" for module in modules for number in range(20)], list[str | None]()
        for kind, lines in (("no", ["1"]), ("one", [names[7]]), ("many", names)):
            arguments = {"code": "\n".join([f"import {', '.join(modules)}", *lines])}
            content, headers = message("tools/call", name="run_python", arguments=arguments)
            headers["authorization"] = f"Bearer {token['end_user_token']}"
            await walk.send(f"{kind} functions", "POST", f"{PUBLIC_URL}/v1/mcp", headers, content)
            answer = (await walk.http.post(f"{PUBLIC_URL}/v1/mcp", headers=headers, content=content)).json()
            codes.append(answer["result"]["structuredContent"].get("code"))
    figures(walk.figures())
    assert not walk.slow(), "\n".join(walk.slow()[:40])
    assert codes == [None, None, "program_limit"]


@dataclass(slots=True)
class Echo:
    """Acme CRM with one more path, `/v1/echo`, which returns `body`."""

    acme: ASGIApp
    body: bytes = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/v1/echo":
            await Response(self.body, media_type="application/json")(scope, receive, send)
        else:
            await self.acme(scope, receive, send)


@pytest.mark.soak_on("postgresql")
async def test_no_answer_of_a_provider_occupies_the_event_loop(database_url: str, figures: Figures) -> None:
    acme = Acme(ACME_KEYS)
    echo = Echo(acme.app)
    async with (
        running(echo) as port,
        walking(database_url, RunningAcme(f"http://127.0.0.1:{port}", port, acme)) as (application, organization, walk),
    ):
        token = await Agents(application, organization.client).token(organization.own_user)
        content, headers = message(
            "tools/call",
            name="call_read",
            arguments={"integration": "acme", "path": "/v1/echo", "max_bytes": MAX_BYTES},
        )
        headers["authorization"] = f"Bearer {token['end_user_token']}"
        older = {name: value for name, value in headers.items() if not name.startswith("mcp-")}
        for size in (SMALL, MAX_BYTES, SIZE):
            for kind, value in (*large_values(size), *too_many_values(size)):
                echo.body = value.encode()
                await walk.send(f"{size} bytes of {kind}", "POST", f"{PUBLIC_URL}/v1/mcp", headers, content)
                await walk.send(f"{size} bytes of {kind}, older", "POST", f"{PUBLIC_URL}/v1/mcp", older, content)
    figures(walk.figures())
    assert not walk.slow(), "\n".join(walk.slow()[:40])
    assert walk.statuses == {200}


SHORTER: Final[Mapping[str, tuple[tuple[str, int, Mapping[str, str]], ...]]] = {
    "call_read": (("query", MAX_QUERY, {}),),
    "call_write": (("body", MAX_FORM, {"method": "POST", "body_format": "form"}),),
}
"""Arguments with a limit of their own, by tool: the name, the limit in bytes, and further arguments."""


def large_calls(schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """Yield calls of tools whose arguments, or one of them, are as large as possible."""
    for tool, schema in schemas.items():
        base = example({"type": "object", **schema})
        if tool in {"call_read", "call_write"}:
            base |= {"integration": "acme", "path": "/v1/me"}
        for kind, value in ALL_VALUES:
            for name in ("", *schema["properties"]):
                arguments = {**base, name: "MARK"} if name else "MARK"
                content, headers = message("tools/call", name=tool, arguments=arguments)
                yield f"{tool} {name} {kind}", content.replace(b'"MARK"', value.encode()), headers
        for name, size, more in SHORTER.get(tool, ()):
            content, headers = message("tools/call", name=tool, arguments={**base, **more, name: "MARK"})
            for kind, value in large_values(size - 1_000):
                yield f"{tool} short {name} {kind}", content.replace(b'"MARK"', value.encode()), headers


@pytest.mark.soak
@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_list_of_another_organization_stays_fast_beside_large_requests(
    database_url: str, tmp_path: Path, figures: Figures
) -> None:
    settings = {"ONE_RUNTIME_RATE_LIMIT": "0"}
    async with serving(Serving(database_url, settings=settings), tmp_path) as served:
        attacker, other = await make_key(database_url, "Initech"), await make_key(database_url)
        attack = asyncio.create_task(attack_of(served.url, attacker))
        times = await times_of_lists(served.url, other)
        attack.cancel()
        with suppress(asyncio.CancelledError):
            await attack
    p99 = statistics.quantiles(times, n=100)[98]
    figures(f"{len(times):,} lists, p50 {statistics.median(times) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    assert p99 < LARGEST_P99


async def times_of_lists(url: str, key: str) -> list[float]:
    """Ask for the list of an end user again and again. Return the times in seconds."""
    times, end = list[float](), time.monotonic() + SECONDS
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http:
        while time.monotonic() < end:
            begun = time.monotonic()
            answer = await http.get(f"{url}/v1/integrations?end_user_id=user_123&logo=url")
            times.append(time.monotonic() - begun)
            assert answer.status_code == 200
    return times


async def attack_of(url: str, key: str) -> None:
    """Send large bodies of all kinds to routes and tools without a pause, one request at a time."""
    headers = {"authorization": f"Bearer {key}", **JSON}
    values = [value.encode() for _, value in ALL_VALUES]
    names = "&".join(f"a{number}=1" for number in range(HEAD // 8))
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        for value in cycle(values):
            for path in ("connections", "hosted-connection-sessions", "end-user-tokens", "webhook-endpoints"):
                await http.post(f"{url}/v1/{path}", content=value)
            await http.get(f"{url}/v1/events?{names}")
            await http.post(f"{url}/oauth/token", content=b"a=" + b"%41" * (SIZE // 3), headers=FORM)
            content, more = message("tools/call", name="tool_search", arguments="MARK")
            more["one-runtime-end-user"] = "user_123"
            await http.post(f"{url}/v1/mcp", content=content.replace(b'"MARK"', value), headers=more)
            await http.post(f"{url}/v1/mcp", content=json.dumps({"a": "a" * SIZE}).encode(), headers=more)
