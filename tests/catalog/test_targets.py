"""P7: an entry and an OpenAPI document follow the same rules for http on loopback and for refused addresses."""

import json
from typing import Any

import pytest
import yaml

from one_runtime.catalog.custom import CustomEntry, read_custom
from one_runtime.catalog.source import SourceError
from one_runtime.catalog.targets import refused_targets
from one_runtime.egress.target import AllowList
from tests.billing import ENTRY, OAUTH

pytestmark = pytest.mark.promise("P7")

NONE: AllowList = frozenset()
BASE = "https://billing.acme.com/v1"


def as_entry(url: str, *, allow_http: bool = True) -> CustomEntry:
    """Read an entry with this base URL."""
    return read_custom(ENTRY.replace(BASE, url), "yaml", allow_http=allow_http)


def as_document(url: str, *, allow_http: bool = True, **more: Any) -> CustomEntry:
    """Read an OpenAPI document with this server."""
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Billing", "version": "1", "x-category": "Accounting"},
        "servers": [{"url": url, **more}],
        "components": {"securitySchemes": {"Key": {"type": "http", "scheme": "bearer"}}},
    }
    return read_custom(json.dumps(document), "json", allow_http=allow_http)


@pytest.mark.parametrize("read", [as_entry, as_document])
@pytest.mark.parametrize("url", ["http://127.0.0.1:18020/v1", "http://localhost:18020", "http://[::1]:18020/v1"])
def test_http_on_loopback_is_accepted_only_where_the_server_itself_uses_http(read: Any, url: str) -> None:
    assert read(url).integration.auth[0].base_url == url
    with pytest.raises(SourceError, match="https"):
        read(url, allow_http=False)


@pytest.mark.parametrize("read", [as_entry, as_document])
@pytest.mark.parametrize("url", ["http://billing.acme.com/v1", "http://10.0.0.1/v1", "ftp://127.0.0.1/v1"])
def test_http_on_other_hosts_is_refused_everywhere(read: Any, url: str) -> None:
    with pytest.raises(SourceError, match="https"):
        read(url)


def test_an_oauth_flow_of_a_document_accepts_http_on_loopback() -> None:
    flow = {"authorizationUrl": "/authorize", "tokenUrl": "http://127.0.0.1:18021/token", "scopes": {"read": "r"}}
    scheme = {"type": "oauth2", "flows": {"authorizationCode": flow}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Billing", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:18020"}],
        "security": [{"Sign in": ["read"]}],
        "components": {"securitySchemes": {"Sign in": scheme}},
    }
    custom = read_custom(json.dumps(document), "json", allow_http=True)
    assert [message.split(" ")[0] for message in refused_targets(custom.integration, NONE)] == ["127.0.0.1"] * 2
    with pytest.raises(SourceError, match="https"):
        read_custom(json.dumps({**document, "servers": [{"url": BASE}]}), "json")


def test_a_document_with_a_public_and_a_loopback_server_uses_the_first_usable_one() -> None:
    document = yaml.safe_load(
        "{openapi: 3.1.0, info: {title: Billing, version: '1'},"
        " servers: [{url: 'http://127.0.0.1:18020/v1'}, {url: 'https://billing.acme.com/v1'}],"
        " components: {securitySchemes: {Key: {type: http, scheme: bearer}}}}"
    )
    urls = [
        read_custom(json.dumps(document), "json", allow_http=allow_http).integration.auth[0].base_url
        for allow_http in (True, False)
    ]
    assert urls == ["http://127.0.0.1:18020/v1", "https://billing.acme.com/v1"]


@pytest.mark.parametrize(
    "url, entry",
    [
        ("http://127.0.0.1:18020/v1", "127.0.0.1:18020"),
        ("http://localhost:18020/v1", "localhost:18020"),
        ("http://[::1]:18020/v1", "[::1]:18020"),
        ("https://crm.localhost/v1", "crm.localhost:443"),
        ("https://metadata.google.internal/v1", "metadata.google.internal:443"),
        ("https://billing.acme.com:22/v1", "billing.acme.com:22"),
    ],
)
def test_a_refused_address_of_an_entry_is_named_with_its_remedy(url: str, entry: str) -> None:
    integration = as_entry(url).integration
    (message,) = refused_targets(integration, NONE)
    assert f'add "{entry}" to ONE_RUNTIME_EGRESS_ALLOW' in message
    host, _, port = entry.rpartition(":")
    assert refused_targets(integration, frozenset({(host.strip("[]"), int(port))})) == ()
    assert refused_targets(integration, frozenset({(host.strip("[]"), 1)})) == (message,)


def test_the_number_of_checked_addresses_is_limited() -> None:
    """Each list of custom integrations runs the check. So many combinations of options must not slow the server."""
    options = [f"h{number}" for number in range(30)]
    variables = {name: {"enum": options, "default": "h0"} for name in ("one", "two")}
    custom = as_document("https://{one}.{two}.localhost/v1", variables=variables)
    assert len(refused_targets(custom.integration, NONE)) == 32


def test_many_options_of_a_host_hide_no_other_host() -> None:
    options = ", ".join(f"{{value: r{number}, label: R}}" for number in range(40))
    region = f"    params: [{{name: region, label: Region, options: [{options}]}}]\n"
    text = ENTRY.replace(BASE, "https://{region}.acme.com/v1").replace("    base_url", f"{region}    base_url", 1)
    oauth = OAUTH.replace("https://id.acme.com/token", "https://crm1.localhost/token").replace(
        "https://id.acme.com/revoke", "https://{region}.localhost/revoke"
    )
    oauth = oauth.replace("    base_url", f"{region}    base_url", 1)
    messages = refused_targets(read_custom(text + oauth, "yaml").integration, NONE)
    assert [message.split(" ")[0] for message in messages][:2] == ["crm1.localhost", "r0.localhost"]


def test_an_entry_with_public_hosts_has_no_refused_address() -> None:
    assert refused_targets(as_entry(BASE).integration, NONE) == ()


def test_the_check_resolves_options_and_every_address_that_receives_a_credential() -> None:
    text = ENTRY + OAUTH.replace("https://id.acme.com/token", "https://crm1.localhost/token").replace(
        "https://id.acme.com/revoke", "https://crm2.localhost/revoke"
    ).replace("https://id.acme.com/authorize", "https://crm3.localhost/authorize")
    messages = refused_targets(read_custom(text, "yaml").integration, NONE)
    assert [message.split(" ")[0] for message in messages] == ["crm1.localhost", "crm2.localhost"]
    servers = {"enum": ["eu.acme.com", "crm.localhost"], "default": "eu.acme.com"}
    custom = as_document("https://{server}/v1", variables={"server": servers})
    assert [message.split(" ")[0] for message in refused_targets(custom.integration, NONE)] == ["crm.localhost"]
