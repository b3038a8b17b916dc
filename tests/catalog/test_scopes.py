"""Descriptions of OAuth scopes."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.popular import POPULARITY
from one_runtime.catalog.scopes import AuthorizationServerScopes, DescribedScope, describe_scopes, read_files


def oauth2_entries() -> Iterator[tuple[Integration, OAuth2Auth]]:
    for integration in load_catalog().integrations:
        auth = integration.oauth2
        if auth is not None:
            yield integration, auth


def of(slug: str) -> OAuth2Auth:
    integration = load_catalog().get(slug)
    auth = integration.oauth2 if integration is not None else None
    assert auth is not None
    return auth


def requested(auth: OAuth2Auth) -> list[str]:
    return [scope for part in (auth.scopes, auth.more_scopes) if part for scope in (*part.always, *part.default)]


def test_popular_integrations_and_servers_with_a_file_have_a_description_of_each_scope_of_the_catalog() -> None:
    servers = list(read_files().values())
    hosts = {host for server in servers for host in server.hosts}
    slugs = {slug for server in servers for slug in server.integrations}
    missing, complete = list[str](), 0
    for integration, auth in oauth2_entries():
        host = urlsplit(auth.authorization.url).netloc
        if integration.slug not in {*POPULARITY, *slugs} and host not in hosts:
            continue
        complete += 1
        described = describe_scopes(integration.slug, auth, requested(auth))
        missing += [f"{integration.slug}: {each.scope}" for each in described if each.text is None]
    assert missing == []
    assert complete > 80


@pytest.mark.parametrize(
    "slug, scope, words",
    [("github", "user", "read private e-mail addresses, and follow"), ("pipedrive", "deals:read", "all notes, files")],
)
def test_a_description_names_all_that_a_wide_scope_allows(slug: str, scope: str, words: str) -> None:
    (described,) = describe_scopes(slug, of(slug), [scope])
    assert words in (described.text or "")


def test_each_file_describes_a_server_of_the_catalog_and_no_server_is_described_twice() -> None:
    entries = list(oauth2_entries())
    known = {urlsplit(auth.authorization.url).netloc for _, auth in entries} | {entry.slug for entry, _ in entries}
    names = Counter[str]()
    for name, server in read_files().items():
        names.update((*server.hosts, *server.integrations))
        assert bool(server.hosts or server.integrations) == (name != "openid.yaml"), name
        assert {*server.hosts, *server.integrations} <= known, name
        assert not [scope for scope in server.scopes if server.prefix and scope.startswith(server.prefix)], name
    assert names.most_common(1)[0][1] == 1


def test_scopes_have_words_with_and_without_the_prefix_and_by_host() -> None:
    gmail = of("gmail")
    scopes = ["email", "https://www.googleapis.com/auth/gmail.send", "https://mail.google.com/", "email", "unknown"]
    assert describe_scopes("x-own-mail", gmail, scopes) == [
        DescribedScope("email", "See the e-mail address of the account."),
        DescribedScope("https://www.googleapis.com/auth/gmail.send", "Send messages."),
        DescribedScope("https://mail.google.com/", "Read, write, send and permanently delete all mail."),
        DescribedScope("unknown", None),
    ]
    words = {
        each.text
        for each in describe_scopes("outlook", of("outlook"), ["Mail.Send", "https://graph.microsoft.com/Mail.Send"])
    }
    assert words == {"Send messages in the name of the user."}
    assert describe_scopes("gitlab", of("gitlab"), ["api"])[0].text is not None
    assert describe_scopes("gitea", of("gitea"), ["api", "openid"])[0].text is None, (
        "another server on a host of its own"
    )


@pytest.mark.parametrize(
    "text", ["read contacts.", "Read contacts", "Read\ncontacts.", "Read …..", "R" + "e" * 110 + "."]
)
def test_description_is_one_sentence(text: str) -> None:
    with pytest.raises(ValidationError):
        AuthorizationServerScopes.model_validate({"hosts": ["a.example"], "scopes": {"read": text}})
