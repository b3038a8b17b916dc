"""Pydantic AI with a scripted model."""

import asyncio
from functools import partial

from agent_pydantic_ai import answer
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from script import ARGUMENTS, TOOL, converse, show


def decide(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    show(tools=[tool.name for tool in info.function_tools])
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        return ModelResponse(parts=[TextPart(last.model_response_str())])
    return ModelResponse(parts=[ToolCallPart(TOOL, ARGUMENTS)])


asyncio.run(converse(partial(answer, model=FunctionModel(decide))))
