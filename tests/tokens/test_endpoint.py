"""Requests to token endpoints are counted by integration, grant and result. The host is not in the metrics."""

import pytest

from one_runtime.clock import system_clock
from one_runtime.egress.client import Egress
from one_runtime.oauth.errors import EndpointTargetRefused
from one_runtime.telemetry import metrics
from one_runtime.tokens.endpoint import TokenEndpoint
from tests.catalog.example import OAUTH2, entry_of
from tests.oauth.answers import CLIENT, REFRESH


async def test_token_request_is_counted_by_its_result() -> None:
    def count() -> float:
        labels = {"integration": "endpoint", "grant": "refresh_token", "result": "target_refused"}
        return metrics.REGISTRY.get_sample_value("one_runtime_token_requests_total", labels) or 0.0

    entry = entry_of({**OAUTH2, "token": {**OAUTH2["token"], "url": "https://127.0.0.1:1/token"}})
    auth = entry.oauth2
    assert auth is not None
    endpoint = TokenEndpoint(entry.model_copy(update={"slug": "endpoint"}), auth, CLIENT, {})
    before, egress = count(), Egress()
    try:
        with pytest.raises(EndpointTargetRefused):
            await endpoint.ask(egress, system_clock, REFRESH)
    finally:
        await egress.close()
    assert count() == before + 1
