"""LangChain with a scripted model."""

import asyncio
import json
import os

from agent_langchain import answer
from script import QUESTION, show, show_link
from scripted_chat import ScriptedChat

target = os.environ["MCP_URL"], os.environ["MCP_TOKEN"]
show(answer=json.loads(asyncio.run(answer(QUESTION, *target, lambda url: show_link(elicitation=url), ScriptedChat()))))
