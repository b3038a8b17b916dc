"""The metrics of agents."""

from typing import Any

from one_runtime.telemetry import metrics
from tests.mcp.conftest import Agents


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"one_runtime_{name}_total", labels) or 0.0


async def test_calls_of_tools_and_programs_are_counted_by_outcome(agents: Agents) -> None:
    calls: list[tuple[str, dict[str, Any], str, str]] = [
        ("list_connections", {}, "list_connections", "answered"),
        ("call_read", {"integration": "acme", "path": "/v1/me"}, "call_read", "waiting"),
        ("call_read", {"integration": "acme", "path": "/v1/missing"}, "call_read", "4xx"),
        ("tool_help", {"name": "no.such"}, "tool_help", "not_found"),
        ("no_such_tool", {}, metrics.OTHER, "unknown_tool"),
    ]
    async with agents.connect() as agent:
        for tool, arguments, label, outcome in calls:
            if outcome == "4xx":
                await agents.owner.connect()
            before = value("agent_tool_calls", tool=label, outcome=outcome)
            answer = await agent.call(tool, **arguments)
            assert value("agent_tool_calls", tool=label, outcome=outcome) == before + 1, (tool, answer)
        before = value("agent_runs", outcome="finished")
        await agent.call("run_python", code="1 + 1")
        assert value("agent_runs", outcome="finished") == before + 1
