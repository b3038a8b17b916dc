"""Every entry against a provider made of its own data, through the real way out: the right credential is let in, a
wrong one is refused in the provider's words, a value of another form is told at its field, tokens are fetched.

It proves that an entry agrees with itself and with our code; that it agrees with the provider, the fixtures prove.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final

import pytest
import yaml

from one_runtime.catalog import examples
from one_runtime.catalog.lint import answer_of, example_values
from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.catalog.parts import Field
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.received import receive
from one_runtime.catalog.request import Values, clean_values
from one_runtime.catalog.tools.build import HERE
from one_runtime.clock import system_clock
from one_runtime.connecting.verification import GrantedTokens, check_credentials, exchange_tokens, verify_tokens
from one_runtime.connections.credentials import CredentialsRefused
from one_runtime.egress import Egress
from one_runtime.errors import InvalidInput
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient
from one_runtime.oauth.grants import AuthorizationCode, ClientCredentials, Grant
from one_runtime.tokens.endpoint import TokenEndpoint
from tests.catalog.entries import ENTRIES
from tests.catalog.stand_in import REASON, StandIn, fill
from tests.egress.certificates import tls_contexts
from tests.egress.network import LoopbackNetwork
from tests.egress.upstream import Upstream, running_upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLIENT: Final = ClientIdentity("client-1", "s3cret+/=:%&~")
UNFIT: Final = ("\u00e9", "a b", "", "x" * 5000, "<>")


def raw_auth(entry: Integration, auth: Auth) -> dict[str, Any]:
    """The auth type as it stands in the file."""
    data = yaml.safe_load((HERE / "integrations" / f"{entry.slug}.yaml").read_text(encoding="utf-8"))
    return next(one for one in data["auth"] if one["type"] == auth.type)


def hosts_of(entry: Integration) -> set[str]:
    """Every host that an entry calls with its examples."""
    found = set()
    for auth in entry.auth:
        known = values_of(auth)
        found |= {fill(url.authority, known) for url in auth.urls()}
    return found


def values_of(auth: Auth) -> dict[str, str]:
    """What the one customer of the stand-in has, with the values that stand inside others."""
    values = example_values(auth)
    known = {**values.params, **values.credentials}
    for part in auth.derived:
        match = compiled(part.pattern).fullmatch(known[part.field])
        known |= {part.name: match.group(1)} if match else {}
    if isinstance(auth, OAuth2Auth):
        known |= {part.name: examples.of_field(part) for part in auth.client.fields}
        known |= {} if auth.fields else {"client_id": CLIENT.client_id}
    return known


@cache
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for every host of the catalog, and a client's that trusts it."""
    with TemporaryDirectory() as folder:
        return tls_contexts(Path(folder), *sorted({host for entry in ENTRIES for host in hosts_of(entry)}))


@asynccontextmanager
async def the_world() -> AsyncIterator[tuple[Upstream, Egress]]:
    """One server that is every host of the catalog, and a way out that leads there."""
    server, client = certified()
    async with running_upstream(server) as upstream:
        network = LoopbackNetwork(upstream.port, tls=client)
        try:
            async with Egress(network=network) as egress:
                yield upstream, egress
        finally:
            network.close()


def wrong(auth: Auth, right: Mapping[str, str]) -> dict[str, str]:
    """Another credential of the same form; what stands inside it, as a data centre, is the same."""
    return {part.name: another(auth, part, right[part.name]) for part in auth.fields if part.secret}


def another(auth: Auth, part: Field, right: str) -> str:
    inside = [one.pattern for one in auth.derived if one.field == part.name]
    swapped = (right[:at] + letter + right[at + 1 :] for at in range(len(right)) for letter in "b2Zy")
    return next(
        text
        for text in (*(examples.of_field(part, variant) for variant in range(1, 9)), *swapped)
        if text != right
        and compiled(part.pattern or ".*").fullmatch(text)
        and all(kept(pattern, text) == kept(pattern, right) for pattern in inside)
    )


def kept(pattern: str, text: str) -> str | None:
    match = compiled(pattern).fullmatch(text)
    return match.group(1) if match is not None else None


async def drive_typed(upstream: Upstream, egress: Egress, entry: Integration, auth: Auth) -> None:
    """A key, a password, or nothing."""
    stand_in = StandIn(raw_auth(entry, auth), values_of(auth))
    play(upstream, stand_in)
    values = example_values(auth)
    account = await check_credentials(egress, entry, auth, values)
    assert account.id == stand_in.account()
    if not auth.fields:
        return
    others = Values(values.params, {**values.credentials, **wrong(auth, values.credentials)})
    with pytest.raises(CredentialsRefused) as refused:
        await check_credentials(egress, entry, auth, others)
    assert refused.value.provider_reason == (REASON if auth.check is not None and auth.check.reason else None)


