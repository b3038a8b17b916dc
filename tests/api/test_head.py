"""HEAD on every path that accepts GET, and OPTIONS on the public catalog."""

from collections import defaultdict
from collections.abc import MutableMapping
from typing import Any, Final

import httpx2

from one_runtime.api.application import SPECS
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import Application, Client, RunningAcme, catalog_with_acme, running

WITHOUT_HEAD: Final = "/v1/connections/{connection_id}/credentials"
PENDING: Final = "/v1/webhook-endpoints/{webhook_endpoint_id}/pending"
CHANGING: Final = {"request-id", "date"}


def headers_of(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in CHANGING}


async def test_head_has_the_headers_of_get_and_no_body(client: Client) -> None:
    connection, session = await client.connect(), await client.session()
    known = {"connection_id": connection["id"], "session_id": session["id"], "slug": "hubspot"}
    values = defaultdict(lambda: "none", known)
    paths = {spec.path for spec in SPECS if spec.method == "GET" and not spec.path.startswith("/v1/proxy/")}
    addresses = [path.format_map(values) for path in sorted(paths - {WITHOUT_HEAD, PENDING})]
    for address in [*addresses, "/docs", "/docs/errors", "/openapi.json", "/docs/assets/start.js", "/nothing"]:
        query = {"end_user_id": "user_123"} if address == "/v1/integrations" else {}
        get = await client.get(address, **query)
        head = await client.http.head(address, params=query)
        assert (head.status_code, head.content) == (get.status_code, b""), address
        assert headers_of(head) == headers_of(get), address
    assert (await client.http.head("/v1/integrations")).status_code == 422


async def test_openapi_document_names_the_paths_without_head(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    _, exceptions = document["info"]["description"].split("Every path with GET also accepts HEAD, except ")
    assert exceptions == f"`{WITHOUT_HEAD}` and `{PENDING}`."
    assert not [path for path, methods in document["paths"].items() if "head" in methods and "{path}" not in path]


async def test_accept_changes_no_response(client: Client) -> None:
    """RFC 9110 section 12.5.1: a server may ignore the header. A 406 would break callers with a browser's value."""
    for path, media_type in (
        ("/v1/connections", "application/json"),
        ("/v1/catalog/integrations", "application/json"),
        ("/openapi.json", "application/json"),
        ("/v1/connections/none", "application/problem+json"),
    ):
        plain = await client.get(path)
        for accept in ("text/html,application/xhtml+xml,*/*;q=0.8", "application/xml", "application/json;q=0", "?"):
            response = await client.http.get(path, headers={"accept": accept})
            assert response.headers["content-type"] == media_type
            assert headers_of(response) == headers_of(plain)
            assert response.status_code == plain.status_code


async def test_application_itself_sends_no_body(application: Application) -> None:
    """The HTTP client of the other tests and the web server drop the body of a response to HEAD."""
    for path in ("/v1/catalog/integrations", "/v1/catalog/categories", "/docs"):
        sent: list[MutableMapping[str, Any]] = []
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "method": "HEAD",
            "path": path,
            "query_string": b"",
            "headers": [],
        }

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: MutableMapping[str, Any], sent: list[MutableMapping[str, Any]] = sent) -> None:
            sent.append(message)

        await application.app(scope, receive, send)
        assert sent[0]["status"] == 200
        assert b"".join(message.get("body", b"") for message in sent[1:]) == b"", path


async def test_head_that_would_read_credentials_is_refused(client: Client) -> None:
    connection = await client.connect()
    answer = await client.http.head(WITHOUT_HEAD.format(connection_id=connection["id"]))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    events = (await client.get("/v1/events")).json()["events"]
    assert "connection.credentials_read" not in {event["type"] for event in events}


async def test_head_has_the_length_of_get_over_a_real_connection(settings: Settings, acme: RunningAcme) -> None:
    app = create_app(settings, catalog_with_acme(acme.url))
    async with running(app) as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for path in ("/v1/catalog/integrations", "/v1/catalog/categories", "/healthz", "/openapi.json"):
            get, head = await http.get(path), await http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert headers_of(head) == headers_of(get)
            assert head.http_version == "HTTP/1.1"
        assert (await http.get("/healthz")).status_code == 200  # on the same connection


async def test_405_lists_head_and_options_where_they_are_allowed(client: Client) -> None:
    for path, allowed in (
        ("/v1/organization", "GET, HEAD, PATCH, PUT"),
        ("/v1/catalog/categories", "GET, HEAD, OPTIONS"),
        ("/v1/disconnect", "POST"),
    ):
        answer = await client.http.request("DELETE", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert (await client.http.head("/v1/disconnect")).status_code == 405


async def test_options_on_the_public_catalog_allows_every_website(application: Application) -> None:
    browser = application.client()
    headers = {"origin": "https://app.example.com", "access-control-request-method": "GET"}
    for path in ("/v1/catalog/integrations", "/v1/catalog/integrations/hubspot", "/v1/catalog/categories"):
        answer = await browser.http.options(path, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert answer.headers["access-control-allow-headers"] == "*"
    answer = await browser.http.options("/v1/organization", headers=headers)
    assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (405, None)
