"""Describe integrations in Markdown: a sheet about one integration, and a table of all integrations.

`one-runtime catalog show` prints the sheet. `python -m one_runtime.catalog.tools.sheet` writes the table to
docs/integrations/README.md.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from one_runtime.catalog.auth import SELF_HOSTED
from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import Integration, is_custom
from one_runtime.catalog.parts import CredentialField, EntryVerification, Param
from one_runtime.catalog.tools.build import HERE, read_entries

REDIRECT: Final = "https://<your One Runtime>/connect/callback/{slug}"
TABLE: Final = Path("docs/integrations/README.md")
_HEAD: Final = "<!-- Written by `python -m one_runtime.catalog.tools.sheet` from the catalog. Do not edit. -->"
_HOW: Final = {
    "documentation": "compared with the provider's documentation",
    "fixture": "compared with the provider's documentation, and tested against a documented request",
    "live": "tested with a real account at the provider",
    "unverified": "not yet compared with the provider's documentation",
}
_PKCE: Final = {
    "required": "required, and sent",
    "supported": "supported, and sent",
    "tolerated": "sent; the provider does not document PKCE",
    "avoid": "not sent",
    "unknown": "sent; nothing is known about the provider's support",
}
_REFRESH: Final = {
    "rotates": "each refresh returns a new refresh token, which replaces the old one",
    "static": "the refresh token never changes",
    "optional": "the client's settings decide whether there is a refresh token",
    "none": "there is no refresh token",
}
_REFRESH_UNKNOWN: Final = "unknown; One Runtime expects a new refresh token from each refresh"


def sheet(integration: Integration, organization_id: str | None = None) -> str:
    """Return the sheet of an integration: how to connect, and how One Runtime sends the credential.

    `organization_id`: the owner of a stored custom integration.
    """
    entry = integration
    lines = [f"# {entry.name}", "", entry.description, ""]
    lines += [f"- Slug: `{entry.slug}`", f"- Category: {entry.category}", f"- Website: <{entry.website}>"]
    lines += [f"- API documentation: <{entry.docs}>"]
    lines += [f"- Other search words: {', '.join(entry.aliases)}"] if entry.aliases else []
    if (fact := entry.get_can_write) is not None:
        lines += [f"- Agents read only with listed functions: {fact.reason} (<{fact.source}>, {fact.date})"]
    for auth in entry.auth:
        lines += ["", f"## {auth.label} (`{auth.type}`)", "", *_describe_auth(entry, auth, organization_id)]
    return "\n".join(lines) + "\n"


def _describe_auth(entry: Integration, auth: Auth, organization_id: str | None) -> Iterator[str]:
    if isinstance(auth, OAuth2Auth):
        yield from _registration(entry, auth, organization_id)
    inputs = [*(_param(part) for part in auth.params), *(_field(part) for part in auth.fields)]
    if inputs:
        yield from ("The end user enters:", "", *inputs, "")
    elif not isinstance(auth, OAuth2Auth):
        yield from ("The end user enters no value.", "")
    more = "".join(f", also `{url}`" for url in auth.more_base_urls)
    yield f"- API: `{auth.base_url}`{more}"
    yield from (f"- On every call: `{name}: {value}`" for name, value in auth.headers.items())
    yield from _describe_sending(auth)
    yield from _check(auth)
    if isinstance(auth, OAuth2Auth):
        yield from _oauth2(auth)
    if isinstance(auth, ClientCredentialsAuth):
        yield f"- Token endpoint: `{auth.token.url}`"
    yield f"- Verified: {_describe_verification(auth.verified)}."
    yield from (f"- Source: <{source}>" for source in auth.verified.sources)
    quirks = [quirk for quirk in auth.quirks if quirk != SELF_HOSTED]
    if SELF_HOSTED in auth.quirks:
        yield "- Customers run the product on their own hosts."
    if quirks:
        yield from ("", "Notes about the API:", "", *(f"- {quirk}" for quirk in quirks))


def _registration(entry: Integration, auth: OAuth2Auth, organization_id: str | None) -> Iterator[str]:
    owner = "Each end user enters their own OAuth client." if auth.client.owner == "customer" else ""
    yield from ([owner, ""] if owner else [])
    if auth.client.where:
        yield from (f"To register an OAuth client: {auth.client.where}{_link(auth.client.where_url)}", "")
    yield from (f"Redirect URL: `{REDIRECT.format(slug=entry.slug)}`", "")
    if auth.client.owner == "organization":
        command = f"one-runtime oauth-clients set {entry.slug} --client-id ID"
        if is_custom(entry.slug):
            command += f" --organization {organization_id or 'ORGANIZATION'}"
        yield f"End users can connect after you register a client: `{command}`."
        yield ""
    if auth.client.fields:
        yield from ("The client has these other fields:", "", *(_field(part) for part in auth.client.fields), "")


def _param(part: Param) -> str:
    choice = f" One of {', '.join(option.label for option in part.options)}." if part.options else ""
    example = f" Such as `{part.placeholder}{part.suffix or ''}`." if part.placeholder else ""
    return f"- **{part.label}** (`params.{part.name}`).{_sentence(part.help)}{choice}{example}"


def _field(part: CredentialField) -> str:
    optional = " This value is optional." if part.optional else ""
    return f"- **{part.label}** (`{part.name}`).{_sentence(part.help)} {part.where}{_link(part.where_url)}{optional}"


def _sentence(text: str | None) -> str:
    return f" {text}" if text else ""


def _link(url: str | None) -> str:
    return f" See <{url}>." if url else ""


def _describe_sending(auth: Auth) -> Iterator[str]:
    yield from (f"- Sent as header: `{name}: {value}`" for name, value in auth.send.headers.items())
    yield from (f"- Sent in the query: `{name}={value}`" for name, value in auth.send.query.items())
    if auth.send.basic is not None:
        basic = auth.send.basic
        yield f"- Sent as HTTP Basic: `{basic.username}` and " + (
            f"`{basic.password}`" if basic.password else "nothing"
        )


def _check(auth: Auth) -> Iterator[str]:
    if auth.check is not None:
        where = auth.check.url or f"{auth.base_url}{auth.check.path}"
        query = "&".join(f"{name}={value}" for name, value in auth.check.query.items())
        body = " with a JSON body" if auth.check.json_body is not None else " with a form" if auth.check.form else ""
        yield f"- Checked by: `{auth.check.method} {where}{'?' + query if query else ''}`{body}"
    elif auth.check_missing:
        yield f"- Not checked: {auth.check_missing}"


def _oauth2(auth: OAuth2Auth) -> Iterator[str]:
    yield f"- Authorization endpoint: `{auth.authorization.url}`"
    yield f"- Token endpoint: `{auth.token.url}`"
    for scopes in (auth.scopes, *((auth.more_scopes,) if auth.more_scopes is not None else ())):
        requested = [*scopes.always, *scopes.default]
        if requested:
            yield f"- Default scopes, in the parameter `{scopes.param}`: {_codes(requested)}"
    yield f"- PKCE: {_PKCE[auth.pkce]}."
    yield f"- Refresh: {_REFRESH[auth.refresh] if 'refresh' in auth.model_fields_set else _REFRESH_UNKNOWN}."
    if auth.revocation is not None:
        yield f"- Revoked at: `{auth.revocation.url}`"
    else:
        yield "- Revoked: not at the provider; One Runtime only deletes the tokens."
    for part in auth.received:
        yield f"- Stored from the {part.source.replace('_', ' ')}: `{part.name}`"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _describe_verification(verified: EntryVerification) -> str:
    return _HOW[verified.how] + (f" (on {verified.date})" if verified.date is not None else "")


def counts(integrations: Iterable[Integration]) -> dict[str, int]:
    """Count the auth types by kind of verification."""
    numbers = dict.fromkeys(_HOW, 0)
    for entry in integrations:
        for auth in entry.auth:
            numbers[auth.verified.how] += 1
    return numbers


def table(integrations: Iterable[Integration]) -> str:
    """Return the page with a table of all integrations."""
    ordered = sorted(integrations, key=lambda integration: (integration.name.casefold(), integration.slug))
    ways = sum(len(integration.auth) for integration in ordered)
    lines = [_HEAD, "", "# Integrations", "", f"{len(ordered)} integrations with {ways} ways to connect.", ""]
    lines += ["`one-runtime catalog show SLUG` prints everything about one integration.", ""]
    lines += ["| verified | meaning | ways to connect |", "|---|---|---|"]
    lines += [f"| `{how}` | {_HOW[how]} | {count} |" for how, count in counts(ordered).items()]
    lines += ["", "Before One Runtime stores a credential, One Runtime verifies the credential with the provider."]
    lines += ["These auth types (ways to connect) are the only exceptions:", ""]
    lines += ["| name | auth type | reason |", "|---|---|---|"]
    lines += [
        f"| {integration.name} | `{auth.type}` | {auth.check_missing} |"
        for integration in ordered
        for auth in integration.auth
        if auth.check is None and auth.check_missing
    ]
    lines += ["", "## All integrations", ""]
    lines += ["| name | slug | category | auth types | verified |", "|---|---|---|---|---|"]
    lines += [_row(integration) for integration in ordered]
    return "\n".join(lines) + "\n"


def _row(integration: Integration) -> str:
    verified = ", ".join(f"`{auth.verified.how}`" for auth in integration.auth)
    cells = (integration.name, f"`{integration.slug}`", integration.category, _codes(integration.auth_types), verified)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page with the table."""
    TABLE.write_text(table(read_entries(HERE / "integrations")), encoding="utf-8")
    sys.stdout.write(f"Wrote {TABLE}.\n")


if __name__ == "__main__":
    main()
