"""An agent with the OpenAI Agents SDK (pip install openai-agents), for one end user."""

from agents import Agent, Runner
from agents.mcp import MCPServerStreamableHttp


async def answer(question, mcp_url, end_user_token, model="gpt-6.2-astra"):
    params = {"url": mcp_url, "headers": {"Authorization": f"Bearer {end_user_token}"}, "timeout": 90}
    async with MCPServerStreamableHttp(params, client_session_timeout_seconds=90) as server:
        agent = Agent("Assistant", mcp_servers=[server], model=model)
        return (await Runner.run(agent, question)).final_output
