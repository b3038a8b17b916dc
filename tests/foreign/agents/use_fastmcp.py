"""The client of FastMCP."""

import asyncio
import json
import os

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from script import ARGUMENTS, TOOL, show, show_link


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    async with Client(StreamableHttpTransport(os.environ["MCP_URL"], headers=headers)) as client:
        show(tools=[tool.name for tool in await client.list_tools()])
        refused = await client.call_tool(TOOL, ARGUMENTS, raise_on_error=False)
        await show_link(text=refused.structured_content["connect_url"])
        show(answer=json.loads((await client.call_tool(TOOL, ARGUMENTS)).content[0].text))


asyncio.run(main())
