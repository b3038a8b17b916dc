"""Every entry against a fake provider built from its data, through the real outbound network.

The right credential is accepted, a wrong one is refused with the provider's reason, a malformed value has an error at
its field, and tokens are issued. These tests show that an entry is consistent; the fixtures compare it with the
provider's documentation.
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
from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import AuthorizationCode, ClientCredentials, TokenGrant
from one_runtime.catalog.lint import example_values
from one_runtime.catalog.model import Integration
from one_runtime.catalog.parts import CredentialField
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.request import ConnectionValues, clean_values
from one_runtime.catalog.tools.build import HERE
from one_runtime.clock import system_clock
from one_runtime.connecting.verification import GrantedTokens, check_credentials, exchange_tokens, verify_tokens
from one_runtime.connections.credentials import CredentialsRefused
from one_runtime.egress.client import Egress
from one_runtime.errors import InvalidInput
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient
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
    """Return an auth type as plain data of the entry's file."""
    data = read_yaml(entry.slug)
    return next(one for one in data["auth"] if one["type"] == auth.type)


@cache
def read_yaml(slug: str) -> Any:
    """Return an entry's file as plain data, read with the parser in C, which takes a tenth of the time."""
    text = (HERE / "integrations" / f"{slug}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, yaml.CSafeLoader)


def hosts_of(entry: Integration) -> set[str]:
    """Return every host that an entry requests with its example values."""
    hosts = set()
    for auth in entry.auth:
        known = values_of(auth)
        hosts |= {fill(url.authority, known) for url in auth.urls()}
    return hosts


def values_of(auth: Auth) -> dict[str, str]:
    """Return the values of the fake provider's customer, with derived values."""
    values = example_values(auth)
    known = {**values.params, **values.credentials}
    for part in auth.derived:
        match = compiled(part.pattern).fullmatch(known[part.field])
        known |= {part.name: match.group(1)} if match else {}
    if isinstance(auth, OAuth2Auth):
        known |= {part.name: examples.generate_field(part) for part in auth.client.fields}
        known |= {} if auth.fields else {"client_id": CLIENT.client_id}
    return known


@cache
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server context with a certificate for every host of the catalog, and a client context that trusts it."""
    with TemporaryDirectory() as folder:
        return tls_contexts(Path(folder), *sorted({host for entry in ENTRIES for host in hosts_of(entry)}))


@asynccontextmanager
async def provider_network() -> AsyncIterator[tuple[Upstream, Egress]]:
    """Run one server as every host of the catalog, with an outbound network that leads to it."""
    server, client = certificates()
    async with running_upstream(server) as upstream:
        network = LoopbackNetwork(upstream.port, tls=client)
        try:
            async with Egress(network=network) as egress:
                yield upstream, egress.for_tenant("northwind")
        finally:
            network.close()


def wrong(auth: Auth, right: Mapping[str, str]) -> dict[str, str]:
    """Return another credential of the same form; values derived from it, such as a data centre, are unchanged."""
    return {part.name: another(auth, part, right[part.name]) for part in auth.fields if part.secret}


def another(auth: Auth, part: CredentialField, right: str) -> str:
    inside = [one.pattern for one in auth.derived if one.field == part.name]
    swapped = (right[:at] + letter + right[at + 1 :] for at in range(len(right)) for letter in "b2Zy")
    return next(
        text
        for text in (*(examples.generate_field(part, variant) for variant in range(1, 9)), *swapped)
        if text != right
        and compiled(part.pattern or ".*").fullmatch(text)
        and all(captured(pattern, text) == captured(pattern, right) for pattern in inside)
    )


def captured(pattern: str, text: str) -> str | None:
    match = compiled(pattern).fullmatch(text)
    return match.group(1) if match is not None else None


async def drive_typed(upstream: Upstream, egress: Egress, entry: Integration, auth: Auth) -> None:
    """Check an API key, a password, or no credential."""
    stand_in = StandIn(raw_auth(entry, auth), values_of(auth))
    answer_as(upstream, stand_in)
    values = example_values(auth)
    account = await check_credentials(egress, entry, auth, values)
    assert account.id == stand_in.account()
    if not auth.fields:
        return
    others = ConnectionValues(values.params, {**values.credentials, **wrong(auth, values.credentials)})
    with pytest.raises(CredentialsRefused) as refused:
        await check_credentials(egress, entry, auth, others)
    assert refused.value.provider_reason == (REASON if auth.check is not None and auth.check.reason else None)


def refuse_other_forms(auth: Auth) -> None:
    """Check that a value that does not match its pattern has an error at its field and is never sent."""
    values = example_values(auth)
    typed = {part.name: values.credentials[part.name] for part in auth.fields}
    for part in auth.fields:
        unfit = next(
            (value for value in UNFIT if part.pattern and not compiled(part.pattern).fullmatch(value.strip())), None
        )
        if unfit is None or part.optional:
            continue
        with pytest.raises(InvalidInput) as refused:
            clean_values(auth, values.params, {**typed, part.name: unfit})
        assert [value.field for value in refused.value.errors] == [f"credentials.{part.name}"]


async def drive_oauth2(upstream: Upstream, egress: Egress, entry: Integration, auth: OAuth2Auth) -> None:
    """Check that a code gives tokens, received values and an account, and that another client is refused."""
    known = values_of(auth)
    own = {part.name: known[part.name] for part in auth.fields}
    client = ClientIdentity(own["client_id"], own["client_secret"]) if own else CLIENT
    code = {auth.token.code_param: "c0de+/=&%"}
    stand_in = StandIn(raw_auth(entry, auth), known, (client.client_id, client.client_secret or ""), code)
    answer_as(upstream, stand_in)
    fields = {part.name: known[part.name] for part in auth.client.fields}
    params = {part.name: known[part.name] for part in auth.params if part.name in known}
    params |= auth.read_received("callback", auth.example_answer("callback"))
    installation: Any = SimpleNamespace(egress=egress, clock=system_clock)
    grant = AuthorizationCode("c0de+/=&%", f"https://us.example/connect/callback/{entry.slug}", "verifier" * 8)
    endpoint = TokenEndpoint(entry, auth, client, {**params, **fields})
    exchange_only = auth.token.exchange is not None
    tokens = await endpoint.ask(egress, system_clock, grant)
    if exchange_only:
        answer_as(upstream, StandIn(raw_auth(entry, auth), known, stand_in.client))
        tokens = await exchange_tokens(egress, system_clock, endpoint, tokens)
    oauth_client = None if own else registered(entry, client, fields)
    granted = GrantedTokens(tokens, params, own, oauth_client, ())
    verified = await verify_tokens(installation, "northwind", entry, auth, granted)
    assert verified.secrets["access_token"] == known["access_token"]
    assert {part.name: verified.params[part.name] for part in auth.received} == {
        part.name: known[part.name] for part in auth.received
    }
    assert verified.account.id == (stand_in.account() if auth.identity is not None else None)
    with pytest.raises(InvalidClient):
        await TokenEndpoint(entry, auth, ClientIdentity("client-2", "other"), {**params, **fields}).ask(
            egress, system_clock, grant
        )


def registered(entry: Integration, client: ClientIdentity, fields: dict[str, str]) -> OAuthClient:
    """Return the organization's client."""
    now = system_clock()
    return OAuthClient("oac_1", "org_1", entry.slug, client, None, (), fields, now, now)


async def drive_client_credentials(
    upstream: Upstream, egress: Egress, entry: Integration, auth: ClientCredentialsAuth
) -> None:
    """Check that the customer's client gets a token, and that another client is refused."""
    known = values_of(auth)
    stand_in = StandIn(raw_auth(entry, auth), known, (known["client_id"], known["client_secret"]))
    answer_as(upstream, stand_in)
    typed = {part.name: known[part.name] for part in auth.fields}
    grant: TokenGrant = ClientCredentials(typed)
    client = ClientIdentity(known["client_id"], known["client_secret"])
    tokens = await TokenEndpoint(entry, auth, client, known).ask(egress, system_clock, grant)
    assert tokens.access_token == known["access_token"]
    account = await check_credentials(
        egress,
        entry,
        auth,
        ConnectionValues(example_values(auth).params, {**typed, "access_token": tokens.access_token}),
    )
    assert account.id == (stand_in.account() if auth.check is not None else None)
    with pytest.raises(InvalidClient):
        await TokenEndpoint(entry, auth, ClientIdentity("client-2", "other"), known).ask(egress, system_clock, grant)


def answer_as(upstream: Upstream, stand_in: StandIn) -> None:
    """Let the server answer as this provider from now on."""

    async def reply(writer: Any) -> None:
        writer.write(stand_in.answer(upstream.requests[-1]))
        await writer.drain()

    upstream.anything = reply


@pytest.mark.parametrize("letters", ["0123456789abc", "defghij", "klmno", "pqrs", "tuvwxyz"])
async def test_every_entry_works_with_a_provider_of_its_own_data(letters: str) -> None:
    async with provider_network() as (upstream, egress):
        for entry in ENTRIES:
            if entry.slug[0] in letters:
                for auth in entry.auth:
                    try:
                        await drive(upstream, egress, entry, auth)
                    except (Exception, AssertionError) as error:
                        error.add_note(f"{entry.slug}, {auth.type}")
                        raise


async def drive(upstream: Upstream, egress: Egress, entry: Integration, auth: Auth) -> None:
    """Run the checks for the auth type."""
    if isinstance(auth, OAuth2Auth):
        await drive_oauth2(upstream, egress, entry, auth)
    elif isinstance(auth, ClientCredentialsAuth):
        await drive_client_credentials(upstream, egress, entry, auth)
    else:
        refuse_other_forms(auth)
        if auth.check is not None:
            await drive_typed(upstream, egress, entry, auth)
