"""A pytest plugin: real authorization servers of third parties, each in its own process on loopback.

`django_provider` is django-oauth-toolkit, `oidc_provider` is npm's oidc-provider, `emulated` is npm's emulate in the
shapes of six vendors. They live as long as the session; `running_…` starts one more, with other settings.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2
import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import Integration
from tests.foreign.person import people_as_json
from tests.foreign.process import ForeignProcess, node, running

ENTRIES: Final = Path(__file__).parent / "entries"
ACCESS_TOKEN_SECONDS: Final = 5
LOGO: Final = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1H0z"/></svg>'
VENDORS: Final = ("github", "google", "linear", "microsoft", "okta", "slack")


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A confidential client that a provider knows."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Provider:
    """A running authorization server: its URL, its catalog entry, and its registration endpoint."""

    url: str
    entry: Integration
    process: ForeignProcess
    registration_url: str

    @property
    def port(self) -> int:
        """Return the port, for the allow-list of the egress."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def auth(self) -> OAuth2Auth:
        """The entry's `oauth2`."""
        auth = self.entry.oauth2
        assert auth is not None
        return auth

    def register_client(self, redirect_uri: str) -> OAuthClient:
        """Register a client for the authorization code grant (RFC 7591). Vendors of `emulate` forget refresh tokens."""
        return self._registered(redirect_uris=[redirect_uri], grant_types=["authorization_code", "refresh_token"])

    def register_service(self) -> OAuthClient:
        """Register a client for client credentials, which only the Django provider supports."""
        return self._registered(redirect_uris=[], grant_types=["client_credentials"])

    def _registered(self, redirect_uris: list[str], grant_types: list[str]) -> OAuthClient:
        metadata = {"client_name": "One Runtime", "redirect_uris": redirect_uris, "grant_types": grant_types}
        answer = httpx2.post(self.registration_url, json=metadata, verify=False)
        assert answer.status_code == 201, answer.text
        registration = answer.json()
        return OAuthClient(registration["client_id"], registration["client_secret"], (redirect_uris or [""])[0])


def entry_for(slug: str, url: str) -> Integration:
    """Return the entry of a running foreign server."""
    return load_yaml(ENTRIES / f"{slug}.yaml", allow_http=True, replace={"url": url})


def catalog_with(*providers: Provider) -> Catalog:
    """Return the built-in catalog with these entries added."""
    catalog = load_catalog()
    for provider in providers:
        catalog = catalog.with_extra(provider.entry, LOGO)
    return catalog


@contextmanager
def running_django(folder: Path, access_token_seconds: int = ACCESS_TOKEN_SECONDS) -> Iterator[Provider]:
    """Run django-oauth-toolkit with its database in the folder."""
    module = ["-m", "tests.foreign.django_provider", "--folder", str(folder)]
    options = ["--people", people_as_json(), "--access-token-seconds", str(access_token_seconds)]
    with running([sys.executable, *module, *options], folder) as process:
        url = process.announcement["url"]
        yield Provider(url, entry_for("django-provider", url), process, f"{url}/o/register/")


@contextmanager
def running_oidc(folder: Path, access_token_seconds: int = ACCESS_TOKEN_SECONDS) -> Iterator[Provider]:
    """Run npm's oidc-provider, which stores everything in memory."""
    options = ["--people", people_as_json(), "--access-token-seconds", str(access_token_seconds)]
    with running(node("oidc_provider.js", *options), folder) as process:
        url = process.announcement["url"]
        yield Provider(url, entry_for("oidc-provider", url), process, f"{url}/reg")


@contextmanager
def running_emulate(folder: Path, vendors: tuple[str, ...] = VENDORS) -> Iterator[dict[str, Provider]]:
    """Run npm's emulate for these vendors in one process."""
    options = ["--people", people_as_json(), "--vendors", ",".join(vendors)]
    with running(node("emulate.js", *options), folder) as process:
        registration = process.announcement["registration"]
        yield {
            vendor: Provider(url, entry_for(f"emulated-{vendor}", url), process, f"{registration}/{vendor}/register")
            for vendor, url in process.announcement["urls"].items()
        }


@pytest.fixture(scope="session")
def django_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """django-oauth-toolkit, with access tokens of 5 seconds."""
    with running_django(tmp_path_factory.mktemp("django")) as provider:
        yield provider


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """npm's oidc-provider, with access tokens of 5 seconds."""
    with running_oidc(tmp_path_factory.mktemp("oidc")) as provider:
        yield provider


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Provider]]:
    """npm's emulate: a provider for each of `VENDORS`."""
    with running_emulate(tmp_path_factory.mktemp("emulate")) as providers:
        yield providers
