"""Sign-in at an OpenID provider: each step with success, refusals, and answers that are not what was promised."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import urlsplit

import jwt
import psycopg
import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import insert, select

from one_runtime.db.schema import identities, passwords, sign_in_steps
from one_runtime.egress.client import Egress
from one_runtime.errors import RateLimited
from one_runtime.oauth.openid import OpenIDAccount
from one_runtime.settings import OidcRole, Settings
from one_runtime.team import dashboard_sessions, members
from one_runtime.team.sign_in import openid
from one_runtime.team.sign_in.openid import SignInFailed
from one_runtime.team.sign_in.openid_admission import MemberRefused, admit
from one_runtime.team.sign_in.openid_provider import OpenIDClient, OpenIDUnavailable
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.roles import Role
from tests.application import Application
from tests.database import ANY_DATABASE
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, SigningKey, json_answer, running_provider
from tests.team.sign_in.openid_dashboard import ADA, Dashboard
from tests.waiting import eventually

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest_asyncio.fixture
async def dashboard(application: Application) -> AsyncIterator[Dashboard]:
    async with running_provider(application.clock) as provider:
        port = urlsplit(provider.url).port
        assert port is not None
        settings = application.installation.settings.model_copy(
            update={
                "dashboard_url": "https://team.example.com",
                "oidc_issuer": provider.url,
                "oidc_client_id": CLIENT_ID,
                "oidc_client_secret": SecretStr(CLIENT_SECRET),
            }
        )
        egress = Egress(allow=frozenset({("127.0.0.1", port)}))
        installation = replace(application.installation, settings=settings, egress=egress)
        organization = await application.organization()
        yield Dashboard(application, provider, installation, OpenIDClient(installation), organization)
        await egress.close()


async def test_invited_person_joins_and_signs_in_again_by_the_subject(dashboard: Dashboard) -> None:
    await dashboard.invite(role="admin")
    first = await dashboard.sign_in()
    assert (first.email, first.role) == (ADA, "admin")
    dashboard.provider.claims |= {"email": "ada.king@acme.example", "email_verified": False}
    again = await dashboard.sign_in()
    assert (again.member_id, again.email, again.role) == (first.member_id, ADA, "admin")
    data = {"member_id": first.member_id, "email": ADA, "role": "admin"}
    assert (await dashboard.events())[-1] == ("member.joined", "member", data)


async def test_two_first_sign_ins_at_the_same_time_link_one_member(dashboard: Dashboard) -> None:
    await dashboard.invite()
    begun = [await dashboard.begin() for _ in range(4)]
    queries = [dashboard.provider.authorize(each.url) for each in begun]
    visitors = await asyncio.gather(
        *(dashboard.finish(each.cookie, query) for each, query in zip(begun, queries, strict=True))
    )
    assert len({visitor.member_id for visitor in visitors}) == 1
    assert [kind for kind, _, _ in await dashboard.events()] == ["member.invited", "member.joined"]


async def test_database_stores_no_secret_of_a_sign_in(dashboard: Dashboard) -> None:
    begun = await dashboard.begin()
    (row,) = await dashboard.rows(select(sign_in_steps))
    for secret in (begun.cookie, *begun.url.split("=")):
        assert secret not in str(row)
    assert begun.cookie not in begun.url
    assert begun.cookie not in repr(begun)


async def test_callback_is_accepted_once_and_from_the_same_browser_only(dashboard: Dashboard) -> None:
    await dashboard.join()
    begun, other = await dashboard.begin(), await dashboard.begin()
    query = dashboard.provider.authorize(begun.url)
    for cookie in (other.cookie, "", "orss_nonsense", "é\ud800"):
        with pytest.raises(SignInFailed, match="another browser"):
            await dashboard.finish(cookie, query)
    for nonsense in (b"", b"code=1", b"state=", b"state=\xff", b"state=1&state=1", b"x" * 20_000):
        with pytest.raises(SignInFailed):
            await dashboard.finish(begun.cookie, nonsense)
    assert (await dashboard.finish(begun.cookie, query)).email == ADA
    with pytest.raises(SignInFailed, match="used before"):
        await dashboard.finish(begun.cookie, query)
    dashboard.application.clock.advance(minutes=11)
    with pytest.raises(SignInFailed, match="expired"):
        await dashboard.finish(other.cookie, dashboard.provider.authorize(other.url))


@ANY_DATABASE
@pytest.mark.parametrize(
    "callback, problem",
    [
        ({"error": "access_denied", "code": ""}, "did not let you in"),
        ({"error": "login_required", "code": ""}, "was refused"),
        ({"error": "server_error", "code": ""}, "was refused"),
        ({"code": ""}, "was refused"),
        ({"code": "another-code"}, "was refused"),
        ({"iss": "https://attacker.example"}, "was refused"),
        ({"iss": ""}, "was refused"),
    ],
)
async def test_refused_authorization_is_refused_with_one_sentence(
    dashboard: Dashboard, callback: dict[str, str], problem: str
) -> None:
    await dashboard.join()
    with pytest.raises(SignInFailed, match=problem):
        await dashboard.sign_in(**callback)


@ANY_DATABASE
async def test_wrong_issuer_is_refused_even_if_the_provider_does_not_announce_it(dashboard: Dashboard) -> None:
    await dashboard.join()
    dashboard.provider.document = {"authorization_response_iss_parameter_supported": None}
    assert (await dashboard.sign_in(iss="")).email == ADA
    with pytest.raises(SignInFailed):
        await dashboard.sign_in(iss="https://attacker.example")


def unsigned(claims: Mapping[str, object]) -> str:
    return jwt.encode(dict(claims), "", "none", headers={"kid": "key-1"})


def signed_by_another(claims: Mapping[str, object]) -> str:
    return SigningKey("key-1", "RS256", SigningKey.new(kid="other").private).sign(claims)


@ANY_DATABASE
@pytest.mark.parametrize(
    "fault",
    [
        {"signed": {"iss": "https://attacker.example"}},
        {"signed": {"aud": "another-client"}},
        {"signed": {"nonce": "another-nonce"}},
        {"signed": {"exp": 1}},
        {"signed": {"at_hash": "wrong"}},
        {"sign": unsigned},
        {"sign": signed_by_another},
        {"sign": lambda claims: "nonsense"},
    ],
    ids=["iss", "aud", "nonce", "exp", "at_hash", "none", "key", "nonsense"],
)
async def test_sign_in_with_an_invalid_id_token_is_refused(dashboard: Dashboard, fault: dict[str, Any]) -> None:
    await dashboard.join()
    for name, value in fault.items():
        setattr(dashboard.provider, name, value)
    with pytest.raises(SignInFailed, match="was refused"):
        await dashboard.sign_in()
    assert await dashboard.rows(select(identities)) == []


@ANY_DATABASE
@pytest.mark.parametrize(
    "path, answer, error",
    [
        ("/token", json_answer({"error": "invalid_client"}, 401), SignInFailed),
        ("/token", json_answer({"error": "invalid_grant"}, 400), SignInFailed),
        ("/token", json_answer({"error": "server_error"}, 500), OpenIDUnavailable),
        ("/token", web.Response(text="<html>", content_type="text/html"), SignInFailed),
        ("/token", json_answer({"access_token": "a"}), OpenIDUnavailable),
        ("/token", json_answer({"access_token": "a", "id_token": 5}), OpenIDUnavailable),
        ("/token", web.Response(status=302, headers={"location": "/keys"}), OpenIDUnavailable),
        ("/keys", web.Response(status=503), OpenIDUnavailable),
        ("/keys", web.Response(text="<html>"), OpenIDUnavailable),
        ("/keys", json_answer({"keys": {}}), OpenIDUnavailable),
        ("/.well-known/openid-configuration", web.Response(status=404), OpenIDUnavailable),
        ("/.well-known/openid-configuration", json_answer([]), OpenIDUnavailable),
        ("/.well-known/openid-configuration", web.Response(text="{"), OpenIDUnavailable),
    ],
)
async def test_unexpected_answer_of_the_provider_is_reported(
    dashboard: Dashboard, path: str, answer: web.Response, error: type[Exception]
) -> None:
    await dashboard.join()
    dashboard.provider.answers[path] = answer
    with pytest.raises(error) as raised:
        await dashboard.sign_in()
    assert "code-0" not in str(raised.value)
    dashboard.provider.answers.clear()
    assert (await dashboard.sign_in()).email == ADA, "errors are not cached"


@ANY_DATABASE
async def test_provider_that_is_down_is_reported(dashboard: Dashboard) -> None:
    dashboard.configure(issuer="http://127.0.0.1:1")
    with pytest.raises(OpenIDUnavailable, match="Try again"):
        await dashboard.begin()
    await dashboard.installation.egress.close()


@ANY_DATABASE
async def test_new_keys_of_the_provider_are_read_once_a_minute_at_most(dashboard: Dashboard) -> None:
    await dashboard.join()
    provider, clock = dashboard.provider, dashboard.application.clock
    await dashboard.sign_in()
    await dashboard.sign_in()
    assert (provider.requests.count("/keys"), provider.requests.count("/.well-known/openid-configuration")) == (1, 1)
    provider.keys = [SigningKey.new("ES256", "key-2")]
    for _ in range(2):
        with pytest.raises(SignInFailed):
            await dashboard.sign_in()
    assert provider.requests.count("/keys") == 1, "the keys are younger than a minute"
    clock.advance(seconds=60)
    assert (await dashboard.sign_in()).email == ADA
    assert provider.requests.count("/keys") == 2
    clock.advance(hours=1)
    await dashboard.sign_in()
    assert (provider.requests.count("/keys"), provider.requests.count("/.well-known/openid-configuration")) == (3, 2)


@ANY_DATABASE
async def test_userinfo_endpoint_does_not_say_when_the_person_signed_in(dashboard: Dashboard) -> None:
    del dashboard.provider.claims["email"]
    now = int(dashboard.application.clock().timestamp())
    dashboard.provider.userinfo = {"sub": "00u1", "email": ADA, "email_verified": True, "auth_time": now}
    begun = await dashboard.begin()
    query = dashboard.provider.authorize(begun.url)
    account = await openid.finish(dashboard.installation, dashboard.client, query, begun.cookie)
    assert account.authenticated_at is not None
    assert account.authenticated_at <= dashboard.application.clock() - dashboard_sessions.RECENT


@pytest.mark.only_database("postgresql")
@pytest.mark.parametrize("second", ["sign-in", "removal"])
async def test_sign_in_and_another_transaction_that_lock_the_same_rows_do_not_deadlock(
    dashboard: Dashboard, database_url: str, second: str
) -> None:
    """The first sign-in changes Southwind (an invitation) and the organization of the groups, or its own member.

    Each transaction locks the organizations in the order of their ids, and then members.
    """
    southwind = await dashboard.application.organization("Southwind")
    assert dashboard.organization < southwind
    dashboard.configure(
        roles=(("staff", "admin"),), organization=dashboard.organization, allowed_domains=frozenset({"acme.example"})
    )
    ada = OpenIDAccount(dashboard.provider.url, "00u1", ADA, frozenset({"staff"}))
    installation, now = dashboard.installation, dashboard.application.clock()

    async def admit_member(account: OpenIDAccount) -> None:
        async with installation.database.write() as tx:
            await admit(tx, installation.settings, account, now, None)

    async def remove(member_id: str) -> None:
        async with installation.database.write() as tx:
            await members.remove(tx, Actor(dashboard.organization, "system"), member_id, now)

    if second == "sign-in":
        await dashboard.invite(ADA, organization=southwind)
        grace = replace(ada, subject="00u2", verified_email="grace@acme.example")
        for organization in (dashboard.organization, southwind):
            await dashboard.invite("grace@acme.example", organization=organization)
        works, locked = [admit_member(ada), admit_member(grace)], southwind
    else:
        works, locked = [remove(await dashboard.join(ADA)), admit_member(ada)], dashboard.organization
    with psycopg.connect(database_url, autocommit=True) as observer, psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM organizations WHERE id = %s FOR UPDATE", [locked])
        tasks = list[asyncio.Task[None]]()
        for work in works:
            tasks.append(asyncio.create_task(work))
            await eventually(lambda: len(observer.execute(WAITING).fetchall()) == len(tasks))
        holder.rollback()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    expected = [None, None] if second == "sign-in" else [None, MemberRefused]
    assert [result and type(result) for result in results] == expected, results


async def test_claims_that_the_id_token_omits_come_from_the_userinfo_endpoint(dashboard: Dashboard) -> None:
    await dashboard.join()
    provider = dashboard.provider
    provider.userinfo = {"sub": "00u1", "email": ADA, "email_verified": True}
    provider.signed = {"email": None, "email_verified": None}
    assert (await dashboard.sign_in()).email == ADA
    provider.claims["sub"], provider.userinfo = "00u2", {"sub": "00u1", "email": "eve@acme.example"}
    with pytest.raises(OpenIDUnavailable):
        await dashboard.sign_in()
    for answer in (web.Response(status=401), web.Response(text="a.b.c", content_type="application/jwt")):
        provider.answers["/userinfo"] = answer
        with pytest.raises(OpenIDUnavailable):
            await dashboard.sign_in()


async def test_userinfo_endpoint_does_not_verify_the_address_of_the_id_token(dashboard: Dashboard) -> None:
    """Security M2. With roles of groups, the UserInfo endpoint is read although the ID token has an address."""
    dashboard.configure(roles=(("staff", "owner"),))
    await dashboard.join()
    provider = dashboard.provider
    provider.claims["sub"] = "attacker"
    provider.signed = {"email_verified": None, "groups": None}
    provider.userinfo = {"sub": "attacker", "email": "eve@evil.example", "email_verified": True, "groups": ["staff"]}
    for userinfo in (provider.userinfo, {**provider.userinfo, "email": ADA}, {**provider.userinfo, "xms_edov": True}):
        provider.userinfo = userinfo
        with pytest.raises(MemberRefused, match="has not verified your e-mail address"):
            await dashboard.sign_in()
    assert "/userinfo" in provider.requests
    assert await dashboard.rows(select(identities)) == []


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": False, "xms_edov": True},
        {"email_verified": None, "xms_edov": False},
        {"email": None},
        {"email": "ada@acme.example, eve@acme.example"},
        {"email": "\u212aada@acme.example"},
        {"email": ["ada@acme.example"]},
    ],
    ids=str,
)
async def test_unverified_email_address_links_no_member(dashboard: Dashboard, claims: dict[str, Any]) -> None:
    dashboard.configure(allowed_domains=frozenset({"acme.example"}))
    await dashboard.join()
    dashboard.provider.signed = claims
    with pytest.raises(MemberRefused, match="has not verified your e-mail address"):
        await dashboard.sign_in()
    assert await dashboard.rows(select(identities)) == []


@ANY_DATABASE
async def test_entra_verifies_an_email_address_by_its_own_claim(dashboard: Dashboard) -> None:
    await dashboard.join()
    dashboard.provider.signed = {"email_verified": None, "xms_edov": True}
    assert (await dashboard.sign_in()).email == ADA


async def test_unknown_person_is_refused_and_leaves_no_row(dashboard: Dashboard) -> None:
    with pytest.raises(MemberRefused, match=r"ada@acme\.example is not a member of an organization\. Ask an owner"):
        await dashboard.sign_in()
    async with dashboard.installation.database.read() as tx:
        assert await members.find_by_email(tx, ADA) is None
    expired = await dashboard.invite()
    assert expired
    dashboard.application.clock.advance(hours=25)
    with pytest.raises(MemberRefused):
        await dashboard.sign_in()


async def test_first_sign_in_of_a_member_replaces_the_other_sign_in_methods(dashboard: Dashboard) -> None:
    member_id = await dashboard.join()
    async with dashboard.installation.database.write() as tx:
        now = dashboard.application.clock()
        await tx.execute(insert(passwords), member_id=member_id, phc="$argon2id$", changed_at=now)
        await dashboard_sessions.create(tx, member_id, "link", now, address=None, user_agent=None)
    assert (await dashboard.sign_in()).member_id == member_id
    assert await dashboard.rows(select(passwords)) == []
    async with dashboard.installation.database.read() as tx:
        sessions = await dashboard_sessions.list_all(tx, member_id, dashboard.application.clock())
    assert [session.method for session in sessions] == ["oidc"]
    kind, actor, data = (await dashboard.events())[-1]
    assert (kind, actor, data["changed"]) == ("member.updated", "member", ["sign_in_methods"])


async def test_address_with_a_new_owner_does_not_give_access_to_the_old_member(dashboard: Dashboard) -> None:
    await dashboard.join()
    await dashboard.sign_in()
    dashboard.provider.claims["sub"] = "00u2"
    with pytest.raises(MemberRefused, match="signs in with another account"):
        await dashboard.sign_in()


async def test_removed_member_does_not_join_again_but_can_be_invited(dashboard: Dashboard) -> None:
    dashboard.configure(allowed_domains=frozenset({"acme.example"}))
    member = await dashboard.sign_in()
    assert member.role == "support"
    async with dashboard.installation.database.write() as tx:
        actor = Actor(dashboard.organization, "system")
        await members.remove(tx, actor, member.member_id, dashboard.application.clock())
    with pytest.raises(MemberRefused, match="is not a member of an organization"):
        await dashboard.sign_in()
    await dashboard.invite(role="admin")
    for name, value in (("email_verified", False), ("email", "eve@acme.example")):
        dashboard.provider.signed = {name: value}
        with pytest.raises(MemberRefused, match="is not a member of an organization"):
            await dashboard.sign_in()
    dashboard.provider.signed = {}
    assert (await dashboard.sign_in()).role == "admin"


async def test_member_joins_no_further_organization_by_signing_in(dashboard: Dashboard) -> None:
    await dashboard.join()
    southwind = await dashboard.application.organization("Southwind")
    await dashboard.invite(organization=southwind)
    visitor = await dashboard.sign_in()
    async with dashboard.installation.database.read() as tx:
        workplaces = await dashboard_sessions.workplaces(tx, visitor.member_id)
    assert [workplace.organization_id for workplace in workplaces] == [dashboard.organization]


ROLES = (("staff", "developer"), ("acme admins", "admin"), ("owners", "owner"))


@pytest.mark.parametrize(
    "domains, roles, groups, expected",
    [
        ({"acme.example"}, (), None, "support"),
        ({"acme.example"}, ROLES, ["staff", "lunch"], "developer"),
        ({"acme.example"}, ROLES, ["acme admins", "staff"], "admin"),
        ({"acme.example"}, ROLES, "staff", "developer"),
        ({"acme.example"}, ROLES, ["Staff"], "None of your groups"),
        ({"acme.example"}, ROLES, None, "None of your groups"),
        ({"other.example"}, ROLES, ["staff"], "is not a member"),
        ({"example"}, (), None, "is not a member"),
        (set(), ROLES, ["owners"], "is not a member"),
    ],
    ids=str,
)
async def test_new_person_joins_by_the_domain_with_the_role_of_the_groups(
    dashboard: Dashboard, domains: set[str], roles: Any, groups: Any, expected: str
) -> None:
    dashboard.configure(allowed_domains=frozenset(domains), roles=roles, groups_claim="teams")
    dashboard.provider.signed = {"teams": groups}
    if expected in {"support", "developer", "admin"}:
        assert (await dashboard.sign_in()).role == expected
    else:
        with pytest.raises(MemberRefused, match=expected):
            await dashboard.sign_in()


async def test_groups_change_the_role_at_each_sign_in_but_never_of_the_last_owner(dashboard: Dashboard) -> None:
    await dashboard.join(role="owner")
    dashboard.configure(roles=ROLES)
    assert (await dashboard.sign_in()).role == "owner", "the organization needs an owner"
    await dashboard.join("grace@acme.example", role="owner")
    assert (await dashboard.sign_in()).role == "developer"
    assert [(kind, actor) for kind, actor, _ in await dashboard.events()][-1] == ("member.updated", "system")
    dashboard.provider.claims["groups"] = ["acme admins"]
    assert (await dashboard.sign_in()).role == "admin"
    dashboard.provider.claims["groups"] = []
    assert (await dashboard.sign_in()).role == "admin", "without a group of the setting, the role stays"


async def test_with_several_organizations_people_join_only_the_organization_of_the_setting(
    dashboard: Dashboard,
) -> None:
    southwind = await dashboard.application.organization("Southwind")
    dashboard.configure(allowed_domains=frozenset({"acme.example"}))
    with pytest.raises(MemberRefused):
        await dashboard.sign_in()
    dashboard.configure(organization=southwind)
    assert (await dashboard.sign_in()).role is None
    dashboard.organization = southwind
    assert (await dashboard.sign_in()).role == "support"
    dashboard.configure(organization="01a21077-0000-7000-8000-000000000000", roles=ROLES)
    assert (await dashboard.sign_in()).role == "support", "a deleted organization changes no role"


@ANY_DATABASE
@pytest.mark.parametrize("listed, requested", [(["openid", "groups"], "openid email profile groups"), (None, None)])
async def test_scope_for_groups_is_requested_if_the_provider_lists_it(
    dashboard: Dashboard, listed: list[str] | None, requested: str | None
) -> None:
    dashboard.provider.document = {"scopes_supported": listed}
    url = (await dashboard.begin()).url
    assert (requested or "openid email profile").replace(" ", "%20") in url


@ANY_DATABASE
async def test_second_proof_must_be_recent(dashboard: Dashboard) -> None:
    await dashboard.join()
    for seconds_ago, is_enough in ((5, True), (599, True), (601, False), (None, True)):
        begun = await dashboard.begin(again=True)
        assert "prompt=login&max_age=0" in begun.url
        auth_time = None if seconds_ago is None else int(dashboard.application.clock().timestamp()) - seconds_ago
        dashboard.provider.signed = {"auth_time": auth_time}
        query = dashboard.provider.authorize(begun.url)
        if is_enough:
            assert (await dashboard.finish(begun.cookie, query)).email == ADA
        else:
            with pytest.raises(SignInFailed, match="did not ask you to sign in again"):
                await dashboard.finish(begun.cookie, query)
    assert "prompt" not in (await dashboard.begin()).url


@ANY_DATABASE
async def test_one_network_can_begin_a_limited_number_of_sign_ins(dashboard: Dashboard) -> None:
    for _ in range(60):
        await dashboard.begin()
    with pytest.raises(RateLimited):
        await dashboard.begin()
    dashboard.application.clock.advance(seconds=61)
    await dashboard.begin()


@ANY_DATABASE
async def test_provider_that_is_down_gets_a_limited_number_of_requests(dashboard: Dashboard) -> None:
    path = "/.well-known/openid-configuration"
    dashboard.provider.answers[path] = web.Response(status=503)
    for _ in range(60):
        with pytest.raises(OpenIDUnavailable):
            await dashboard.begin()
    with pytest.raises(RateLimited):
        await dashboard.begin()
    assert dashboard.provider.requests.count(path) == 60


def test_settings_list_the_roles_that_exist() -> None:
    assert get_args(OidcRole) == get_args(Role)
    assert Settings.model_fields["oidc_groups_claim"].default == "groups"
