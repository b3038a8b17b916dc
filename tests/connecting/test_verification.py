"""From verified credentials to a connection: a single function, which sets the audience (P7)."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import select

import one_runtime
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connecting.verification import unverified_account
from one_runtime.db.schema import credentials
from tests.billing import SLUG, Billing, connect, import_tokens, with_client
from tests.source_files import nodes

pytestmark = pytest.mark.promise("P7")

PACKAGE = Path(one_runtime.__file__).parent


def test_new_connections_are_built_in_one_place() -> None:
    builders = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "NewConnection" in path.read_text(encoding="utf-8")  # otherwise, do not parse the file
        for node in nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "NewConnection"
    ]
    assert builders == ["connecting/verification.py"]


def test_a_connection_to_a_built_in_integration_has_no_audience() -> None:
    integration = load_catalog().get("hubspot")
    assert integration is not None
    auth = integration.auth_of("api_key")
    assert auth is not None
    account = unverified_account(integration, auth, ConnectionValues({}, {"api_key": "key"}))
    assert account.as_connection("user_123", None, {}).token_metadata.audience is None


async def test_every_import_stores_the_audience_of_the_custom_integration(billing: Billing) -> None:
    client, installation = await billing.organization(), billing.application.installation
    await with_client(client)
    imported = {
        (await connect(client, "checked"))["id"]: "api_key",
        (await connect(client, "unchecked", check=False))["id"]: "api_key",
        (await import_tokens(client, "tokens"))["id"]: "oauth2",
    }
    organization_id = (await client.get("/v1/organization")).json()["id"]
    async with installation.database.read() as tx:
        integration = await installation.catalogs.get(tx, organization_id, SLUG)
        rows = await tx.all(select(credentials.c.connection_id, credentials.c.audience))
    assert integration is not None
    audiences = {auth_type: integration.audience(auth_type) for auth_type in ("api_key", "oauth2")}
    assert None not in audiences.values()
    assert {row.connection_id: row.audience for row in rows} == {
        connection_id: audiences[auth_type] for connection_id, auth_type in imported.items()
    }
