"""Import of OpenAPI documents."""

import json
from typing import Any

import pytest
import yaml

from one_runtime.catalog.custom import CustomEntry, read_custom
from one_runtime.catalog.lint import example_values
from one_runtime.catalog.model import dump
from one_runtime.catalog.openapi import slug_from
from one_runtime.catalog.request import inject
from one_runtime.catalog.source import SourceError

KEY: dict[str, Any] = {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "Under Settings, API"}
BEARER: dict[str, Any] = {"type": "http", "scheme": "Bearer"}
FLOWS: dict[str, Any] = {
    "authorizationCode": {
        "authorizationUrl": "https://id.acme.com/authorize",
        "tokenUrl": "https://id.acme.com/token",
        "refreshUrl": "https://id.acme.com/refresh",
        "scopes": {"read": "Read", "write": "Write"},
    }
}
NO_AUTH: dict[str, Any] = {"tokenUrl": "https://id.acme.com/token", "x-token-auth": "none"}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Billing API",
        "description": "Invoices, payments and *credit notes*. And much more than that.",
        "version": "1",
        "x-category": "accounting",
        "x-check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
        "x-identity": {"id": "id", "label": "name"},
        "contact": {"url": "https://acme.com"},
    },
    "externalDocs": {"url": "https://docs.acme.com"},
    "servers": [{"url": "https://billing.acme.com/v1/"}],
    "components": {"securitySchemes": {"Key": KEY}},
    "paths": {"/me": {"get": {"responses": {"200": {"$ref": "#/components/responses/Me"}}}}},
}


def imported(slug: str | None = None, **changed: Any) -> CustomEntry:
    return read_custom(yaml.safe_dump({**DOCUMENT, **changed}, sort_keys=False), "yaml", slug)


def with_schemes(*security: dict[str, list[str]], **schemes: Any) -> CustomEntry:
    more: dict[str, Any] = {"security": list(security)} if security else {}
    return imported(components={"securitySchemes": schemes}, **more)


def info(**changed: Any) -> dict[str, Any]:
    return {**DOCUMENT["info"], **changed}


def refusal(text: str | None = None, **changed: Any) -> tuple[int | None, str, str]:
    """Return the line, the place and the message of a refused document."""
    with pytest.raises(SourceError) as refused:
        read_custom(text or yaml.safe_dump({**DOCUMENT, **changed}, sort_keys=False), "yaml")
    (complaint,) = refused.value.complaints
    return complaint.line, ".".join(map(str, complaint.place)), complaint.message


def test_an_entry_has_the_title_description_server_scheme_and_extensions_of_the_document() -> None:
    custom = imported()
    entry = dump(custom.integration)
    assert {name: entry[name] for name in ("slug", "name", "description", "category", "website", "docs")} == {
        "slug": "x-billing-api",
        "name": "Billing API",
        "description": "Invoices, payments and credit notes.",
        "category": "Accounting",
        "website": "https://acme.com",
        "docs": "https://docs.acme.com",
    }
    (auth,) = custom.integration.auth
    assert auth.fields[0].where == "Under Settings, API."
    sent = inject(auth, example_values(auth))
    assert sent.base_url == "https://billing.acme.com/v1"
    assert [name for name, _ in sent.headers] == ["X-Api-Key"]
    assert auth.check is not None
    assert auth.identity is not None
    assert custom.warnings == ()
    assert "<text" in custom.logo


def test_a_json_document_is_imported_under_the_slug_of_the_request() -> None:
    custom = read_custom(json.dumps(DOCUMENT, indent="\t"), "json", "x-ours")
    assert custom.integration.slug == "x-ours"


@pytest.mark.parametrize(
    "title, slug",
    [("Billing API", "x-billing-api"), ("  Zoë's — API 2.0 ", "x-zo-s-api-2-0"), ("a" * 90, "x-" + "a" * 62)],
)
def test_a_slug_is_derived_from_the_title(title: str, slug: str) -> None:
    assert slug_from(title) == slug


@pytest.mark.parametrize(
    "scheme, sent",
    [
        (KEY, {"headers": {"X-Api-Key": "{api_key}"}}),
        ({"type": "apiKey", "in": "query", "name": "key"}, {"query": {"key": "{api_key}"}}),
        (BEARER, {"headers": {"Authorization": "Bearer {api_key}"}}),
    ],
)
def test_a_key_is_sent_as_its_scheme_defines(scheme: dict[str, Any], sent: dict[str, Any]) -> None:
    assert dump(with_schemes(Key=scheme).integration)["auth"][0]["send"] == sent


