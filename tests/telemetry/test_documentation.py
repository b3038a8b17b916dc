"""docs/observability.md: every metric with labels, every log event with fields, every span with attributes."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from one_runtime.telemetry import metrics
from one_runtime.telemetry.metrics_server import register_build_info
from tests.deploy.prometheus import alerts, expressions
from tests.documentation import ROOT, page
from tests.source_files import nodes

pytestmark = pytest.mark.docs

PAGE: Final = page("docs/observability.md")
SOURCES: Final = sorted((ROOT / "src" / "one_runtime").rglob("*.py"))
USED: Final = re.compile(r"(one_runtime_\w+?)(?:_bucket|_count|_sum)?(?:\{(.*?)\}|\[|\b(?!\w))")
LEVELS: Final = {"debug", "info", "warning", "error", "exception"}


def rows(first: str) -> list[list[str]]:
    """Return the rows of the tables whose first column has this name."""
    cells = []
    lines = iter(PAGE.prose.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                cells.append([cell.strip() for cell in row.strip("|").split(" | ")])
    return cells


def listed(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def own_metrics() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Return type, labels and help of each metric by name."""
    ours = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    return {
        metric._name + ("_total" if metric._type == "counter" else ""): (
            str(metric._type),
            tuple(metric._labelnames),
            metric._documentation,
        )
        for metric in ours
    }


def library_metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    registry = CollectorRegistry()
    register_build_info(registry)
    ProcessCollector(registry=registry)
    return {
        sample.name: (family.type, tuple(sample.labels)) for family in registry.collect() for sample in family.samples
    }


def test_every_metric_is_documented_with_type_labels_and_help() -> None:
    documented = {listed(row[0])[0]: (row[1], listed(row[2]), row[3]) for row in rows("metric")}
    ours = own_metrics()
    assert {name: row for name, row in documented.items() if name in ours} == ours
    outside = library_metrics()
    assert {name: row[:2] for name, row in documented.items() if name not in ours} == outside


def test_every_label_is_explained() -> None:
    labels = {label for _, names, _ in own_metrics().values() for label in names} - {"code", "task"}
    explained = set(listed("".join(line for line in PAGE.prose.splitlines() if line.startswith("- `"))))
    explained |= set(re.findall(r"`(\w+)`(?: of a \w+)?:", PAGE.prose))
    assert labels <= explained


def test_alert_rules_and_the_dashboard_use_existing_metrics() -> None:
    known = own_metrics()
    for source, expression in expressions().items():
        for name, labels in USED.findall(expression):
            assert name in known, source
            assert set(re.findall(r"(\w+)[=!]", labels)) <= set(known[name][1]), source
        for codes in re.findall(r'code=~?"(.*?)"', expression):
            assert set(codes.split("|")) <= {listed(row[0])[0] for row in page("docs/api.md").table("Errors")}


def test_every_alert_is_documented_with_its_severity() -> None:
    documented = {listed(row[0])[0]: row[1] for row in rows("alert")}
    assert documented == {name: rule["labels"]["severity"] for name, rule in alerts().items()}


def logged() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Return event, log function and fields of each log call in the source."""
    for path in SOURCES:
        for node in nodes(path):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = ast.unparse(node.func)
            if called == "write" or (called.startswith("log.") and called.removeprefix("log.") in LEVELS):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg} - {"request_id"}
                if "exc_info" in fields or called == "log.exception":
                    fields = fields - {"exc_info"} | {"exception"}
                yield str(node.args[0].value), called, frozenset(fields)


def test_every_log_event_is_documented_with_level_and_fields() -> None:
    documented = {listed(row[0])[0]: (row[1], frozenset(listed(row[2]))) for row in rows("event")}
    events = {event: (called, fields) for event, called, fields in logged()}
    assert {event: fields for event, (_, fields) in documented.items()} == {
        event: fields for event, (_, fields) in events.items()
    }
    for event, (called, _) in events.items():
        if called != "write":
            assert documented[event][0] == called.removeprefix("log.").replace("exception", "error"), event


def test_every_span_is_documented_with_its_attributes() -> None:
    documented = {listed(row[0])[0] for row in rows("span")}
    names = {"{method} {route}", "{method}", "credential check", "database transaction", "worker task {task}", "reseal"}
    assert documented == names
    source = "".join(
        path.read_text("utf-8") for path in SOURCES if path.stem in {"tracing", "request_observer", "observation"}
    )
    attributes = set(re.findall(r'"((?:http|one_runtime|error)\.[a-z_.]+)"', source))
    assert attributes == {name for row in rows("span") for name in listed(row[2])} | {"error.type"}
    assert "`error.type`" in PAGE.text
