"""An agent without a language model. It knows only the sentence of its task, and the answers of the tools.

The agent searches with the words of the sentence, and takes the first function. It fills in the parameters of the
function with the values of the sentence: texts in quotation marks, and numbers. If an account is missing, the agent
gives the link to its user, and repeats the call.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.mcp.conftest import Agent, Answer

_VALUE: Final = re.compile(r"\"([^\"]*)\"|\b(\d+)\b")
_WORD: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Function:
    """A function as `tool_help` describes it. `tool`: the tool that calls the function."""

    name: str
    tool: str
    parameters: Sequence[dict[str, Any]]

    def arguments(self, task: str) -> dict[str, Any]:
        """Return the arguments with which the function does a task."""
        return _arguments(self.parameters, task)

    def program(self, task: str) -> str:
        """Return a program that does a task with this function."""
        slug, _, function = self.name.partition(".")
        module = slug.replace("-", "_")
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments(task).items())
        return f"import {module}\nawait {module}.{function}({arguments})"


@dataclass(slots=True)
class ScriptedAgent:
    """`open_link`: the user opens a link and connects the account. `calls`: the tools that the agent has called."""

    agent: Agent
    open_link: Callable[[str], Awaitable[None]]
    calls: list[str] = field(default_factory=list)

    async def do(self, task: str) -> tuple[Function, Answer]:
        """Do the task. Return the function, and the answer of the last call."""
        function = await self._choose(task)
        call = {"name": function.name, "arguments": function.arguments(task)}
        answer = await self._call(function.tool, **call)
        if answer.is_error and answer.data["code"] == "connect_required":
            await self.open_link(answer.data["connect_url"])
            answer = await self._call(function.tool, **call)
        return function, answer

    async def _choose(self, task: str) -> Function:
        words = _WORD.findall(_VALUE.sub(" ", task).lower())
        found = await self._call("tool_search", query=" ".join(words))
        described = (await self._call("tool_help", name=found.data["matches"][0]["name"])).data
        tool = "call_read" if "call_read" in described["usage"] else "call_write"
        return Function(described["name"], tool, described["parameters"])

    async def _call(self, tool: str, **arguments: Any) -> Answer:
        self.calls.append(tool)
        return await self.agent.call(tool, **arguments)


def _arguments(parameters: Sequence[dict[str, Any]], task: str) -> dict[str, Any]:
    """Give each value of the task to the parameter whose name has most words in common with the words before it."""
    arguments: dict[str, Any] = {}
    end = 0
    for match in _VALUE.finditer(task):
        before = _WORD.findall(task[end : match.start()].lower())[-6:]
        end = match.end()
        free = [parameter for parameter in parameters if parameter["name"] not in arguments]
        best = max(free, key=lambda parameter: _similarity(parameter["name"], before), default=None)
        if best is not None and _similarity(best["name"], before) > 0:
            is_number = match[2] is not None and best["schema_type"] == "integer"
            arguments[best["name"]] = int(match[2]) if is_number else match[1] or match[2]
    return arguments


def _similarity(name: str, words: Sequence[str]) -> float:
    """Return the number of words that a name and a text have in common. A name with other words is less similar."""
    parts = name.split("_")
    common = sum(part in words for part in parts)
    return common - 0.1 * (len(parts) - common)