def test_keys_of_one_requirement_become_one_auth_type() -> None:
    app = {"type": "apiKey", "in": "query", "name": "app"}
    (auth,) = dump(with_schemes({"Key": [], "App-Id": []}, Key=KEY, **{"App-Id": app}).integration)["auth"]
    assert [field["name"] for field in auth["fields"]] == ["key", "app_id"]
    assert auth["send"] == {"headers": {"X-Api-Key": "{key}"}, "query": {"app": "{app_id}"}}


def test_each_kind_of_scheme_becomes_an_auth_type() -> None:
    both = {**FLOWS, "clientCredentials": {"tokenUrl": "https://id.acme.com/token", "scopes": {}}}
    basic = {"type": "http", "scheme": "basic"}
    custom = with_schemes(
        {"Key": []},
        {"Basic": []},
        {"OAuth": ["read"]},
        {},
        Key=KEY,
        Basic=basic,
        OAuth={"type": "oauth2", "flows": both},
    )
    ways = {auth["type"]: auth for auth in dump(custom.integration)["auth"]}
    assert list(ways) == ["api_key", "basic", "oauth2", "client_credentials", "none"]
    assert ways["oauth2"]["scopes"] == {"default": ["read"]}
    assert ways["oauth2"]["token"] == {"url": "https://id.acme.com/token", "refresh_url": "https://id.acme.com/refresh"}
    assert "check" not in ways["none"]
    assert custom.warnings == ()


def test_ignored_and_guessed_parts_have_a_warning() -> None:
    left_out = with_schemes(
        {"Key": []},
        {"Other": []},
        {"Digest": []},
        {"Key": [], "OAuth": []},
        {"OAuth": []},
        Key=KEY,
        Other={**KEY, "name": "X-Other"},
        Digest={"type": "http", "scheme": "digest"},
        OAuth={"type": "oauth2", "flows": {**FLOWS, "implicit": {}}},
    )
    assert left_out.warnings == (
        "Other is ignored: the auth type api_key may occur only once.",
        "Digest is ignored: http digest is not supported.",
        "The requirement Key and OAuth is ignored: only API keys and bearer tokens can be combined.",
        "OAuth: no scope is requested by default. List scopes under security: [{OAuth: [read, write]}].",
        "OAuth: implicit is ignored. Use authorizationCode or clientCredentials.",
    )
    guessed = imported(info={"title": "Billing", "version": "1"}, externalDocs={})
    assert [warning.partition(",")[0] for warning in guessed.warnings] == [
        "x-check is missing",
        "x-category is missing",
        "externalDocs is missing",
    ]
    entry = dump(guessed.integration)
    assert (entry["category"], entry["description"]) == ("Developer Tools", "The API of Billing.")
    assert entry["auth"][0]["check_missing"]


@pytest.mark.parametrize(
    "text, description",
    [
        ("invoices", "Invoices."),
        ("# Billing\n\nIt [bills](https://acme.com).", "Billing It bills."),
        ("word " * 40, ("Word " + "word " * 16).strip() + "."),
        ("…", "The API of Billing API."),
    ],
)
def test_a_description_is_one_short_sentence(text: str, description: str) -> None:
    assert imported(info=info(description=text)).integration.description == description


def test_servers_that_differ_in_their_host_become_options() -> None:
    servers = [
        {"url": "https://eu.acme.com/v1", "description": "Europe"},
        {"url": "https://us.acme.com/v1"},
        {"url": "http://localhost:8080/v1"},
    ]
    (auth,) = imported(servers=servers).integration.auth
    assert auth.base_url == "https://{server}/v1"
    assert [(option.value, option.label) for option in auth.params[0].options] == [
        ("eu.acme.com", "Europe"),
        ("us.acme.com", "us.acme.com"),
    ]
    different = imported(servers=[{"url": "https://eu.acme.com/v1"}, {"url": "https://us.acme.com/v2"}])
    assert different.integration.auth[0].base_url == "https://eu.acme.com/v1"
    assert different.warnings == ("The document has several servers. One Runtime uses https://eu.acme.com/v1.",)


