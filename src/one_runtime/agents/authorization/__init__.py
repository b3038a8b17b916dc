"""Be the OAuth authorization server of `/v1/mcp` (OAuth 2.1, and the authorization part of the MCP specification).

An end user adds the address of `/v1/mcp` to an agent, such as Claude. The agent is the OAuth client. The end user signs
in on a page of the organization's product, and the organization's backend approves the client
(docs/decisions/0042-agent-authorization.md).
"""
