"""Serve the MCP endpoint `/v1/mcp`. The modules `server` and `results` import the MCP SDK, and no other module does.

The import of the SDK takes half a second. So the process imports the SDK at the first request of an agent.
"""