def refuse_other_forms(auth: Auth) -> None:
    """What does not fit the pattern is told at its field, and never sent."""
    values = example_values(auth)
    typed = {part.name: values.credentials[part.name] for part in auth.fields}
    for part in auth.fields:
        unfit = next((one for one in UNFIT if part.pattern and not compiled(part.pattern).fullmatch(one.strip())), None)
        if unfit is None or part.optional:
            continue
        with pytest.raises(InvalidInput) as refused:
            clean_values(auth, values.params, {**typed, part.name: unfit})
        assert [one.field for one in refused.value.errors] == [f"credentials.{part.name}"]


async def drive_oauth2(upstream: Upstream, egress: Egress, entry: Integration, auth: OAuth2Auth) -> None:
    """A code becomes tokens, what the provider says is kept, the account is found; another client is refused."""
    known = values_of(auth)
    own = {part.name: known[part.name] for part in auth.fields}
    client = ClientIdentity(own["client_id"], own["client_secret"]) if own else CLIENT
    code = {auth.token.code_param: "c0de+/=&%"}
    stand_in = StandIn(raw_auth(entry, auth), known, (client.client_id, client.client_secret or ""), code)
    play(upstream, stand_in)
    fields = {part.name: known[part.name] for part in auth.client.fields}
    params = {part.name: known[part.name] for part in auth.params if part.name in known}
    params |= receive(auth, "callback", answer_of(auth, "callback"))
    installation: Any = SimpleNamespace(egress=egress, clock=system_clock)
    grant = AuthorizationCode("c0de+/=&%", f"https://us.example/connect/callback/{entry.slug}", "verifier" * 8)
    endpoint = TokenEndpoint(entry, auth, client, {**params, **fields})
    exchange_only = auth.token.exchange is not None
    tokens = await endpoint.ask(egress, system_clock, grant)
    if exchange_only:
        play(upstream, StandIn(raw_auth(entry, auth), known, stand_in.client))
        tokens = await exchange_tokens(installation, endpoint, tokens)
    made_with = None if own else registered(entry, client, fields)
    proof = await verify_tokens(installation, entry, auth, GrantedTokens(tokens, params, own, made_with, ()))
    assert proof.secrets["access_token"] == known["access_token"]
    assert {part.name: proof.params[part.name] for part in auth.received} == {
        part.name: known[part.name] for part in auth.received
    }
    assert proof.account.id == (stand_in.account() if auth.identity is not None else None)
    with pytest.raises(InvalidClient):
        await TokenEndpoint(entry, auth, ClientIdentity("client-2", "other"), {**params, **fields}).ask(
            egress, system_clock, grant
        )


def registered(entry: Integration, client: ClientIdentity, fields: dict[str, str]) -> OAuthClient:
    """The organization's client."""
    now = system_clock()
    return OAuthClient("oac_1", "org_1", entry.slug, client, None, (), fields, now, now)


async def drive_client_credentials(
    upstream: Upstream, egress: Egress, entry: Integration, auth: ClientCredentialsAuth
) -> None:
    """A client of the customer's own gets a token, and another is refused."""
    known = values_of(auth)
    stand_in = StandIn(raw_auth(entry, auth), known, (known["client_id"], known["client_secret"]))
    play(upstream, stand_in)
    typed = {part.name: known[part.name] for part in auth.fields}
    grant: Grant = ClientCredentials(typed)
    client = ClientIdentity(known["client_id"], known["client_secret"])
    tokens = await TokenEndpoint(entry, auth, client, known).ask(egress, system_clock, grant)
    assert tokens.access_token == known["access_token"]
    account = await check_credentials(
        egress, entry, auth, Values(example_values(auth).params, {**typed, "access_token": tokens.access_token})
    )
    assert account.id == (stand_in.account() if auth.check is not None else None)
    with pytest.raises(InvalidClient):
        await TokenEndpoint(entry, auth, ClientIdentity("client-2", "other"), known).ask(egress, system_clock, grant)


def play(upstream: Upstream, stand_in: StandIn) -> None:
    """Answer as this provider from now on."""

    async def reply(writer: Any) -> None:
        writer.write(stand_in.answer(upstream.seen[-1]))
        await writer.drain()

    upstream.anything = reply


@pytest.mark.parametrize("letters", ["0123456789abc", "defghij", "klmno", "pqrs", "tuvwxyz"])
async def test_every_entry_works_with_a_provider_of_its_own_data(letters: str) -> None:
    async with the_world() as (upstream, egress):
        for entry in ENTRIES:
            if entry.slug[0] in letters:
                for auth in entry.auth:
                    try:
                        await drive(upstream, egress, entry, auth)
                    except (Exception, AssertionError) as error:
                        error.add_note(f"{entry.slug}, {auth.type}")
                        raise


async def drive(upstream: Upstream, egress: Egress, entry: Integration, auth: Auth) -> None:
    """Whatever its type is."""
    if isinstance(auth, OAuth2Auth):
        await drive_oauth2(upstream, egress, entry, auth)
    elif isinstance(auth, ClientCredentialsAuth):
        await drive_client_credentials(upstream, egress, entry, auth)
    else:
        refuse_other_forms(auth)
        if auth.check is not None:
            await drive_typed(upstream, egress, entry, auth)
