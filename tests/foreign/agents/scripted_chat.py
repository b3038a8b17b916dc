"""A scripted chat model for LangChain."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from script import ARGUMENTS, TOOL, show


class ScriptedChat(BaseChatModel):  # type: ignore[misc] # the library is not installed for the type checker
    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, tools: Any, **_: Any) -> "ScriptedChat":
        show(tools=[tool.name for tool in tools])
        return self

    def _generate(self, messages: Any, *_: Any, **__: Any) -> Any:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            message = AIMessage(last.text)
        else:
            message = AIMessage("", tool_calls=[{"name": TOOL, "args": ARGUMENTS, "id": "1"}])
        return ChatResult(generations=[ChatGeneration(message=message)])
