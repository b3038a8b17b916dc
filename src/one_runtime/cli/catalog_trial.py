"""`one-runtime catalog test`: verify a credential at the provider, without a connection."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import typer

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import ConnectionValues, clean_values
from one_runtime.cli.entries import read_entry
from one_runtime.cli.options import AsJson, SlugOrFile
from one_runtime.cli.partial_settings import load_egress_allow
from one_runtime.cli.terminal import named_values, print_json, printable
from one_runtime.connecting.verification import check_credentials
from one_runtime.connections.credentials import CheckFailed, PermissionMissing, ProviderAccount, ProviderUnavailable
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.errors import InvalidInput

app = typer.Typer()

Outcome = Literal["accepted", "refused", "permission_missing", "not_sent", "unavailable"]

_EXIT_CODES: Final[dict[Outcome, int]] = {
    "accepted": 0,
    "refused": 1,
    "permission_missing": 1,
    "not_sent": 2,
    "unavailable": 2,
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The result of the check. `reason`: the provider's reason, or the cause of a failed request."""

    outcome: Outcome
    account: ProviderAccount | None = None
    reason: str | None = None
    missing_permission: str | None = None


@app.command("test")
def try_credential(
    slug: SlugOrFile,
    *,
    auth_type: Annotated[str | None, typer.Option(help="Auth type, if the integration has more than one.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The API key. Without this option, the command asks for the key and hides it.")
    ] = None,
    credential: Annotated[list[str] | None, typer.Option(help="Credential field, as name=value; repeatable.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Parameter, as name=value; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a credential with the provider, and print the account. The command stores nothing."""
    integration = read_entry(load_catalog(), slug)
    auth = _testable_auth(integration, auth_type)
    if auth.check is None:
        raise InvalidInput(f"{integration.name} has no check request: {auth.check_missing}")
    credentials = _named("--credential", credential or (), [part.name for part in auth.fields])
    if key is not None:
        credentials[_key_field(integration, auth)] = key
    params = _named("--param", param or (), [part.name for part in auth.params])
    typer.echo(f"Sending {auth.check.method} {auth.check.url or auth.base_url + str(auth.check.path)}", err=True)
    _prompt_for_missing(auth, params, credentials)
    try:
        values = clean_values(auth, params, {name: value for name, value in credentials.items() if value})
    except InvalidInput as error:
        raise InvalidInput("; ".join(f"{invalid.field}: {invalid.message}" for invalid in error.errors)) from error
    verdict = asyncio.run(_check(integration, auth, values))
    if as_json:
        account = verdict.account and {"id": verdict.account.id, "label": verdict.account.label}
        print_json(
            {
                "integration_slug": integration.slug,
                "auth_type": auth.type,
                "outcome": verdict.outcome,
                "account": account,
                "reason": verdict.reason,
                "missing_permission": verdict.missing_permission,
            }
        )
    else:
        typer.echo(printable(_sentence(integration, verdict)))
    raise typer.Exit(_EXIT_CODES[verdict.outcome])


async def _check(integration: Integration, auth: Auth, values: ConnectionValues) -> _Verdict:
    try:
        async with Egress(allow=load_egress_allow()) as egress:
            return _Verdict("accepted", await check_credentials(egress, integration, auth, values))
    except PermissionMissing as error:
        return _Verdict("permission_missing", None, error.provider_reason, error.permission)
    except CheckFailed as error:
        return _Verdict("refused", None, error.provider_reason)
    except TargetRefused as error:
        return _Verdict("not_sent", None, error.cause)
    except ProviderUnavailable as error:
        cause = error.__cause__
        return _Verdict("unavailable", None, cause.cause if isinstance(cause, EgressError) else error.detail)


def _sentence(integration: Integration, verdict: _Verdict) -> str:
    if verdict.account is not None:
        return f"Works. Account: {verdict.account.label or 'unknown'} (id {verdict.account.id or 'unknown'})"
    if verdict.outcome == "not_sent":
        return f"Not sent. {verdict.reason}"
    if verdict.outcome == "unavailable":
        return f"Unknown. {verdict.reason}"
    permission = f" ({verdict.missing_permission})" if verdict.missing_permission else ""
    result = "Refused" if verdict.outcome == "refused" else f"Permission missing{permission}"
    return f"{result}. Reason from {integration.name}: {verdict.reason or 'none'}"


def _testable_auth(integration: Integration, auth_type: str | None) -> Auth:
    """Return the definition of an auth type. With None, return the first definition that the command can test.

    Raises: InvalidInput.
    """
    testable = [auth for auth in integration.auth if auth.token_auth is None]
    for auth in testable:
        if auth_type in (None, auth.type):
            return auth
    if not testable:
        raise InvalidInput(
            f"{integration.name} supports only {' and '.join(integration.auth_types)}, which this command cannot test. "
            "Connect an account in the popup instead."
        )
    names = ", ".join(auth.type for auth in testable)
    raise InvalidInput(
        f"{integration.name} has no auth type {auth_type} that this command can test. Use one of: {names}."
    )


def _named(option: str, texts: Iterable[str], names: list[str]) -> dict[str, str]:
    """Parse a name=value option into names and values. Only the given names are allowed. Raises: InvalidInput."""
    values = named_values(option, texts)
    if any(name not in names for name in values):
        raise InvalidInput(f"{option} must be name=value, with one of these names: {', '.join(names) or 'none'}.")
    return values


def _key_field(integration: Integration, auth: Auth) -> str:
    names = [part.name for part in auth.fields]
    if len(names) == 1 or "api_key" in names:
        return "api_key" if "api_key" in names else names[0]
    raise InvalidInput(
        f"{integration.name} does not use a single key. Use --credential for each field: {', '.join(names) or 'none'}."
    )


def _prompt_for_missing(auth: Auth, params: dict[str, str], credentials: dict[str, str]) -> None:
    for part in auth.params:
        if part.name not in params:
            params[part.name] = typer.prompt(f"{part.label} ({part.name})", default=part.default, err=True)
    for field in auth.fields:
        if field.name not in credentials:
            question, default = f"{field.label} ({field.name}). {field.where}", "" if field.optional else None
            credentials[field.name] = typer.prompt(question, hide_input=field.secret, default=default, err=True)
