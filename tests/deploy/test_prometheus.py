"""The shipped alert rules and the dashboard. In `make soak`, Debian's Prometheus scrapes a real One Runtime."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
import yaml

from one_runtime.demo.acme import Acme
from one_runtime.telemetry.metrics_server import metrics_served
from tests.application import ACME_KEYS, RunningAcme, running, settings_for, started
from tests.deploy.prometheus import (
    DASHBOARD,
    RULES,
    Prometheus,
    alerts,
    dashboard_queries,
    expressions,
    metric_names,
    promtool,
    scraping,
)
from tests.documentation import page
from tests.waiting import eventually

pytestmark = [pytest.mark.foreign, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True, slots=True)
class Scraped:
    """A Prometheus that has scraped a One Runtime with one connection."""

    prometheus: Prometheus
    metrics_url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    database = Path(shutil.copy(sqlite_template, folder / "one-runtime.db"))
    acme = Acme(ACME_KEYS)
    async with running(acme.app) as acme_port:
        there = RunningAcme(f"http://127.0.0.1:{acme_port}", acme_port, acme)
        settings = settings_for(f"sqlite:///{database}", there, metrics_listen="127.0.0.1:9464")
        async with started(settings, there) as application:
            client = application.client(await application.key(await application.organization()))
            await client.connect()
            await client.integrations()
            with metrics_served(("127.0.0.1", 0), workers=1) as url, scraping(folder, url) as prometheus:
                await eventually(lambda: prometheus.query('count_over_time(up{job="one-runtime"}[1m]) >= 2'))
                yield Scraped(prometheus, url)


@pytest.mark.soak
async def test_prometheus_loads_and_evaluates_every_rule(scraped: Scraped) -> None:
    promtool("check", "rules", str(RULES))

    def evaluated() -> list[dict[str, Any]]:
        rules: list[dict[str, Any]]
        (rules,) = [group["rules"] for group in scraped.prometheus.ask("rules")["groups"]]
        return [] if any(rule["health"] == "unknown" for rule in rules) else rules

    rules = await eventually(evaluated)
    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(alerts(), "ok")
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


@pytest.mark.soak
async def test_every_query_runs(scraped: Scraped) -> None:
    for expression in expressions().values():
        scraped.prometheus.query(expression.replace("$__rate_interval", "1m"))


@pytest.mark.soak
async def test_every_metric_of_the_queries_is_served(scraped: Scraped) -> None:
    served = set(re.findall(r"^# TYPE (\w+)", httpx2.get(scraped.metrics_url).text, re.MULTILINE))
    used = {name for expression in expressions().values() for name in metric_names(expression)}
    assert used <= served
    assert len(used) > 20


@pytest.mark.soak
async def test_dashboard_shows_the_scraped_values(scraped: Scraped) -> None:
    prometheus, queries = scraped.prometheus, dashboard_queries()
    counts = await eventually(lambda: prometheus.query(queries["Connections A"]))
    assert {series["metric"]["status"] for series in counts} == {"active", "needs_reauth"}
    assert await eventually(lambda: prometheus.query(queries["Time since the last success A"]))
    buckets = prometheus.query('one_runtime_http_request_duration_seconds_bucket{route="/v1/integrations"}')
    assert len(buckets) > 10


async def test_panels_of_the_dashboard_are_complete() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = {
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    }
    assert len(cells) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in panels), "panels overlap"
    (variable,) = dashboard["templating"]["list"]
    for panel in panels:
        assert panel["type"] == "row" or (panel["description"] and panel["targets"])
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == f"${{{variable['name']}}}"


async def test_every_alert_has_a_summary_and_an_action_with_an_existing_section() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "action", "runbook"}, name
        links = re.findall(r" See (docs/[\w.-]+\.md)(?:#([\w-]+))?", rule["annotations"]["action"])
        assert links, name
        for file, anchor in links:
            assert not anchor or anchor in page(file).anchors, name


async def test_every_alert_has_an_entry_in_the_runbook() -> None:
    introduction, *entries = page("docs/runbook.md").text.split("\n## ")
    assert introduction.startswith("# Runbook\n")
    assert [entry.partition("\n")[0] for entry in entries] == list(alerts())
    anchors = page("docs/runbook.md").anchors
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert name.lower() in anchors
    for entry in entries:
        assert re.findall(r"^- \*\*(.+):\*\* \S", entry, re.MULTILINE) == ["Meaning", "First look", "What to do"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Values of metrics, one per minute in promtool's notation, and the alerts after some minutes.

    `series`: values by series. `firing`: labels of the alert by name. Other alerts do not fire. `quiet_at`: minutes
    after which no alert fires yet.
    """

    series: dict[str, str]
    minutes: int
    firing: dict[str, dict[str, str]] = field(default_factory=dict)
    quiet_at: int | None = None


