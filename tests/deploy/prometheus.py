"""Debian's Prometheus and promtool, with the files of `deploy/` and the configuration of docs/observability.md."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import yaml

from tests.deploy.proxies import DEPLOY
from tests.documentation import page
from tests.ports import free_port
from tests.programs import program
from tests.waiting import attempts

RULES: Final = DEPLOY / "prometheus-rules.yaml"
DASHBOARD: Final = DEPLOY / "grafana-dashboard.json"
_NAME: Final = re.compile(r"\b(?:one_runtime|process)_\w+")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus, and a client for its API."""

    http: httpx2.Client

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return the data of a response of the API. Fail for an error, and for a warning about a query."""
        answer = self.http.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer["warnings"]
        assert not answer.get("infos"), answer["infos"]
        data: dict[str, Any] = answer["data"]
        return data

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression at this moment."""
        series: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return series


@contextmanager
def scraping(folder: Path, metrics_url: str) -> Iterator[Prometheus]:
    """Run Prometheus with the documented configuration and the rules, but with another target and short intervals."""
    configuration = documented_configuration(metrics_url)
    file, log_file, port = folder / "prometheus.yml", folder / "prometheus.log", free_port()
    file.write_text(json.dumps(configuration))  # JSON is valid YAML
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"GOMAXPROCS": "1"})
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in attempts(20):
                assert process.poll() is None, log_file.read_text()
                if _is_ready(http):
                    break
            yield Prometheus(http)
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(http: httpx2.Client) -> bool:
    try:
        return http.get("/-/ready").status_code == 200
    except httpx2.TransportError:
        return False


def documented_configuration(metrics_url: str) -> dict[str, Any]:
    """Return the configuration of docs/observability.md, with this target, the repository's rules, and short intervals.

    A documented path of the rules must have the name of the file in `deploy/`.
    """
    (block,) = page("docs/observability.md").code("yaml")
    configuration: dict[str, Any] = yaml.safe_load(block)
    assert [Path(path).name for path in configuration["rule_files"]] == [RULES.name]
    (job,) = configuration["scrape_configs"]
    (target,) = job["static_configs"]
    target["targets"] = [urlsplit(metrics_url).netloc]
    interval = "1s"  # on a busy machine, a scrape takes longer than 250 ms
    configuration["global"] = {f"{name}_interval": interval for name in ("scrape", "evaluation")}
    configuration["global"]["scrape_timeout"] = interval
    return configuration | {"rule_files": [str(RULES)]}


def promtool(*words: str) -> None:
    """Run a command of promtool. Fail with its output if the command fails."""
    done = subprocess.run(
        [program("promtool"), *words], capture_output=True, text=True, check=False, env={"GOMAXPROCS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alert rules by name."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def dashboard_queries() -> dict[str, str]:
    """Return the queries of the dashboard by panel, such as `Errors A`."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }


def expressions() -> dict[str, str]:
    """Return the expressions of all alert rules and of the dashboard."""
    return {name: rule["expr"] for name, rule in alerts().items()} | dashboard_queries()


def metric_names(expression: str) -> set[str]:
    """Return the names of One Runtime's metrics in an expression. For a histogram, return the name without a suffix."""
    return {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in _NAME.findall(expression)}
