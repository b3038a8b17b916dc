"""P7: the response to a custom integration names the addresses to which One Runtime sends no requests."""

import json

import pytest

from tests.application import Application, Client
from tests.billing import ENTRY, PATH, SLUG, send

pytestmark = pytest.mark.promise("P7")

BASE = "https://billing.acme.com/v1"
KEY_SCHEME = {"securitySchemes": {"Key": {"type": "http", "scheme": "bearer"}}}


def document(url: str) -> str:
    info = {"title": "Billing", "version": "1", "x-category": "Accounting"}
    return json.dumps({"openapi": "3.1.0", "info": info, "servers": [{"url": url}], "components": KEY_SCHEME})


async def test_entry_and_document_with_a_refused_address_get_the_same_warning(client: Client) -> None:
    url, expected = "http://127.0.0.1:18020/v1", 'add "127.0.0.1:18020" to ONE_RUNTIME_EGRESS_ALLOW'
    bodies = ((ENTRY.replace(BASE, url), "application/yaml"), (document(url), "application/json"))
    for text, kind in bodies:
        answer = await send(client, "PUT", f"{PATH}/{SLUG}", text, kind)
        assert answer.status_code in {200, 201}, answer.text
        warnings = [warning for warning in answer.json()["warnings"] if expected in warning]
        assert len(warnings) == 1
        assert (await client.get(f"{PATH}/{SLUG}")).json()["warnings"] == warnings
        assert (await client.get(PATH)).json()["custom_integrations"][0]["warnings"] == warnings


async def test_an_address_that_the_operator_allows_gets_no_warning(application: Application, client: Client) -> None:
    text = ENTRY.replace(BASE, f"http://127.0.0.1:{application.acme.port}")
    assert (await send(client, "POST", PATH, text)).json()["warnings"] == []


async def test_a_warning_does_not_depend_on_name_resolution(client: Client) -> None:
    """Otherwise, an organization could ask for the names of the operator's network."""
    text = ENTRY.replace(BASE, "https://localhost.localdomain/v1")
    assert (await send(client, "POST", PATH, text)).json()["warnings"] == []
