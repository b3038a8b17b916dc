"""Requests to token endpoints: the metric with integration, host, grant and result."""

from contextlib import suppress

import pytest

from one_runtime.clock import system_clock
from one_runtime.egress import Egress
from one_runtime.errors import InvalidInput
from one_runtime.oauth.errors import EndpointTargetRefused
from one_runtime.telemetry import metrics
from one_runtime.tokens.endpoint import TokenEndpoint
from tests.catalog.example import OAUTH2, SUBDOMAIN, entry_of
from tests.oauth.answers import CLIENT, REFRESH

HERE = "https://127.0.0.1:1/token"


@pytest.mark.parametrize(
    "slug, token, host, result",
    [
        ("endpoint", {"url": HERE}, "127.0.0.1:1", "target_refused"),
        ("endpoint", {"url": "https://example.com/token", "refresh_url": HERE}, "127.0.0.1:1", "target_refused"),
        ("endpoint", {"url": "https://{subdomain}.example.com/token"}, metrics.OTHER, metrics.OTHER),
        ("x-endpoint", {"url": HERE}, metrics.OTHER, "target_refused"),
    ],
)
async def test_token_requests_are_counted_with_a_host_of_the_catalog_only(
    slug: str, token: dict[str, str], host: str, result: str
) -> None:
    def count() -> float:
        labels = {"integration": slug, "host": host, "grant": "refresh_token", "result": result}
        return metrics.REGISTRY.get_sample_value("one_runtime_token_requests_total", labels) or 0.0

    params = [SUBDOMAIN] if "{subdomain}" in token["url"] else []
    entry = entry_of({**OAUTH2, "token": {**OAUTH2["token"], **token}, "params": params})
    auth = entry.auth_of("oauth2")
    assert auth is not None
    assert auth.type == "oauth2"
    endpoint = TokenEndpoint(entry.model_copy(update={"slug": slug}), auth, CLIENT, {})
    before, egress = count(), Egress()
    try:
        with suppress(EndpointTargetRefused, InvalidInput):
            await endpoint.ask(egress, system_clock, REFRESH)
    finally:
        await egress.close()
    assert count() == before + 1