AT: dict[str, Any] = {"x-document-url": "https://billing.acme.com/docs/openapi.json"}


@pytest.mark.parametrize(
    "url, base_url",
    [
        ("/v1", "https://billing.acme.com/v1"),
        ("v1", "https://billing.acme.com/docs/v1"),
        ("../v1/", "https://billing.acme.com/v1"),
        (".", "https://billing.acme.com/docs"),
        ("/", "https://billing.acme.com"),
        ("//api.acme.com/v1", "https://api.acme.com/v1"),
        ("https://other.acme.com/v1", "https://other.acme.com/v1"),
    ],
)
def test_a_relative_server_is_resolved_against_the_url_of_the_document(url: str, base_url: str) -> None:
    custom = imported(servers=[{"url": url}], info=info(**AT))
    assert custom.integration.auth[0].base_url == base_url


def test_without_servers_the_base_url_is_the_host_of_the_document() -> None:
    changed: dict[str, Any]
    for changed in ({"servers": [], **AT}, {"servers": None, **AT}):
        assert imported(**changed).integration.auth[0].base_url == "https://billing.acme.com"


def test_a_server_whose_scheme_is_a_variable_is_not_relative() -> None:
    servers = [{"url": "{scheme}://a.acme.com", "variables": {"scheme": {"default": "https"}}}]
    assert refusal(**{"servers": servers, **AT})[1] == "servers.0.url"


def test_relative_links_are_resolved_against_the_url_of_the_document() -> None:
    custom = imported(externalDocs={"url": "guide"}, info=info(contact={"url": "/"}, **AT))
    entry = dump(custom.integration)
    assert (entry["docs"], entry["website"]) == ("https://billing.acme.com/docs/guide", "https://billing.acme.com/")


@pytest.mark.parametrize("url", ["/openapi.json", "http://acme.com/openapi.json", "https://a:b@acme.com/x", 7])
def test_the_url_of_a_document_is_an_absolute_https_url(url: object) -> None:
    _, place, message = refusal(info=info(**{"x-document-url": url}))
    assert place == "info.x-document-url"
    assert message.endswith("write the URL of the document, such as https://api.example.com/openapi.json")


@pytest.mark.parametrize(
    "server, token",
    [
        ("https://billing.acme.com/v1", "https://billing.acme.com/oauth/token"),
        ("https://billing.acme.com/v1/", "https://billing.acme.com/v1/oauth/token"),
        ("https://{tenant}.acme.com/v1", "https://{tenant}.acme.com/oauth/token"),
    ],
)
def test_relative_oauth_urls_are_resolved_against_the_server(server: str, token: str) -> None:
    flow = {"authorizationUrl": "/authorize", "tokenUrl": "oauth/token", "refreshUrl": "oauth/token", "scopes": {}}
    schemes = {"O": {"type": "oauth2", "flows": {"authorizationCode": flow}}}
    servers = [{"url": server, "variables": {"tenant": {"default": "a"}}}]
    (auth,) = dump(imported(servers=servers, components={"securitySchemes": schemes}).integration)["auth"]
    assert auth["token"] == {"url": token}
    assert auth["authorization"]["url"] == server.partition("/v1")[0] + "/authorize"


@pytest.mark.parametrize(
    "written, method",
    [("basic", "basic"), ("basic_raw", "basic_raw"), ("client_secret_post", "post"), ("client_secret_basic", "basic")],
)
def test_a_flow_can_name_the_authentication_at_the_token_endpoint(written: str, method: str) -> None:
    token = {"tokenUrl": "https://id.acme.com/token", "x-token-auth": written, "scopes": {}}
    flows = {"authorizationCode": {**FLOWS["authorizationCode"], "x-token-auth": written}, "clientCredentials": token}
    auths = dump(with_schemes(OAuth={"type": "oauth2", "flows": flows}).integration)["auth"]
    assert [auth["token"]["auth"] for auth in auths] == [method, method]