TOKENS: Final = "one_runtime_token_requests_total"
CHECKS: Final = "one_runtime_credential_checks_total"
SUCCESS: Final = "one_runtime_worker_last_success_timestamp_seconds"
HTTP: Final = "one_runtime_http_request_duration_seconds"
REFRESHES: Final = 'integration="acme",grant="refresh_token"'
ACME_LABELS: Final = {"integration": "acme"}

SCENARIOS: Final = {
    "healthy": Scenario(
        {
            'up{job="one-runtime"}': "1x90",
            f'{HTTP}_count{{route="/v1/integrations",method="GET",status="2xx"}}': "0+600x90",
            f'{HTTP}_bucket{{route="/v1/integrations",method="GET",status="2xx",le="0.01"}}': "0+600x90",
            f'{HTTP}_bucket{{route="/v1/integrations",method="GET",status="2xx",le="+Inf"}}': "0+600x90",
            'one_runtime_errors_total{code="internal_error"}': "0+1x90",
            'one_runtime_errors_total{code="provider_unavailable"}': "0+500x90",
            'one_runtime_errors_total{code="unauthenticated"}': "0+60x90",
            'one_runtime_vault_failures_total{code="seal_broken"}': "3x90",
            "one_runtime_database_waiting": "0x90",
            "one_runtime_unconfirmed_copy": "0x90",
            f'{SUCCESS}{{task="refresh"}}': "0+60x90",
            f'{SUCCESS}{{task="expire_unredeemed"}}': "0+60x90",
            f'{SUCCESS}{{task="purge_requests"}}': "0x90",
            'one_runtime_refresh_overdue_oldest_seconds{state="waiting"}': "5x90",
            'one_runtime_refresh_overdue_oldest_seconds{state="paused"}': "0+60x90",
            'one_runtime_token_hosts_paused{integration="acme"}': "0 1 0 0x88",
            'one_runtime_webhook_overdue_oldest_seconds{lane="first"}': "1x90",
            'one_runtime_webhook_overdue_oldest_seconds{lane="troubled"}': "0+60x90",
            'one_runtime_webhook_endpoints{state="disabled"}': "2x90",
            f'{TOKENS}{{{REFRESHES},result="granted"}}': "0+60x90",
            f'{TOKENS}{{{REFRESHES},result="provider_trouble"}}': "0+6x90",
            f'{TOKENS}{{integration="other",grant="refresh_token",result="invalid_grant"}}': "0+1x90",
            f'{CHECKS}{{integration="acme",result="provider_unavailable"}}': "0x60 1x30",
            'one_runtime_events_total{type="connection.needs_reauth",integration="acme"}': "0x60 10x30",
        },
        90,
        quiet_at=70,
    ),
    "stopped server": Scenario(
        {'up{job="one-runtime",instance="a"}': "1x5 0x5"},
        9,
        {"OneRuntimeDown": {"job": "one-runtime", "instance": "a"}},
        quiet_at=5,
    ),
    "errors of One Runtime": Scenario(
        {
            'one_runtime_errors_total{code="internal_error"}': "0+60x20",
            f'{HTTP}_count{{route="/v1/integrations",status="5xx"}}': "0+600x20",
        },
        15,
        {"OneRuntimeFails": {}},
    ),
    "slow lists": Scenario(
        {
            f'{HTTP}_bucket{{route="/v1/integrations",le="{le}"}}': f"0+{count}x30"
            for le, count in (("0.1", 10), ("0.25", 600), ("+Inf", 600))
        },
        25,
        {"OneRuntimeSlow": {}},
    ),
    "wrong key": Scenario(
        {'one_runtime_vault_failures_total{code="key_not_in_ring"}': "0x5 1x10"},
        10,
        {"OneRuntimeCredentialsDoNotOpen": {"code": "key_not_in_ring"}},
        quiet_at=4,
    ),
    "used-up connections": Scenario(
        {"one_runtime_database_waiting": "0 4x9"}, 5, {"OneRuntimeDatabaseConnectionsUsedUp": {}}, quiet_at=2
    ),
    "copy": Scenario({"one_runtime_unconfirmed_copy": "1x3"}, 1, {"OneRuntimeUnconfirmedCopy": {}}),
    "stopped worker": Scenario(
        {f'{SUCCESS}{{task="{task}"}}': "0x190" for task in ("refresh", "expire_unredeemed", "purge_requests")},
        190,
        {
            "OneRuntimeRefreshStalled": {"task": "refresh"},
            "OneRuntimeUnredeemedConnectionsStay": {"task": "expire_unredeemed"},
            "OneRuntimeNoBackgroundWork": {"task": "purge_requests"},
        },
        quiet_at=4,
    ),
    "slow refreshes": Scenario(
        {'one_runtime_refresh_overdue_oldest_seconds{state="waiting"}': "0+60x30"},
        25,
        {"OneRuntimeRefreshesOverdue": {}},
        quiet_at=15,
    ),
    "sender of webhooks stands still": Scenario(
        {'one_runtime_webhook_overdue_oldest_seconds{lane="first"}': "0+60x30"},
        10,
        {"OneRuntimeWebhooksOverdue": {}},
        quiet_at=5,
    ),
    "disabled webhook endpoint": Scenario(
        {'one_runtime_webhook_endpoints{state="disabled"}': "1x70 2x30"},
        80,
        {"WebhookEndpointDisabled": {}},
        quiet_at=69,
    ),
    "paused token host": Scenario(
        {'one_runtime_token_hosts_paused{integration="acme"}': "0x5 1x20"},
        20,
        {"OneRuntimeTokenHostPaused": ACME_LABELS},
        quiet_at=10,
    ),
    # The breaker of the token host allows one refresh a minute. No caller sends a check.
    "outage of a busy token endpoint": Scenario(
        {
            f'{TOKENS}{{{REFRESHES},result="granted"}}': "0+60x30 1800x60",
            f'{TOKENS}{{{REFRESHES},result="provider_trouble"}}': "0x30 1+1x60",
        },
        62,
        {"ProviderAway": ACME_LABELS},
        quiet_at=30,
    ),
    # A single connection waits up to ten minutes between two refreshes.
    "outage of a quiet token endpoint": Scenario(
        {f'{TOKENS}{{{REFRESHES},result="provider_trouble"}}': "0x9 1x9 2x9 3x9 4x9 5x9 6x9"},
        60,
        {"ProviderAway": ACME_LABELS},
        quiet_at=10,
    ),
    "failing checks": Scenario(
        {
            f'{CHECKS}{{integration="acme",result="accepted"}}': "0+1x60",
            f'{CHECKS}{{integration="acme",result="provider_unavailable"}}': "0+10x60",
        },
        40,
        {"ProviderAway": ACME_LABELS},
        quiet_at=10,
    ),
    "broken connections": Scenario(
        {'one_runtime_events_total{type="connection.needs_reauth",integration="acme"}': "0+1x60"},
        60,
        {"ConnectionsBreak": ACME_LABELS},
        quiet_at=10,
    ),
    # The first broken connection of a process creates the time series. So `increase` does not see these connections.
    "connections that break at once": Scenario(
        {'one_runtime_events_total{type="connection.needs_reauth",integration="acme"}': "_x10 50x30"},
        15,
        {"ConnectionsBreak": ACME_LABELS},
        quiet_at=9,
    ),
    "connections that broke long ago": Scenario(
        {'one_runtime_events_total{type="connection.needs_reauth",integration="acme"}': "_x10 50x90"},
        90,
        quiet_at=75,
    ),
    "guessed keys": Scenario(
        {'one_runtime_errors_total{code="unauthenticated"}': "0+600x30"}, 20, {"SomebodyTriesApiKeys": {}}, quiet_at=5
    ),
}


