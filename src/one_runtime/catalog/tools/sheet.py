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
from one_runtime.catalog.model import Integration, is_custom
from one_runtime.catalog.parts import EntryVerification
from one_runtime.catalog.tools.build import HERE, read_entries

TABLE: Final = Path("docs/integrations/README.md")
_HEAD: Final = "<!-- Written by `python -m one_runtime.catalog.tools.sheet` from the catalog. Do not edit. -->"
_HOW: Final = {
    "documentation": "compared with the provider's documentation",
    "fixture": "compared with the provider's documentation, and tested against a documented request",
    "live": "tested with a real account at the provider",
    "unverified": "not yet compared with the provider's documentation",
}


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
    owner = (organization_id or "ORGANIZATION") if is_custom(entry.slug) else None
    registration = tuple(auth.describe_registration(entry.slug, owner))
    yield from registration
    inputs = [*(part.markdown for part in auth.params), *(part.markdown for part in auth.fields)]
    if inputs:
        yield from ("The end user enters:", "", *inputs, "")
    elif not registration:
        yield from ("The end user enters no value.", "")
    more = "".join(f", also `{url}`" for url in auth.more_base_urls)
    yield f"- API: `{auth.base_url}`{more}"
    yield from (f"- On every call: `{name}: {value}`" for name, value in auth.headers.items())
    yield from _describe_sending(auth)
    yield from _check(auth)
    yield from auth.describe_oauth()
    yield f"- Verified: {_describe_verification(auth.verified)}."
    yield from (f"- Source: <{source}>" for source in auth.verified.sources)
    quirks = [quirk for quirk in auth.quirks if quirk != SELF_HOSTED]
    if SELF_HOSTED in auth.quirks:
        yield "- Customers run the product on their own hosts."
    if quirks:
        yield from ("", "Notes about the API:", "", *(f"- {quirk}" for quirk in quirks))


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
    cells = (
        integration.name,
        f"`{integration.slug}`",
        integration.category,
        ", ".join(f"`{auth_type}`" for auth_type in integration.auth_types),
        verified,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page with the table."""
    TABLE.write_text(table(read_entries(HERE / "integrations")), encoding="utf-8")
    sys.stdout.write(f"Wrote {TABLE}.\n")


if __name__ == "__main__":
    main()
