"""The OpenAI Agents SDK with a scripted model."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from agent_openai import answer
from agents import Model, ModelResponse, Usage, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from script import ARGUMENTS, TOOL, converse, show


class ScriptedModel(Model):  # type: ignore[misc] # the library is not installed for the type checker
    async def get_response(self, **request: Any) -> Any:
        show(tools=[tool.name for tool in request["tools"]])
        last = request["input"][-1]
        if last.get("type") == "function_call_output":
            content = ResponseOutputText(type="output_text", text=text_of(last["output"]), annotations=[])
            item = ResponseOutputMessage(
                id="1", type="message", role="assistant", status="completed", content=[content]
            )
        else:
            arguments = json.dumps(ARGUMENTS)
            item = ResponseFunctionToolCall(type="function_call", call_id="1", name=TOOL, arguments=arguments)
        return ModelResponse(output=[item], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def text_of(output: Any) -> str:
    """Return the text of the output of a tool."""
    parts = output if isinstance(output, list) else [output]
    return "".join(part if isinstance(part, str) else part["text"] for part in parts)


set_tracing_disabled(True)
asyncio.run(converse(partial(answer, model=ScriptedModel())))
