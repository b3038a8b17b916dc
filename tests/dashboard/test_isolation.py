"""P1, P14: no page, action or form of the dashboard reads or changes anything of another organization.

The pages come from their declarations, and the forms from the pages, so new ones need no change here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from sqlalchemy import insert, select

from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.declarations import ORGANIZATION, PUBLIC, PageSpec
from one_runtime.db.ids import new_id
from one_runtime.db.schema import dashboard_sessions, members, passkeys
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.team import invitations
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.roles import ROLES
from tests.api.test_isolation import Tenant, rows_of, tenant
from tests.dashboard.served import PROGRAM
from tests.dashboard.team import Team, TeamBrowser
from tests.mcp.conftest import Agents

pytestmark = [pytest.mark.promise("P1", "P14"), pytest.mark.slow, pytest.mark.timeout(240)]

_PARAMETER: Final = re.compile(r"\{(\w+)[^}]*\}")


@dataclass(slots=True)
class Form:
    """A form of a page. `fields`: the names of its fields with their values."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class FormParser(HTMLParser):
    """Finds the forms of a page."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self.forms = list[Form]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("method", "get"), values.get("action") or self._path))
        elif tag in {"input", "select", "textarea", "button"} and values.get("name") and self.forms:
            self.forms[-1].fields.setdefault(values["name"], values.get("value", ""))


@dataclass(frozen=True, slots=True)
class Workplace:
    """An organization with a row of every kind. `values`: its ids, by the parameters of pages. `marks`: its texts."""

    tenant: Tenant
    owner: TeamBrowser
    values: Mapping[str, str]
    marks: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids that an attack sends. The attacker's own pages can then show them."""
        return frozenset({*self.values.values(), *self.tenant.ids.values()})

    def path(self, spec: PageSpec, **values: str) -> str:
        """Return the path of a page. `values`: replace values of the organization."""
        known = {**self.values, **values}
        missing = {name for name in _PARAMETER.findall(spec.path) if name not in known}
        assert not missing, f"{spec.name}: add a value of {missing} to `workplace` in {__file__}"
        return _PARAMETER.sub(lambda match: quote(known[match[1]], safe=""), spec.path)


async def workplace(team: Team, name: str, account: str) -> Workplace:
    """Create an organization with a member, an invitation, a passkey and a program's run."""
    application = team.application
    made = await tenant(application, name, account)
    own = Team(application, made.organization, made.client)
    owner = await own.browser("owner")
    member_id = await own.member("developer")
    async with Agents(application, made.client).connect(end_user_id=made.own_user, name=f"mark of {name}") as agent:
        await agent.call("run_python", code=PROGRAM)
    await application.app.services.request_log.flush()
    calls = (await made.client.get("/v1/proxy-requests")).json()["proxy_requests"]
    key = (await made.client.post("/v1/api-keys", {"name": f"key of {name}", "scopes": ["read"]})).json()
    passkey: dict[str, Any] = {"id": new_id(), "member_id": owner.member_id, "credential_id": name.encode()}
    passkey |= {"public_key": b"", "sign_count": 1, "transports": [], "name": f"passkey of {name}"}
    async with application.installation.database.write() as tx:
        now, email = application.clock(), f"invited-by-{name}@example.com"
        actor = Actor(made.organization, "member", owner.member_id)
        invitation, _ = await invitations.create(tx, actor, email, "support", now)
        await tx.execute(insert(passkeys), last_used_at=None, created_at=now, **passkey)
        (session,) = await tx.all(
            select(dashboard_sessions.c.id).where(dashboard_sessions.c.member_id == owner.member_id)
        )
        member = await tx.one(select(members.c.email).where(members.c.id == member_id))
    assert member is not None
    values = {
        "organization_id": made.organization,
        "connection_id": made.connection["id"],
        "end_user_id": made.own_user,
        "integration_slug": made.custom["slug"],
        "custom_slug": made.custom["slug"],
        "webhook_endpoint_id": made.webhook["id"],
        "event_id": made.events[0],
        "end_user_token_id": made.token["id"],
        "logged_request_id": calls[0]["id"],
        "run_id": next(call["run_id"] for call in calls if call["run_id"]),
        "api_key_id": key["id"],
        "invitation_id": invitation.id,
        "member_id": member_id,
        "passkey_id": passkey["id"],
        "session_id": session.id,
    }
    marks = {*made.marks, *values.values(), f"key of {name}", passkey["name"], email, member.email}
    return Workplace(made, owner, values, frozenset(marks) - {made.custom["slug"]})


@pytest.fixture
async def workplaces(team: Team) -> tuple[Workplace, Workplace]:
    """Provide the victim, and the organization of the attacker."""
    return await workplace(team, "one", GLOBEX), await workplace(team, "other", INITECH)