def test_variables_in_the_host_of_a_server_become_params() -> None:
    variables = {
        "tenant-id": {"default": "demo", "description": "Your tenant"},
        "region": {"default": "eu", "enum": ["eu", "us"]},
        "version": {"default": "v2"},
    }
    (auth,) = imported(
        servers=[{"url": "https://{tenant-id}.{region}.acme.com/{version}", "variables": variables}]
    ).integration.auth
    assert auth.base_url == "https://{tenant_id}.{region}.acme.com/v2"
    tenant, region = auth.params
    assert (tenant.placeholder, tenant.help, tenant.transform) == ("demo", "Your tenant.", ("lower",))
    assert ([option.value for option in region.options], region.default) == (["eu", "us"], "eu")


def test_a_reference_within_the_document_is_resolved() -> None:
    schemes = {"Key": {"$ref": "#/components/securitySchemes/Real~1Key"}, "Real/Key": KEY}
    custom = with_schemes({"Key": []}, **schemes)
    assert custom.integration.auth_types == ("api_key",)


def test_a_logo_is_used_if_it_is_an_svg() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8"/></svg>'
    drawn = imported(info=info(**{"x-logo": {"url": f"data:image/svg+xml,{svg}"}}))
    assert (drawn.logo, drawn.warnings) == (svg.replace("/></svg>", "/></svg>"), ())
    fetched = imported(info=info(**{"x-logo": {"url": "https://acme.com/logo.svg"}}))
    assert "<text" in fetched.logo
    assert fetched.warnings[0].startswith("x-logo is ignored")


@pytest.mark.parametrize(
    "changed, place, message",
    [
        ({"openapi": "2.0"}, "openapi", "OpenAPI 2.0 is not supported. Convert the document to OpenAPI 3.0"),
        ({"info": {"version": "1"}}, "info.title", "is required"),
        ({"servers": []}, "servers", "at least one server must have"),
        ({"servers": [{"url": "/v1"}]}, "servers.0.url", "at least one server must have"),
        (
            {"components": {"securitySchemes": {"O": {"type": "oauth2", "flows": {"clientCredentials": NO_AUTH}}}}},
            "components.securitySchemes.O.flows.clientCredentials.x-token-auth",
            "must be one of: basic, basic_raw, post, either, client_secret_basic, client_secret_post",
        ),
        ({"servers": [{"url": "https://{x}.acme.com"}]}, "servers.0.variables.x", "is required"),
        ({"components": {}}, "components.securitySchemes", "needs a supported scheme"),
        ({"security": [{"Nothing": []}]}, "security.0.Nothing", "components.securitySchemes must define Nothing"),
        ({"info": info(**{"x-category": "Money"})}, "info.x-category", "must be one of: CRM"),
        (
            {"components": {"securitySchemes": {"K": {"$ref": "other.yaml#/K"}}}},
            "components.securitySchemes.K.$ref",
            "must point into this document",
        ),
        ({"info": info(title="気象")}, "info.title", "must have Latin letters or digits"),
        (
            {"components": {"securitySchemes": {"K": {"$ref": "#/a"}}}},
            "components.securitySchemes.K.$ref",
            "must point to a part of the document, but #/a",
        ),
        (
            {"components": {"securitySchemes": {"K": {"$ref": "#/components/securitySchemes/K"}}}},
            "components.securitySchemes.K.$ref",
            "must not point to itself",
        ),
        (
            {"components": {"securitySchemes": {"O": {"type": "oauth2", "flows": {"authorizationCode": {}}}}}},
            "components.securitySchemes.O.flows.authorizationCode.tokenUrl",
            "must be an absolute https address",
        ),
    ],
)
def test_a_missing_part_is_reported_with_its_place(changed: dict[str, Any], place: str, message: str) -> None:
    line, where, text = refusal(**changed)
    assert (where, text[: len(message)]) == (place, message)
    assert line is not None


def test_a_complaint_has_the_line_of_the_document() -> None:
    text = (
        "openapi: 3.0.3\ninfo:\n  title: Billing\nservers:\n  - url: https://a.acme.com\n\ncomponents:\n  schemas: {}\n"
    )
    assert refusal(text)[:2] == (
        7,
        "components.securitySchemes",
    )
    assert refusal("swagger: '2.0'\n")[:2] == (1, "swagger")


def test_parts_that_the_model_refuses_are_reported() -> None:
    line, place, message = refusal(info=info(**{"x-check": {"path": "me"}}))
    assert (line, place) == (8, "info.x-check.path")
    assert 'must begin with "/"' in message
