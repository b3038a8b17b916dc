"""Functions of an organization's own OpenAPI documents, from the upload to the search."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from sqlalchemy import select

from one_runtime.agents.operations.index import OperationIndex
from one_runtime.agents.operations.library import OperationLibrary
from one_runtime.agents.operations.own import OwnOperations
from one_runtime.agents.operations.request import arguments_to_request
from one_runtime.agents.operations.search import search
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.custom import read_custom
from one_runtime.catalog.loader import load_catalog
from one_runtime.db.schema import custom_integrations
from one_runtime.integrations.entry_process import EntryDocument, read_in_process
from tests.application import Client
from tests.billing import ENTRY, PATH, SLUG, Billing, send

DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Billing", "x-category": "Accounting"},
    "externalDocs": {"url": "https://docs.acme.com"},
    "servers": [{"url": "https://billing.acme.com/{version}", "variables": {"version": {"default": "v1"}}}],
    "components": {"securitySchemes": {"Key": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/invoices": {"get": {"operationId": "listInvoices", "summary": "List all invoices."}},
        "/invoices/{id}/void": {"post": {"operationId": "voidInvoice", "summary": "Void an invoice."}},
        "/upload": {"post": {"requestBody": {"required": True, "content": {"image/png": {}}}}},
    },
}


def document(**more: Any) -> str:
    return json.dumps(DOCUMENT | more)


@pytest_asyncio.fixture
async def own() -> AsyncIterator[OwnOperations]:
    library = OperationLibrary(load_catalog())
    yield OwnOperations(library)
    library.close()


async def index_of(billing: Billing, client: Client, own: OwnOperations) -> OperationIndex | None:
    organization = (await client.get("/v1/organization")).json()["id"]
    return await own.of(billing.application.installation, organization)


def names(index: OperationIndex | None) -> list[str]:
    return [] if index is None else [operation.name for operation in index.of_integration(SLUG)]


async def put(client: Client, body: str, kind: str = "application/json") -> dict[str, Any]:
    response = await send(client, "PUT", f"{PATH}/{SLUG}", body, kind)
    assert response.status_code in {200, 201}, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_paths_of_a_document_become_functions_of_the_organization(billing: Billing, own: OwnOperations) -> None:
    client = await billing.organization()
    assert await index_of(billing, client, own) is None
    answer = await put(client, document())
    left_out = "Agents cannot call 1 operation of the document: the body is neither JSON nor a form."
    assert left_out in answer["warnings"]
    index = await index_of(billing, client, own)
    assert index is not None
    (match, *_) = search([index], "void an invoice", {SLUG}, {SLUG}, 5)
    assert (match.operation.full_name, match.connected) == (f"{SLUG}.void_invoice", True)
    assert arguments_to_request(match.operation, {"id": "7"}).path == "/invoices/7/void"
    assert await index_of(billing, client, own) is index


async def test_functions_follow_the_integration(billing: Billing, own: OwnOperations) -> None:
    client = await billing.organization()
    await put(client, document())
    assert names(await index_of(billing, client, own)) == ["list_invoices", "void_invoice"]
    before = (await client.get("/v1/events")).json()["events"]
    await put(client, document())
    assert (await client.get("/v1/events")).json()["events"] == before
    fewer = await put(client, document(paths={"/invoices": DOCUMENT["paths"]["/invoices"]}))
    assert fewer["updated_at"] > fewer["created_at"]
    assert names(await index_of(billing, client, own)) == ["list_invoices"]
    await put(client, ENTRY, "application/yaml")
    assert await index_of(billing, client, own) is None
    await put(client, document())
    assert names(await index_of(billing, client, own)) == ["list_invoices", "void_invoice"]
    assert (await client.send("DELETE", f"{PATH}/{SLUG}")).status_code == 200
    assert await index_of(billing, client, own) is None
    async with billing.application.installation.database.read() as tx:
        assert (
            await tx.all(select(custom_integrations.c.operations).where(custom_integrations.c.operations.is_not(None)))
            == []
        )


@pytest.mark.promise("P1")
async def test_functions_of_an_organization_are_invisible_to_others(billing: Billing, own: OwnOperations) -> None:
    client, other = await billing.organization(), await billing.organization("Southwind")
    await put(client, document())
    await put(other, document(paths={"/theirs": {"get": {"operationId": "theirs"}}}))
    assert names(await index_of(billing, client, own)) == ["list_invoices", "void_invoice"]
    assert names(await index_of(billing, other, own)) == ["theirs"]


async def test_size_of_all_functions_of_an_organization_is_limited(
    billing: Billing, own: OwnOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await billing.organization()
    await put(client, document())
    monkeypatch.setattr(organization_catalogs, "MAX_OPERATIONS_SIZE", 600)
    refused = await send(client, "PUT", f"{PATH}/x-other", document(), "application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "can have at most 600 characters" in refused.json()["detail"]
    await put(client, document())


@pytest.mark.slow
async def test_a_large_document_is_compiled_in_the_process_with_limits() -> None:
    paths = {
        f"/things/{number}": {"get": {"operationId": f"thing{number}", "summary": "Get it."}} for number in range(900)
    }
    text = document(paths=paths)
    read = await read_in_process(EntryDocument(text, "json", SLUG))
    assert read == read_custom(text, "json", SLUG)
    assert len(json.loads(read.operations)) == 900


@pytest.mark.promise("P17")
async def test_concurrent_calls_build_an_index_once(billing: Billing, own: OwnOperations) -> None:
    client = await billing.organization()
    await put(client, document())
    indexes = await asyncio.gather(*(index_of(billing, client, own) for _ in range(8)))
    assert names(indexes[0]) == ["list_invoices", "void_invoice"]
    assert len(set(map(id, indexes))) == 1
