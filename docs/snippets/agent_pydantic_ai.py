"""An agent with Pydantic AI (pip install "pydantic-ai-slim[mcp,anthropic]"), for one end user."""

from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset


async def answer(question, mcp_url, end_user_token, model="anthropic:claude-sonnet-5-5"):
    headers = {"Authorization": f"Bearer {end_user_token}"}
    tools = MCPToolset(mcp_url, headers=headers, tool_error_behavior="failed", read_timeout=90)
    return (await Agent(model, toolsets=[tools]).run(question)).output
