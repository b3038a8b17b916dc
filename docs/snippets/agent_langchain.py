"""An agent with LangChain (pip install "langchain[mcp,anthropic]"), for one end user."""

from fastmcp.client.transports import StreamableHttpTransport
from langchain.agents import create_agent
from langchain.mcp import MCPAdapter
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command


async def answer(question, mcp_url, end_user_token, show_link, model="anthropic:claude-sonnet-5-5"):
    """Return the answer. `show_link`: shows a link to the end user, who then connects an account."""
    transport = StreamableHttpTransport(mcp_url, headers={"Authorization": f"Bearer {end_user_token}"})
    request = {"messages": [{"role": "user", "content": question}]}
    async with MCPAdapter(transport) as adapter:
        agent = create_agent(model, await adapter.list_tools(), checkpointer=InMemorySaver())
        while True:
            result = await agent.ainvoke(request, {"configurable": {"thread_id": "1"}})
            if "__interrupt__" not in result:
                return result["messages"][-1].text
            answers = {each.id: await connect(each.value["requests"], show_link) for each in result["__interrupt__"]}
            request = Command(resume=answers)


async def connect(requests, show_link):
    for request in requests:
        await show_link(request["url"])
    return {"responses": {request["key"]: {"action": "accept"} for request in requests}}
