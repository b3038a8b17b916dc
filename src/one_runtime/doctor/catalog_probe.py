"""Whether the catalog's entries are alive, without any account: a made-up credential must be refused by the check, and
a made-up client by the token endpoint. Asks every provider once for each; nothing is stored."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from one_runtime.auth_types import auth_method, oauth2_of
from one_runtime.catalog import examples
from one_runtime.catalog.lint import example_values
from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.received import UnexpectedValue
from one_runtime.catalog.request import Values
from one_runtime.catalog.templates import names_in, split_url
from one_runtime.clock import Clock
from one_runtime.connecting.verification import check_credentials
from one_runtime.connections.credentials import CredentialsRefused, ProviderUnavailable
from one_runtime.egress import Egress, EgressError, TargetRefused
from one_runtime.errors import InvalidInput
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError, TokenRequestRefused
from one_runtime.oauth.grants import AuthorizationCode, ClientCredentials, Grant
from one_runtime.oauth.pkce import new_code_verifier, uses_pkce
from one_runtime.tokens.endpoint import TokenEndpoint

What: TypeAlias = Literal["check", "token"]
Verdict: TypeAlias = Literal["alive", "wrong", "unreachable", "not_probed"]

_AT_ONCE: Final = 16
_REDIRECT: Final = "https://probe.invalid/connect/callback"


@dataclass(frozen=True, slots=True)
class Probed:
    """One thing that was asked. `not_probed`: it cannot be asked without an account, and `got` says why."""

    slug: str
    auth_type: str
    what: What
    expected: str
    got: str
    verdict: Verdict
    at: datetime


@dataclass(frozen=True, slots=True)
class _Question:
    integration: Integration
    auth: Auth
    what: What


async def probe(
    integrations: Iterable[Integration], egress: Egress, clock: Clock, done: Callable[[Probed], None]
) -> list[Probed]:
    """Ask everything, in the order of the integrations; `done` hears of each as it is answered."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def ask(question: _Question) -> Probed:
        async with at_once:
            told = await _ask(question, egress, clock)
        done(told)
        return told

    return list(await asyncio.gather(*(ask(question) for one in integrations for question in _questions(one))))


def table(probed: Iterable[Probed]) -> str:
    """The answers as a Markdown table, with the date of each."""
    lines = [
        "| integration | auth type | what | expected | got | verdict | when (UTC) |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in probed:
        cells = (one.slug, one.auth_type, one.what, one.expected, one.got, one.verdict, f"{one.at:%Y-%m-%d %H:%M}")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _questions(one: Integration) -> Iterator[_Question]:
    for auth in one.auth:
        if auth_method(auth).tokens is not None:
            yield _Question(one, auth, "token")
        elif auth.fields:
            yield _Question(one, auth, "check")


async def _ask(question: _Question, egress: Egress, clock: Clock) -> Probed:
    expected = {"check": "refused", "token": "an OAuth error"}[question.what]
    got, verdict = await _answer(question, egress, clock)
    slug, auth_type = question.integration.slug, question.auth.type
    return Probed(slug, auth_type, question.what, expected, got, verdict, clock())


async def _answer(question: _Question, egress: Egress, clock: Clock) -> tuple[str, Verdict]:
    why_not = _why_not(question)
    if why_not is not None:
        return why_not, "not_probed"
    try:
        return await (_check if question.what == "check" else _token)(question, egress, clock)
    except (InvalidInput, UnexpectedValue, ValueError) as error:
        return str(error), "wrong"


def _why_not(question: _Question) -> str | None:
    """A host that the customer names is nobody's without a customer."""
    auth = question.auth
    if question.what == "check" and auth.check is None:
        return auth.check_missing
    tokens = auth_method(auth).tokens
    urls = auth.urls() if tokens is None else (split_url(tokens.auth.token.url),)
    chosen = {part.name for part in auth.params if part.options or part.default is not None}
    for url in urls:
        for name in names_in(url.authority):
            if name not in chosen:
                return f"the host depends on {name}, which a customer has to say"
    return None


async def _check(question: _Question, egress: Egress, _: Clock) -> tuple[str, Verdict]:
    known = example_values(question.auth)
    made_up = {part.name: examples.of_field(part, secrets.randbits(64)) for part in question.auth.fields}
    try:
        await check_credentials(egress, question.integration, question.auth, Values(known.params, made_up))
    except CredentialsRefused as error:
        return f"refused: {error.provider_reason or 'no reason given'}", "alive"
    except ProviderUnavailable as error:
        return _why(error), _of(error)
    return "accepted a made-up credential", "wrong"


async def _token(question: _Question, egress: Egress, clock: Clock) -> tuple[str, Verdict]:
    tokens, oauth2 = auth_method(question.auth).tokens, oauth2_of(question.auth)
    assert tokens is not None  # noqa: S101 - `_questions` asks for no other auth types
    auth = tokens.auth
    client = ClientIdentity(f"probe-{secrets.token_hex(8)}", secrets.token_hex(16))
    known = dict(example_values(auth).params)
    typed = {part.name: examples.of_field(part) for part in auth.fields}
    typed |= {"client_id": client.client_id, "client_secret": client.client_secret or ""}
    grant: Grant = ClientCredentials(typed)
    if oauth2 is not None:
        known |= {part.name: examples.of_field(part) for part in oauth2.client.fields}
        grant = AuthorizationCode(secrets.token_hex(16), _REDIRECT, new_code_verifier() if uses_pkce(oauth2) else None)
    try:
        await TokenEndpoint(question.integration, auth, client, known).ask(egress, clock, grant)
    except (InvalidClient, InvalidGrant, TokenRequestRefused) as error:
        return f"{error.code}: {error.reason or 'no reason given'}", "alive"
    except OAuthError as error:
        return _why(error), _of(error)
    return "gave tokens to a made-up client", "wrong"


def _why(error: Exception) -> str:
    """What happened, in the words of whoever saw it first."""
    return error.__cause__.detail if isinstance(error.__cause__, EgressError) else str(error)


def _of(error: Exception) -> Verdict:
    """Who was not reached, or is in trouble, may be alive; who may never be reached, and who answers something else
    than the entry says, is wrong."""
    if isinstance(error.__cause__, EgressError):
        return "wrong" if isinstance(error.__cause__, TargetRefused) else "unreachable"
    return "unreachable" if re.search(r"\b(?:429|5\d\d)\b", str(error)) else "wrong"
