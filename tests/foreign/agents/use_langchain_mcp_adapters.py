"""The package langchain-mcp-adapters with a scripted model. It has the version 1 of the Python SDK."""

import asyncio

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from script import converse
from scripted_chat import ScriptedChat


async def answer(question: str, mcp_url: str, end_user_token: str) -> str:
    headers = {"Authorization": f"Bearer {end_user_token}"}
    client = MultiServerMCPClient({"one-runtime": {"transport": "http", "url": mcp_url, "headers": headers}})
    agent = create_agent(ScriptedChat(), await client.get_tools())
    result = await agent.ainvoke({"messages": [{"role": "user", "content": question}]})
    text: str = result["messages"][-1].text
    return text


asyncio.run(converse(answer))
