"""docs/observability.md names every metric with its labels, every line of the log with its fields, and every span."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from one_runtime.telemetry import metrics
from one_runtime.telemetry.metrics_server import register_build_info
from tests.documentation import ROOT, page

pytestmark = pytest.mark.docs

PAGE: Final = page("docs/observability.md")
SOURCES: Final = sorted((ROOT / "src" / "one_runtime").rglob("*.py"))
USED: Final = re.compile(r"(one_runtime_\w+?)(?:_bucket|_count|_sum)?(?:\{(.*?)\}|\[|\b(?!\w))")
LEVELS: Final = {"debug", "info", "warning", "error", "exception"}


def rows(first: str) -> list[list[str]]:
    """The rows of the tables whose head begins with this."""
    found = []
    lines = iter(PAGE.prose.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                found.append([cell.strip() for cell in row.strip("|").split(" | ")])
    return found


def listed(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def metrics_of_ours() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Name → type, labels, help."""
    ours = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    return {
        one._name + ("_total" if one._type == "counter" else ""): (
            str(one._type),
            tuple(one._labelnames),
            one._documentation,
        )
        for one in ours
    }


def metrics_from_outside() -> dict[str, tuple[str, tuple[str, ...]]]:
    registry = CollectorRegistry()
    register_build_info(registry)
    ProcessCollector(registry=registry)
    return {
        sample.name: (family.type, tuple(sample.labels)) for family in registry.collect() for sample in family.samples
    }


def test_every_metric_is_documented_with_its_type_its_labels_and_its_help() -> None:
    told = {listed(row[0])[0]: (row[1], listed(row[2]), row[3]) for row in rows("metric")}
    ours = metrics_of_ours()
    assert {name: one for name, one in told.items() if name in ours} == ours
    outside = metrics_from_outside()
    assert {name: one[:2] for name, one in told.items() if name not in ours} == outside


def test_every_label_is_explained() -> None:
    labels = {label for _, names, _ in metrics_of_ours().values() for label in names} - {"code", "task"}
    explained = set(listed("".join(line for line in PAGE.prose.splitlines() if line.startswith("- `"))))
    explained |= set(re.findall(r"`(\w+)`(?: of a \w+)?:", PAGE.prose))
    assert labels <= explained


def test_the_alerts_are_rules_about_metrics_that_exist() -> None:
    (rules,) = [block for block in PAGE.code("yaml") if block.startswith("groups:")]
    (group,) = yaml.safe_load(rules)["groups"]
    assert all({"alert", "expr"} <= rule.keys() for rule in group["rules"])
    known = metrics_of_ours()
    for rule in group["rules"]:
        for name, labels in USED.findall(rule["expr"]):
            assert name in known, rule["alert"]
            assert set(re.findall(r"(\w+)=", labels)) <= set(known[name][1]), rule["alert"]
        for codes in re.findall(r'code=~?"(.*?)"', rule["expr"]):
            assert set(codes.split("|")) <= {listed(row[0])[0] for row in page("docs/api.md").table("Errors")}


def logged() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Every line that our code logs: event, function, fields."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = ast.unparse(node.func)
            if called == "write" or (called.startswith("log.") and called.removeprefix("log.") in LEVELS):
                fields = {one.arg for one in node.keywords if one.arg} - {"request_id"}
                if "exc_info" in fields or called == "log.exception":
                    fields = fields - {"exc_info"} | {"exception"}
                yield str(node.args[0].value), called, frozenset(fields)


def test_every_line_of_the_log_is_documented_with_its_level_and_its_fields() -> None:
    told = {listed(row[0])[0]: (row[1], frozenset(listed(row[2]))) for row in rows("event")}
    found = {event: (called, fields) for event, called, fields in logged()}
    assert {event: fields for event, (_, fields) in told.items()} == {
        event: fields for event, (_, fields) in found.items()
    }
    for event, (called, _) in found.items():
        if called != "write":
            assert told[event][0] == called.removeprefix("log.").replace("exception", "error"), event


def test_every_span_is_documented_with_its_attributes() -> None:
    told = {listed(row[0])[0] for row in rows("span")}
    names = {"{method} {route}", "{method}", "credential check", "database transaction", "worker task {task}", "reseal"}
    assert told == names
    source = "".join(
        path.read_text("utf-8") for path in SOURCES if path.stem in {"tracing", "request_observer", "observation"}
    )
    attributes = set(re.findall(r'"((?:http|one_runtime|error)\.[a-z_.]+)"', source))
    assert attributes == {name for row in rows("span") for name in listed(row[2])} | {"error.type"}
    assert "`error.type`" in PAGE.text