def rule_test(name: str, scenario: Scenario) -> dict[str, Any]:
    """Return the scenario in the format of `promtool test rules`."""
    expected: list[dict[str, Any]] = []
    for alert, rule in alerts().items():
        labels = [scenario.firing[alert] | rule["labels"]] if alert in scenario.firing else []
        firing = [{"exp_labels": label} for label in labels]
        expected.append({"eval_time": f"{scenario.minutes}m", "alertname": alert, "exp_alerts": firing})
        if scenario.quiet_at is not None:
            expected.append({"eval_time": f"{scenario.quiet_at}m", "alertname": alert, "exp_alerts": []})
    series = [{"series": metric, "values": values} for metric, values in scenario.series.items()]
    return {"name": name, "interval": "1m", "input_series": series, "alert_rule_test": expected}


async def test_alerts_fire_in_their_scenarios_only(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]  # promtool would compare the texts too
    (tmp_path / "rules.yaml").write_text(json.dumps(rules))
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [rule_test(name, scenario) for name, scenario in SCENARIOS.items()],
    }
    (tmp_path / "tests.yaml").write_text(json.dumps(tests))
    promtool("test", "rules", str(tmp_path / "tests.yaml"))
    assert {name for scenario in SCENARIOS.values() for name in scenario.firing} == alerts().keys()
