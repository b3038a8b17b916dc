"""Test whether the catalog entries (our descriptions of providers' APIs) are correct, without an account.

A probe sends one request to a provider. The request verifies a made-up credential, or requests a token with a made-up
OAuth client. If the entry is correct, the provider refuses the request. A probe stores nothing.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from one_runtime.catalog import examples
from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.lint import example_values
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import ConnectionValues
from one_runtime.catalog.response import UnexpectedValue
from one_runtime.catalog.templates import names_in, split_url
from one_runtime.clock import Clock
from one_runtime.connecting.verification import check_credentials
from one_runtime.connections.credentials import CredentialsRefused, PermissionMissing, ProviderUnavailable
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.errors import InvalidInput
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError, TokenRequestRefused
from one_runtime.oauth.pkce import new_code_verifier
from one_runtime.tokens.endpoint import TokenEndpoint

Target: TypeAlias = Literal["check", "token"]
Verdict: TypeAlias = Literal["alive", "wrong", "unreachable", "not_probed"]

_CONCURRENCY: Final = 16


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of one probe.

    If the probe needs an account, the verdict is `not_probed`, and `got` contains the reason.
    """

    slug: str
    auth_type: str
    what: Target
    expected: str
    got: str
    verdict: Verdict
    at: datetime


async def probe(
    integrations: Iterable[Integration], egress: Egress, clock: Clock, done: Callable[[Probed], None]
) -> list[Probed]:
    """Probe all integrations concurrently, and pass each result to `done`.

    Return all results in the order of the integrations.
    """
    limit = asyncio.Semaphore(_CONCURRENCY)

    async def run(integration: Integration, auth: Auth) -> Probed:
        async with limit:
            result = await _probe(integration, auth, egress, clock)
        done(result)
        return result

    return await asyncio.gather(
        *(
            run(integration, auth)
            for integration in integrations
            for auth in integration.auth
            if auth.fields or auth.token_auth is not None
        )
    )


def table(probed: Iterable[Probed]) -> str:
    """Return the results as a Markdown table with the time of each probe."""
    lines = [
        "| integration | auth type | what | expected | got | verdict | when (UTC) |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in probed:
        cells = (
            result.slug,
            result.auth_type,
            result.what,
            result.expected,
            result.got,
            result.verdict,
            f"{result.at:%Y-%m-%d %H:%M}",
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


async def _probe(integration: Integration, auth: Auth, egress: Egress, clock: Clock) -> Probed:
    token_auth = auth.token_auth
    obstacle = _find_obstacle(auth)
    result: tuple[str, Verdict]
    try:
        if obstacle is not None:
            result = obstacle, "not_probed"
        elif token_auth is None:
            result = await _probe_check(integration, auth, egress)
        else:
            result = await _probe_token(integration, token_auth, egress, clock)
    except (InvalidInput, UnexpectedValue, ValueError) as error:
        result = str(error), "wrong"
    what: Target = "check" if token_auth is None else "token"
    expected = {"check": "refused", "token": "an OAuth error"}[what]
    return Probed(integration.slug, auth.type, what, expected, *result, clock())


def _find_obstacle(auth: Auth) -> str | None:
    """Return the reason why a probe needs an account. Return None if a probe needs no account.

    Example of a reason: the host contains the customer's name.
    """
    token_auth = auth.token_auth
    if token_auth is None and auth.check_missing is not None:
        return auth.check_missing
    urls = auth.urls() if token_auth is None else (split_url(token_auth.token.url),)
    selectable = {part.name for part in auth.params if part.options or part.default is not None}
    for url in urls:
        for name in names_in(url.authority):
            if name not in selectable:
                return f"the host depends on {name}, which each customer enters"
    return None


async def _probe_check(integration: Integration, auth: Auth, egress: Egress) -> tuple[str, Verdict]:
    made_up = {part.name: examples.generate_field(part, secrets.randbits(64)) for part in auth.fields}
    try:
        await check_credentials(egress, integration, auth, ConnectionValues(example_values(auth).params, made_up))
    except CredentialsRefused as error:
        return f"refused: {error.provider_reason or 'no reason given'}", "alive"
    except PermissionMissing as error:  # the entry must list this response in `refused`
        return f"permission missing: {error.provider_reason or 'no reason given'}", "wrong"
    except TargetRefused as error:
        return error.cause, "wrong"
    except ProviderUnavailable as error:
        return _original_message(error), _judge_error(error)
    return "accepted a made-up credential", "wrong"


async def _probe_token(integration: Integration, auth: TokenAuth, egress: Egress, clock: Clock) -> tuple[str, Verdict]:
    client = ClientIdentity(f"probe-{secrets.token_hex(8)}", secrets.token_hex(16))
    params = {**example_values(auth).params, **auth.example_client_fields()}
    fields = {part.name: examples.generate_field(part) for part in auth.fields}
    fields |= {"client_id": client.client_id, "client_secret": client.client_secret or ""}
    grant = auth.probe_grant(fields, new_code_verifier())
    try:
        await TokenEndpoint(integration, auth, client, params).ask(egress, clock, grant)
    except (InvalidClient, InvalidGrant, TokenRequestRefused) as error:
        return f"{error.code}: {error.reason or 'no reason given'}", "alive"
    except OAuthError as error:
        return _original_message(error), _judge_error(error)
    return "gave tokens to a made-up client", "wrong"


def _original_message(error: Exception) -> str:
    """Return the message of the egress error that caused `error`, or the message of `error` itself."""
    return error.__cause__.cause if isinstance(error.__cause__, EgressError) else str(error)


def _judge_error(error: Exception) -> Verdict:
    """Return `unreachable` for a network error or an outage, because a later probe can succeed.

    Return `wrong` for every other error.
    """
    if isinstance(error.__cause__, EgressError):
        return "wrong" if isinstance(error.__cause__, TargetRefused) else "unreachable"
    return "unreachable" if re.search(r"\b(?:429|5\d\d)\b", str(error)) else "wrong"
