"""Describe OAuth scopes in words: the folder `scopes` has one YAML file for each authorization server.

An authorization server defines the meaning of its scopes (RFC 6749, 3.3). So all integrations with the same server
share the descriptions. The descriptions are One Runtime's own words. Without a description, pages show only the scope.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import Slug
from one_runtime.catalog.oauth2 import Scope
from one_runtime.catalog.parts import EntryPart
from one_runtime.catalog.yaml_loader import EntryLoader

ScopeText: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Z][^\x00-\x1f]*[^ .]\.$", max_length=110)]
_STANDARD: Final = "openid.yaml"


class AuthorizationServerScopes(EntryPart):
    """The scopes of an authorization server, with descriptions.

    - `hosts`: the hosts of the authorization URLs, as the entries write them. Custom integrations can have them too.
    - `integrations`: the integrations whose server is on a host of the customer.
    - `prefix`: the beginning of scopes that `scopes` omits.
    """

    hosts: tuple[str, ...] = ()
    integrations: tuple[Slug, ...] = ()
    prefix: str = ""
    scopes: Annotated[dict[Scope, ScopeText], Field(max_length=200)]

    def describe(self, scope: str) -> str | None:
        """Return the description of a scope, or None."""
        return self.scopes.get(scope) or self.scopes.get(scope.removeprefix(self.prefix))


class DescribedScope(NamedTuple):
    """A scope. `text`: what the scope permits, or None if One Runtime has no description."""

    scope: str
    text: str | None


class _Servers(NamedTuple):
    by_host: Mapping[str, AuthorizationServerScopes]
    by_slug: Mapping[str, AuthorizationServerScopes]
    standard: AuthorizationServerScopes


def describe_scopes(slug: str, auth: OAuth2Auth, scopes: Iterable[str]) -> list[DescribedScope]:
    """Return the scopes of an integration in the same order, without duplicates."""
    known = _servers()
    host = urlsplit(auth.authorization.url).netloc
    server = known.by_slug.get(slug) or known.by_host.get(host) or known.standard
    return [
        DescribedScope(scope, server.describe(scope) or known.standard.describe(scope))
        for scope in dict.fromkeys(scopes)
    ]


def read_files() -> dict[str, AuthorizationServerScopes]:
    """Return the content of each file of the folder, by the name of the file."""
    folder = files("one_runtime.catalog") / "scopes"
    return {
        file.name: AuthorizationServerScopes.model_validate(_load(file.read_text("utf-8")))
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }


def _load(text: str) -> object:
    loader = EntryLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@cache
def _servers() -> _Servers:
    servers = read_files()
    standard = servers.pop(_STANDARD)
    by_host = {host: server for server in servers.values() for host in server.hosts}
    by_slug = {slug: server for server in servers.values() for slug in server.integrations}
    return _Servers(by_host, by_slug, standard)