def check(victim: Workplace, sent: str, answer: httpx2.Response) -> None:
    """Fail if an answer contains something of the victim that no attack sends."""
    shown = f"{answer.text} {answer.headers.get('location', '')}"
    seen = {mark for mark in victim.marks - victim.ids if mark in shown}
    assert not seen, f"{sent}: {answer.status_code} with {seen}"
    assert answer.status_code < 500, f"{sent}: {answer.status_code}"


async def send(browser: TeamBrowser, method: str, path: str, fields: Mapping[str, str]) -> httpx2.Response:
    if method.upper() == "GET":
        return await browser.http.get(path, params=dict(fields) or None)
    return await browser.post(path, fields)


async def forms_of(browser: TeamBrowser, organization: Workplace) -> list[Form]:
    """Return the forms of all pages of the organization, and of the member's account."""
    forms = dict[tuple[str, str, tuple[str, ...]], Form]()
    for spec in PAGES:
        if spec.method == "GET" and spec.access is not PUBLIC:
            path = organization.path(spec)
            parser = FormParser(path)
            parser.feed((await browser.http.get(path)).text)
            for form in parser.forms:
                forms[form.method, form.action, tuple(form.fields)] = form
    return [form for form in forms.values() if form.action != "/sign-out"]


def attacks(form: Form, attacker: Workplace, victim: Workplace) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the form with ids of the victim: in its address, and in each of its fields."""
    for name, own in attacker.values.items():
        if quote(own, safe="") in form.action:
            yield form.action.replace(quote(own, safe=""), quote(victim.values[name], safe="")), form.fields
    for name in form.fields:
        for value in sorted(victim.ids):
            yield form.action, {**form.fields, name: value}


async def everything_of(team: Team, victim: Workplace) -> object:
    """Return all rows of the victim's organization and of its owner."""
    rows = dict[str, object](await rows_of(team.application, victim.tenant.organization))
    owner = victim.owner.member_id
    async with team.application.installation.database.read() as tx:
        for table in (members, passkeys, dashboard_sessions):
            column = table.c.id if table is members else table.c.member_id
            rows[f"{table.name} of the owner"] = [
                tuple(row) for row in await tx.all(select(table).where(column == owner))
            ]
    return rows


async def test_pages_and_actions_of_another_organization_are_not_found(
    team: Team, workplaces: tuple[Workplace, Workplace]
) -> None:
    victim, attacker = workplaces
    before = await everything_of(team, victim)
    organization_id = attacker.tenant.organization
    strangers = [await team.browser(role, organization_id) for role in (None, *ROLES)]
    for spec in PAGES:
        own = attacker.values["organization_id"]
        paths = [victim.path(spec)] if spec.path.startswith(ORGANIZATION) else []
        if len(_PARAMETER.findall(spec.path)) > len(paths):
            paths.append(victim.path(spec, organization_id=own))
        for path in paths:
            for browser in strangers:
                answer = await send(browser, spec.method, path, {})
                check(victim, path, answer)
                place = answer.headers.get("location", "").partition("?")[0]
                if path.startswith(f"/o/{victim.tenant.organization}"):
                    expected = answer.status_code == 404 if browser.member_id else place == "/sign-in"
                    assert expected, f"{spec.name} as {browser.member_id}: {answer.status_code} {place}"
    assert await everything_of(team, victim) == before


async def test_no_form_accepts_an_id_of_another_organization(
    team: Team, workplaces: tuple[Workplace, Workplace]
) -> None:
    victim, attacker = workplaces
    before, sent = await everything_of(team, victim), 0
    forms = await forms_of(attacker.owner, attacker)
    actions = {spec.name for spec in PAGES if spec.method == "POST" and spec.access is not PUBLIC}
    assert len(forms) > len(actions) / 2, "the pages show the forms of most actions"
    for form in forms:
        for action, fields in attacks(form, attacker, victim):
            answer = await send(attacker.owner, form.method, action, fields)
            check(victim, f"{form.method} {action} {fields}", answer)
            sent += 1
            if answer.headers.get("location", "").startswith("/sign-in"):
                await team.sign_in(attacker.owner.http, str(attacker.owner.member_id))
    assert sent > 1_000
    assert await everything_of(team, victim) == before


async def test_same_requests_work_within_the_own_organization(
    team: Team, workplaces: tuple[Workplace, Workplace]
) -> None:
    """Otherwise, the tests above could pass because their requests are wrong."""
    victim, _ = workplaces
    before, shown = await everything_of(team, victim), ""
    pages = [spec for spec in PAGES if spec.method == "GET" and spec.access is not PUBLIC]
    for spec in pages:
        answer = await victim.owner.http.get(victim.path(spec))
        assert answer.status_code in {200, 303}, f"{spec.name}: {answer.status_code}"
        shown += answer.text
    marks = victim.marks - victim.ids
    assert sum(mark in shown for mark in marks) > len(marks) / 2, "the pages show the marks that no attack sends"
    for form in await forms_of(victim.owner, victim):
        if form.method != "get":
            await send(victim.owner, form.method, form.action, form.fields)
    assert await everything_of(team, victim) != before
